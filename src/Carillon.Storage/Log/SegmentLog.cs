using System.Diagnostics.CodeAnalysis;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Log;

/// <summary>
/// The log that acknowledgements wait for: records are appended to pre-written segment files, all that wait share one flush, and whole
/// segments are cut at the front once a snapshot makes them unneeded; so its size and the time of a start depend on what is open, never on
/// history. docs/formats/segment-log.md has the bytes and the rules of recovery.
/// <para>
/// A single-threaded object of its owner's loop. It does no input or output after <see cref="Open"/>, but hands out batches and
/// preparations, which the owner has executed elsewhere, one of each at a time, and then gives back. A record counts only once
/// <see cref="Durable"/> has reached it.
/// </para>
/// </summary>
public sealed class SegmentLog : IDisposable
{
    /// <summary>The longest record: the longest submission, and ample room for what its owner adds.</summary>
    public const int MaxRecordBytes = Submission.MaxBytes + (4 << 20);

    // Owners that append without asking (a snapshot of much that is open) may fill memory up to this many times MaxWaitingBytes.
    private const int UnaskedFactor = 4;

    // Two batches take turns, one filled while one is flushed; memory beyond this goes back after a burst or a long record.
    private const int KeptBatches = 2;
    private const int KeptBytes = 1 << 20;

    private readonly SegmentLogOptions _options;
    private readonly DiskId _disk;
    private readonly SegmentPool _pool;
    private readonly Queue<LogBatch> _sealed = new();
    private readonly Stack<LogBatch> _idle = new();
    private LogBatch _filling;
    private LogBatch? _inFlight;
    private long _nextNumber;
    private long _appended;
    private long _placed;
    private long _durable;
    private long _sealedBytes;
    private int _sealedStarts;
    private long _bytesSinceSnapshot;

    // The oldest generation needed: as every batch from now on says it, and as the last durable one does. Segments between the two
    // must not be used again yet.
    private long _oldest;
    private long _durableOldest;

    private SegmentLog(IStorageDevice device, string folder, DiskId disk, SegmentLogOptions options)
    {
        (_options, _disk) = (options, disk);
        _pool = new SegmentPool(device, folder, options);
        _filling = new LogBatch(options.MaxBatchBytes);
    }

    /// <summary>How far the log can be relied upon.</summary>
    public LogHealth Health { get; private set; }

    /// <summary>The last record appended.</summary>
    public LogPosition Appended => new(_appended);

    /// <summary>The last record that a power cut can't take any more; all before it are durable too.</summary>
    public LogPosition Durable => new(_durable);

    /// <summary>
    /// The device had no space for a further segment: non-urgent records are refused once the spare ones are used. A snapshot and a cut
    /// free some.
    /// </summary>
    public bool IsDeviceFull => _pool.IsDeviceFull;

    /// <summary>
    /// Bytes on disk since the last snapshot began (after a start: of all that is needed), for the owner to decide when to take one.
    /// </summary>
    public long BytesSinceSnapshot => _bytesSinceSnapshot + (_filling.IsEmpty ? 0 : _filling.Bytes);

    /// <summary>Segments whose records are needed, or may be.</summary>
    public int LiveSegments => _pool.Live.Count;

    private long WaitingBytes => _sealedBytes + (_filling.IsEmpty ? 0 : _filling.Bytes);

    private bool WaitsToCut => _oldest > _durableOldest;

    /// <summary>True if records, or a cut, wait for a batch.</summary>
    public bool HasWork => WaitingBytes > 0 || WaitsToCut;

    /// <summary>
    /// Reads the log and makes it ready: blocking, and the only call that is. <paramref name="recovered"/> is called for every intact
    /// record in order, also those behind a gap where the log turns out <see cref="LogCondition.Corrupt"/> (their positions skip what
    /// is missing).
    /// </summary>
    /// <exception cref="StorageException">The device failed or is full, or the log is of another disk or of a newer release. Bad bytes
    /// never throw.</exception> <exception cref="ArgumentException">The options can't be used.</exception>
    public static SegmentLog Open(
        IStorageDevice device, string folder, DiskId disk, SegmentLogOptions options, Action<LogPosition, ReadOnlySpan<byte>> recovered)
    {
        IReadOnlyList<string> faults = options.Validate();
        if (faults.Count > 0)
        {
            throw new ArgumentException(string.Join(' ', faults), nameof(options));
        }

        var log = new SegmentLog(device, folder, disk, options);
        log.Recover(new LogRecovery(disk, recovered).Run(log._pool.OpenAll()));
        return log;
    }

