using System.Diagnostics.CodeAnalysis;
using Carillon.Protocols;

namespace Carillon.Storage.Groups;

/// <content>What is to be done on the disk, one work after the other.</content>
public sealed partial class MessageArchive
{
    private readonly Queue<CommittedMessage> _waiting = new();
    private readonly Queue<(ulong First, CommittedMessage[] Messages)> _patches = new();
    private readonly List<string> _removable = [];
    private ulong _appended;
    private long _waitingBytes;

    // Counted up each time that all content is replaced: files of an older one are nothing.
    private ulong _generation;
    private ulong _durableGeneration;
    private ulong _nextSerial = 1;
    private ArchiveFile? _tail;
    private List<BatchPlace> _tailPlaces = [];

    // The record that is to be durable next, and whether it replaces all content.
    private ArchiveRecord? _wanted;
    private bool _replaces;

    // Where the record is lost, nothing is removed before a new one is durable.
    private bool _mayRemove = true;
    private ArchiveWork? _running;
    private (long At, bool Is) _refused;
    private long _lastBegun;

    // Since when the first of those that wait does, in ms since 1970.
    private long? _gatherSince;
    private byte[]? _buffer;

    /// <summary>True if something is to be done, or only gathers.</summary>
    public bool HasWork =>
        Health is not ArchiveHealth.Failed && (_waiting.Count > 0 || _wanted is not null || _patches.Count > 0 || MayRemove);

    private bool MayRemove => _removable.Count > 0 && _mayRemove;

    /// <summary>
    /// Hands out the next work, if there is one and none is running: ask after each completion, and after whatever gave it something to do.
    /// </summary>
    /// <param name="nowMilliseconds">Wall time, in ms since 1970: what a batch is dated with.</param>
    /// <param name="work">What is to be run.</param>
    /// <param name="all">Also a batch that is not full: before the log is cut, and at an orderly stop.</param>
    public bool TryBeginWork(long nowMilliseconds, [NotNullWhen(true)] out ArchiveWork? work, bool all = false)
    {
        work = null;
        _gatherSince = _waiting.Count == 0 ? null : _gatherSince ?? nowMilliseconds;
        if (_running is not null || Health is ArchiveHealth.Failed || IsTooEarly(nowMilliseconds))
        {
            return false;
        }

        if (_wanted is not null)
        {
            work = new RecordWork(_place, _names, _wanted);
        }
        else if (MayRemove)
        {
            string[] names = [.. _removable];
            work = new RemovalWork(_place.Device, _place.Folder, () => names);
        }
        else
        {
            bool isDue = _waiting.Count > 0 && (all || IsFull || IsOld(nowMilliseconds));
            work = BeginPatch(nowMilliseconds) ?? (isDue ? BeginBatch(nowMilliseconds) : null);
        }

        _running = work;
        _lastBegun = nowMilliseconds;
        return work is not null;
    }

    /// <summary>Takes a work back that was written and flushed, or failed. What the device only refused is tried again later; after a
    /// failure nothing more is written in this life, since it can't be known what the device kept.</summary>
    public void Complete(ArchiveWork work, StorageException? failure)
    {
        Invariant.That(ReferenceEquals(work, _running));
        _running = null;
        if (work is BatchWork { Buffer: { Length: <= KeptBufferBytes } buffer })
        {
            _buffer = buffer;
        }

        if (failure is not null)
        {
            Health = failure.Fault == StorageFault.Failed ? ArchiveHealth.Failed
                : Health is ArchiveHealth.Good ? ArchiveHealth.Full : Health;
            Trouble = failure.Message;
            _refused = (_lastBegun, true);
            return;
        }

        _refused = default;
        if (Health is ArchiveHealth.Full && work is not RemovalWork)
        {
            (Health, Trouble) = (ArchiveHealth.Good, "");
        }

        switch (work)
        {
            case RecordWork record:
                Apply(record.Record);
                break;
            case RemovalWork:
                _removable.Clear();
                break;
            case BatchWork { File.IsPatch: true } patch:
                ApplyPatch(patch);
                break;
            case BatchWork batch:
                Apply(batch);
                break;
        }
    }

    private bool IsFull => _waitingBytes >= _options.BatchBytes || _waiting.Count >= _options.MaxBatchMessages;

    // What waits has no age on the disk: in a group of few messages it would be kept for ever.
    private bool IsOld(long now) => _gatherSince is { } since && Math.Abs(now - since) >= _options.SegmentAge.TotalMilliseconds;

