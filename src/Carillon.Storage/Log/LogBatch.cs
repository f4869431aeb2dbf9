using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Log;

/// <summary>
/// Records that share one flush. The log's owner gets it from <see cref="SegmentLog.TryBeginBatch"/>, has <see cref="Write"/> and then
/// <see cref="Flush"/> run on one other thread, and gives it back by <see cref="SegmentLog.Complete(LogBatch, StorageException)"/>;
/// then it belongs to the log again and is filled anew.
/// </summary>
public sealed class LogBatch
{
    // Most batches of small records fit; it doubles up to the longest batch.
    private const int FirstCapacity = 64 << 10;

    private readonly int _limit;
    private byte[] _buffer = new byte[FirstCapacity];
    private int _length = BatchHeader.Size;
    private Segment? _segment;
    private long _offset;
    private BatchHeader _header;
    private SegmentPreparation? _preparation;

    internal LogBatch(int limit) => _limit = limit;

    /// <summary>The last record that is durable once this is: all before it are too.</summary>
    public LogPosition Last => new(_header.Before + Records);

    /// <summary>Bytes that <see cref="Write"/> writes.</summary>
    public int Bytes => BatchHeader.Align(_length);

    /// <summary>Records completed in here. None in a batch that only cuts the log, or that holds an inner piece of a long record.</summary>
    public int Records { get; private set; }

    /// <summary>True if the last entry is not the end of its record.</summary>
    internal bool EndsInsideRecord { get; private set; }

    /// <summary>True for the first batch of a snapshot: it goes to a new segment, so that the older ones can be cut.</summary>
    internal bool StartsSegment { get; set; }

    internal bool IsEmpty => _length == BatchHeader.Size;

    internal int Capacity => _buffer.Length;

    internal long Oldest => _header.Oldest;

    /// <summary>A segment that this batch has to prepare after its own flush, since nobody did it in time; and how that went.</summary>
    internal (SegmentPreparation? Work, StorageException? Failure) Preparation { get; private set; }

    /// <summary>Bytes that an entry may still have.</summary>
    internal int Room => _limit - _length - BatchPayload.Prefix;

    /// <summary>Writes the batch into its pre-written place.</summary>
    /// <exception cref="StorageException">The device refused.</exception>
    public void Write()
    {
        Invariant.That(_segment is not null);
        int aligned = Bytes;
        Span<byte> batch = _buffer.AsSpan(0, aligned);
        batch[_length..].Clear();
        Span<byte> used = batch[.._length];
        uint mask = BlockMask.Choose(used);
        if (mask != 0)
        {
            BlockMask.Apply(used, mask);
        }

        ReadOnlySpan<byte> payload = used[BatchHeader.Size..];
        _header = _header with { PayloadBytes = payload.Length, PayloadChecksum = Crc32C.Of(payload), Mask = mask };
        _header.Write(batch);
        _segment.File.Write(_offset, batch);
    }

    /// <summary>Makes it durable.</summary>
    /// <exception cref="StorageException">The device refused: the log is not to be trusted with anything since the last
    /// success.</exception>
    public void Flush()
    {
        Invariant.That(_segment is not null);
        if (!SeededBug.Is("log-complete-before-flush"))
        {
            _segment.File.Flush();
        }

        if (_preparation is null)
        {
            return;
        }

        StorageException? failure = null;
        try
        {
            _preparation.Write();
            _preparation.Flush();
        }
        catch (StorageException e)
        {
            failure = e; // this batch is durable all the same; the log hears of it in Complete
        }

        Preparation = (_preparation, failure);
    }

    internal void Add(EntryKind kind, ReadOnlySpan<byte> entry)
    {
        Invariant.That(entry.Length <= Room);
        int end = _length + BatchPayload.Prefix + entry.Length;
        if (end > _buffer.Length)
        {
            Array.Resize(ref _buffer, Math.Min(_limit, Math.Max(_buffer.Length * 2, BatchHeader.Align(end))));
        }

        Span<byte> place = _buffer.AsSpan(_length);
        BatchPayload.WritePrefix(place, kind, entry.Length);
        entry.CopyTo(place[BatchPayload.Prefix..]);
        _length = end;
        EndsInsideRecord = kind is EntryKind.First or EntryKind.Middle;
        Records += EndsInsideRecord ? 0 : 1;
    }

    /// <summary>Gives the batch its place. Checksums follow in <see cref="Write"/>, off the owner's thread.</summary>
    internal void Place(Segment segment, BatchHeader header, SegmentPreparation? preparation)
    {
        (_segment, _offset, _header, _preparation) = (segment, segment.Offset, header, preparation);
        Preparation = default;
        segment.Offset += Bytes;
        segment.LastTouching = Last.Value + (EndsInsideRecord ? 1 : 0);
    }

    /// <summary>Makes it ready to be filled again.</summary>
    internal void Clear()
    {
        (_segment, _preparation, _length) = (null, null, BatchHeader.Size);
        (Records, EndsInsideRecord, StartsSegment, Preparation) = (0, false, false, default);
    }
}