    /// <summary>
    /// True if a record of so many bytes can be appended now. Urgent ones (aborts, bits, outcomes, snapshots) may use the reserve.
    /// False means that the log is not writable; or that the disk is full (<see cref="IsDeviceFull"/>): a snapshot and a cut may help;
    /// or else only that flushes or preparations are behind: ask again when one completes.
    /// </summary>
    public bool CanAppend(int bytes, bool urgent)
    {
        if (!Health.IsWritable)
        {
            return false;
        }

        bool hasRoom = HasRoom(bytes, urgent);
        if (!hasRoom)
        {
            _pool.WantRoom();
        }

        return hasRoom;
    }

    /// <summary>
    /// Copies a record into the batch that is being filled, and returns its position. The owner asks <see cref="CanAppend"/> first. A
    /// record appended all the same waits until a preparation or a cut makes room for it; too many of those fail the log. On a log that
    /// is not writable the record gets a position that never becomes durable.
    /// </summary>
    public LogPosition Append(ReadOnlySpan<byte> record)
    {
        Invariant.That(record.Length <= MaxRecordBytes);
        if (Health.IsWritable && WaitingBytes + record.Length > (long)_options.MaxWaitingBytes * UnaskedFactor)
        {
            Fail("More waits to be written to the log than it may hold in memory.");
        }

        _appended++;
        if (!Health.IsWritable)
        {
            return Appended;
        }

        if (record.Length > _filling.Room)
        {
            Seal();
        }

        EntryKind kind = EntryKind.First;
        while (record.Length > _filling.Room)
        {
            int piece = _filling.Room;
            _filling.Add(kind, record[..piece]);
            Seal();
            record = record[piece..];
            kind = EntryKind.Middle;
        }

        _filling.Add(kind == EntryKind.First ? EntryKind.Whole : EntryKind.Last, record);
        if (WaitingBytes < _options.MaxWaitingBytes / 4 && Buggify.Here("log-batch-of-one", 0.2))
        {
            Seal();
        }

        return Appended;
    }

    /// <summary>Hands out the next batch, if anything waits (a cut counts), there is room for it, and none is in flight.</summary>
    public bool TryBeginBatch([NotNullWhen(true)] out LogBatch? batch)
    {
        batch = null;
        if (_inFlight is not null || !Health.IsWritable || !HasWork)
        {
            return false;
        }

        if (WaitingBytes > 0)
        {
            if (_sealed.Count == 0)
            {
                Seal();
            }

            batch = DequeueIfItFits();
        }

        // A cut needs a batch to carry it: one without records, where none waits, or none finds room before something is cut.
        if (batch is null && WaitsToCut && _pool.FitsCut)
        {
            batch = Idle();
            _bytesSinceSnapshot += batch.Bytes;
        }

        if (batch is null)
        {
            return false;
        }

        Place(batch);
        _inFlight = batch;
        return true;
    }

    /// <summary>
    /// Takes back a batch that was written and flushed, or failed. After a failure the log is failed for good: it can't know what the
    /// device kept.
    /// </summary>
    public void Complete(LogBatch batch, StorageException? failure)
    {
        Invariant.That(batch == _inFlight);
        _inFlight = null;
        if (failure is not null)
        {
            Sometimes.Reached("log-failed");
            Fail($"The log could not be written: {failure.Message}");
            return;
        }

        if (!Health.IsWritable)
        {
            return;
        }

        _durable = batch.Last.Value;
        _durableOldest = batch.Oldest;
        _pool.Release(_durableOldest);
        if (batch.Preparation.Work is { } preparation)
        {
            Complete(preparation, batch.Preparation.Failure);
        }

        Recycle(batch);
    }

    /// <summary>
    /// Hands out work on segments, if there is any to do: to be run beside the batches, on a thread where it may take its time.
    /// </summary>
    public bool TryBeginPreparation([NotNullWhen(true)] out SegmentPreparation? preparation)
    {
        preparation = null;
        return Health.IsWritable && _pool.TryPlan(WaitingBytes, out preparation);
    }

    /// <summary>Takes the preparation back. That the device is full is no failure of the log; a device that fails is.</summary>
    public void Complete(SegmentPreparation preparation, StorageException? failure)
    {
        if (!_pool.Complete(preparation, failure))
        {
            Fail($"A log segment could not be written: {failure?.Message}");
        }
    }

    /// <summary>
    /// The next record begins a snapshot: it goes to a new segment where there is one free, so that all before it can be cut. The owner
    /// now appends what is open, as urgent records, and when those and the catalog are durable calls <see cref="CutBefore"/> with the
    /// position returned.
    /// </summary>
    public LogPosition BeginSnapshot()
    {
        Seal();
        _filling.StartsSegment = true;
        _bytesSinceSnapshot = 0;
        return new LogPosition(_appended + 1);
    }