    // A clock that was set back does not make it wait.
    private bool IsTooEarly(long now) =>
        _refused.Is && Math.Abs(now - _refused.At) < _options.RetryAfter.TotalMilliseconds;

    private BatchWork BeginBatch(long now)
    {
        CommittedMessage[] messages = NextMessages(out long bytes);
        ulong first = _index.Durable + 1;
        bool fits = _tail is not null && Fits(_tail, bytes, now);
        ArchiveFile file = fits ? _tail! : new ArchiveFile(_names.Segment(_generation, first), first) { Last = first - 1 };
        return new BatchWork(_place, _generation, first, messages, file, now, TakeBuffer())
        {
            Closing = !fits && _tail is { End: > 0 } tail ? (tail, _tailPlaces) : null,
        };
    }

    // They stay in the queue until they are durable.
    private CommittedMessage[] NextMessages(out long bytes)
    {
        int count = 0;
        bytes = ArchiveHeader.Size;
        foreach (CommittedMessage message in _waiting)
        {
            long size = BatchBody.SizeOf(message);
            bool isFull = bytes + size > _options.BatchBytes || count == _options.MaxBatchMessages;
            if (count > 0 && isFull)
            {
                break;
            }

            bytes += size;
            count++;
        }

        var next = new CommittedMessage[count];
        Queue<CommittedMessage>.Enumerator all = _waiting.GetEnumerator();
        for (int i = 0; i < count && all.MoveNext(); i++)
        {
            next[i] = all.Current;
        }

        return next;
    }

    private bool Fits(ArchiveFile tail, long bytes, long now) =>
        tail.End == 0
        || (tail.End + bytes <= _options.SegmentBytes && _tailPlaces.Count < ArchiveFooter.MaxBatches
            && now - tail.FirstTime <= _options.SegmentAge.TotalMilliseconds);

    private BatchWork? BeginPatch(long now)
    {
        while (_patches.TryPeek(out (ulong First, CommittedMessage[] Messages) patch))
        {
            if (_index.IsDamaged(patch.First, patch.First + (ulong)patch.Messages.Length - 1))
            {
                var file = new ArchiveFile(
                    _names.Patch(_generation, patch.First, _nextSerial), _nextSerial | ArchiveHeader.PatchBit);
                _nextSerial++;
                return new BatchWork(_place, _generation, patch.First, patch.Messages, file, now, TakeBuffer());
            }

            _patches.Dequeue(); // trimmed, or replaced, meanwhile
        }

        return null;
    }

    private byte[]? TakeBuffer()
    {
        byte[]? buffer = _buffer;
        _buffer = null;
        return buffer;
    }

    private void Apply(BatchWork batch)
    {
        ArchiveFile file = batch.File;
        if (file != _tail)
        {
            _index.Add(file);
            (_tail, _tailPlaces) = (file, []);
            file.IsCreated = true;
        }

        file.End += batch.Bytes;
        _tailPlaces.Add(batch.Place);
        _index.Append(batch.Place);

        // What waits is of a later generation if all content was replaced meanwhile.
        _gatherSince = null;
        for (int i = 0; i < batch.Count && batch.Generation == _generation; i++)
        {
            _waitingBytes -= BatchBody.SizeOf(_waiting.Dequeue());
        }
    }

    private void ApplyPatch(BatchWork patch)
    {
        if (patch.Generation == _generation)
        {
            _patches.Dequeue();
        }

        patch.File.IsCreated = true;
        _index.Add(patch.File);
        _index.Replace(patch.Place);
        _removable.AddRange(_index.TakeReplacedPatches());
    }

    private void Apply(ArchiveRecord record)
    {
        if (ReferenceEquals(record, _wanted))
        {
            _wanted = null;
        }

        Sessions = record.Sessions;
        if (record.Generation != _durableGeneration)
        {
            _durableGeneration = record.Generation;
            _replaces &= record.Generation != _generation;
            _removable.AddRange(_index.Reset(record.First));
            (_tail, _tailPlaces) = (null, []);
            (Health, Trouble, _mayRemove) = (ArchiveHealth.Good, "", true);
            return;
        }

        _removable.AddRange(_index.TrimBefore(record.First));
        if (_tail is { IsRetired: true })
        {
            (_tail, _tailPlaces) = (null, []);
        }
    }
}