    /// <summary>
    /// Records before this position are not needed any more. Segments that hold nothing else are used again once a batch that says so
    /// is durable; such a batch goes out even if no record waits.
    /// </summary>
    public void CutBefore(LogPosition position)
    {
        Invariant.That(position.Value <= _durable + 1);
        foreach (Segment segment in _pool.Live)
        {
            if (segment == _pool.Tail || segment.LastTouching >= position.Value)
            {
                break;
            }

            Sometimes.Reached("log-cut");
            _oldest = Math.Max(_oldest, segment.Generation + 1);
        }

        if (SeededBug.Is("log-frees-before-cut-is-durable"))
        {
            _pool.Release(_oldest);
        }
    }

    /// <summary>Closes the files. What was not flushed is lost.</summary>
    public void Dispose() => _pool.Dispose();

    private void Recover(RecoveredLog recovered)
    {
        Health = recovered.Health;
        _pool.Adopt(recovered);
        (_appended, _placed, _durable) = (recovered.Records, recovered.Records, recovered.Records);
        (_nextNumber, _bytesSinceSnapshot) = (recovered.NextNumber, recovered.LiveBytes);
        if (Health.IsWritable)
        {
            WriteAgain(recovered);
            _pool.Complete();
            _oldest = _durableOldest = _pool.Live[0].Generation;
        }
    }

    /// <summary>
    /// The last batch may be whole only in the kernel's cache: its process died before the flush, or after a failed one. It is relied
    /// upon from now on, so it is written and flushed once more.
    /// </summary>
    private static void WriteAgain(RecoveredLog recovered)
    {
        if (recovered.Last is ({ } segment, var offset, var bytes) && !SeededBug.Is("log-trusts-the-kernels-cache"))
        {
            Sometimes.Reached("log-writes-its-last-batch-again");
            byte[] batch = new byte[bytes];
            int read = segment.File.Read(offset, batch);
            Invariant.That(read == bytes);
            segment.File.Write(offset, batch);
            segment.File.Flush();
        }
    }

    private bool HasRoom(int bytes, bool urgent)
    {
        // At worst it begins a batch of its own, and each piece but the last takes a whole one.
        int piece = _options.MaxBatchBytes - BatchHeader.Size - BatchPayload.Prefix;
        long cost = ((long)(bytes / piece) * _options.MaxBatchBytes)
            + BatchHeader.Align(BatchHeader.Size + BatchPayload.Prefix + (bytes % piece));
        long waiting = WaitingBytes + cost;

        // One block stays free for the batch that tells of a cut, without which a full log could not be emptied.
        long kept = BatchHeader.Block + (urgent ? 0 : _pool.Reserve);
        bool leavesTail = _filling.StartsSegment || _sealedStarts > 0;
        return waiting <= _options.MaxWaitingBytes * (urgent ? 2L : 1L) && waiting <= _pool.Capacity(leavesTail) - kept;
    }

    private void Seal()
    {
        if (_filling.IsEmpty)
        {
            return;
        }

        _sealed.Enqueue(_filling);
        _sealedBytes += _filling.Bytes;
        _sealedStarts += _filling.StartsSegment ? 1 : 0;
        _bytesSinceSnapshot += _filling.Bytes;
        _filling = Idle();
    }

    private LogBatch Idle() => _idle.Count > 0 ? _idle.Pop() : new LogBatch(_options.MaxBatchBytes);

    private LogBatch? DequeueIfItFits()
    {
        LogBatch first = _sealed.Peek();
        if (!_pool.Fits(first.Bytes))
        {
            return null;
        }

        _sealedBytes -= first.Bytes;
        _sealedStarts -= first.StartsSegment ? 1 : 0;
        return _sealed.Dequeue();
    }

    private void Place(LogBatch batch)
    {
        bool startsSegment = batch.StartsSegment || (!_pool.IsDeviceFull && Buggify.Here("log-segment-left-early", 0.02));
        bool leavesTail = startsSegment && _pool.Tail.Offset > 0 && _pool.HasFree;
        if (leavesTail || _pool.Tail.Remaining < batch.Bytes)
        {
            _pool.Roll(_pool.Tail.Generation + 1);
        }

        Segment tail = _pool.Tail;
        var header = new BatchHeader(_disk, tail.Generation, _nextNumber++, _placed, _oldest, PayloadBytes: 0, PayloadChecksum: 0, Mask: 0);
        batch.Place(tail, header, _pool.PlanIfLate(WaitingBytes));
        _placed = batch.Last.Value;
    }

    private void Recycle(LogBatch batch)
    {
        if (_idle.Count < KeptBatches && batch.Capacity <= KeptBytes)
        {
            batch.Clear();
            _idle.Push(batch);
        }
    }

    private void Fail(string reason)
    {
        if (Health.IsWritable)
        {
            Health = new LogHealth(LogCondition.Failed, reason);
            _sealed.Clear();
            _sealedBytes = 0;
            _filling.Clear();
        }
    }
}
