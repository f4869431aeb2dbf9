using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <content>Records in order: from the queue into a batch, from the batch into the index.</content>
public sealed partial class ChunkStore
{
    private readonly LinkedList<PendingRecord> _queue = [];
    private readonly List<ChunkSegment> _closing = [];
    private readonly List<ChunkSegment> _emptied = [];
    private ChunkSegment? _active;
    private ChunkBatch? _running;
    private ulong _sequence;
    private ulong _completed;
    private long _queuedBytes;
    private int _awaited;
    private long _freeBytes;
    private uint _nextSegment = 1;
    private bool _mayProbe;

    /// <summary>Bytes that wait for a batch or are in one.</summary>
    public long QueuedBytes => _queuedBytes;

    /// <summary>
    /// Begins the next batch, if there is something to write and no batch is running: ask after each completion, and after whatever
    /// gave a ticket.
    /// </summary>
    /// <param name="batch">What the driver runs.</param>
    /// <param name="all">Also what nobody waits for, which otherwise gathers: for an orderly stop.</param>
    public bool TryBeginBatch(out ChunkBatch batch, bool all = false)
    {
        batch = null!;
        bool probes = Health is ChunkStoreHealth.ReadOnly && _mayProbe;
        if (_running is not null || Health is ChunkStoreHealth.Failed || (Health is ChunkStoreHealth.ReadOnly && !probes))
        {
            return false;
        }

        _mayProbe = false;
        bool isDue = _awaited > 0 || _queue.Count >= _options.MaxLazyRecords || (all && _queue.Count > 0);
        bool canDelete = _emptied.Exists(_files.TryRetire);
        if (!isDue && !canDelete && !probes)
        {
            return false;
        }

        _active ??= BeginSegment();
        if (isDue && !Fits(_active, RecordHeader.ExtentOf(_queue.First!.Value.Payload.Length)))
        {
            _closing.Add(_active);
            _active = BeginSegment();
        }

        batch = new ChunkBatch(_device, _folder, _files, _disk, _active) { Probes = probes };
        batch.Closing.AddRange(_closing);
        batch.Deleting.AddRange(_emptied.Where(_files.TryRetire));
        _emptied.RemoveAll(batch.Deleting.Contains);
        while (isDue && _queue.First is { } next && HasPlace(batch, next.Value))
        {
            _queue.RemoveFirst();
            Place(batch, next.Value);
        }

        _running = batch;
        return true;
    }

    /// <summary>
    /// Takes a batch back from the driver. Without a failure, all tickets that it covers are kept; with one, none of them is.
    /// </summary>
    public void Complete(ChunkBatch batch, StorageException? failure)
    {
        Invariant.That(ReferenceEquals(batch, _running));
        _running = null;
        if (failure is null)
        {
            Apply(batch);
            return;
        }

        Trouble = failure.Message;
        foreach ((PendingRecord record, uint _) in batch.Records)
        {
            _queuedBytes -= record.Payload.Length;
            Abandon(record);
        }

        if (failure.Fault == StorageFault.Failed)
        {
            Fail();
            return;
        }

        Sometimes.Reached("chunk-store-refused-a-batch");

        // Nothing of it was acknowledged. What was in memory all along (intents, ends, drops) is written again with the next batch; chunks
        // are not, nor those that wait behind it: whoever waits for a ticket is told now, and takes his bytes back.
        Health = failure.Fault == StorageFault.Full ? ChunkStoreHealth.Full : ChunkStoreHealth.ReadOnly;
        batch.Segment.NeedsCut = true;
        _freeBytes = 0;
        AbandonQueuedChunks();
        _emptied.AddRange(batch.Deleting);
        for (int i = batch.Records.Count - 1; i >= 0; i--)
        {
            PendingRecord record = batch.Records[i].Record;
            if (record.Kind != RecordKind.Chunk)
            {
                Requeue(record);
            }
        }
    }

    private void AbandonQueuedChunks()
    {
        for (LinkedListNode<PendingRecord>? node = _queue.First, next; node is not null; node = next)
        {
            next = node.Next;
            PendingRecord record = node.Value;
            if (record.Kind == RecordKind.Chunk && record.MovedFrom is null)
            {
                _queue.Remove(node);
                _queuedBytes -= record.Payload.Length;
                _awaited -= record.IsLazy ? 0 : 1;
                Abandon(record);
            }
        }
    }

    private void Apply(ChunkBatch batch)
    {
        ChunkSegment segment = batch.Segment;
        foreach ((PendingRecord record, uint offset) in batch.Records)
        {
            _queuedBytes -= record.Payload.Length;
            segment.Footer!.Add(record.HeaderAt(segment, offset));
            ApplyRecord(record, segment, offset);
        }

        if (batch.Records.Count > 0)
        {
            segment.End = batch.End;
            segment.IsCreated = true;
            _completed = batch.Last.Sequence;
        }

        segment.NeedsCut &= batch.Records.Count == 0 && !batch.Probes;
        foreach (ChunkSegment closed in batch.Closed)
        {
            closed.Footer = null;
            _closing.Remove(closed);
            _mayCompact = true;
        }

        _freeBytes = batch.FreeBytes;
        bool hasRoomAgain = Health is ChunkStoreHealth.Full && batch.Records.Count > 0 && _freeBytes > _options.ReserveBytes;
        if (hasRoomAgain || batch.Probes)
        {
            Health = ChunkStoreHealth.Good;
            Trouble = "";
        }

        AdvanceCompaction();
    }

    private void ApplyRecord(PendingRecord record, ChunkSegment segment, uint offset)
    {
        switch (record.Kind)
        {
            case RecordKind.Chunk when record.MovedFrom is { } from:
                from.MovesUnderWay--;
                if (TryLocate(record.Id, out ChunkLocation old) && old.Segment == from && old.Offset == record.MovedFromOffset)
                {
                    from.Moved[old.Offset] = new ChunkLocation(record.Id, old.Length, segment, offset);
                    Move(record.Id, segment, offset);
                }

                break;
            case RecordKind.Chunk when !record.IsDropped:
                _pending.Remove(record.Id);
                Index(record.Id, (uint)record.Payload.Length, record.Replicas, segment, offset);
                NoteIntent(record.Tag, segment, 0);
                break;
            case RecordKind.Chunk:
                break;
            case RecordKind.Intents:
                NoteIntent(record.Tag, segment, RecordHeader.ExtentOf(record.Payload.Length));
                break;
            default:
                NoteNeed(record.Detail, segment);
                break;
        }
    }

    private void NoteIntent(Tag tag, ChunkSegment segment, long neededBytes)
    {
        if (tag.IsNone || _intents.Find(tag) is not { } intents)
        {
            return;
        }

        intents.FirstSegment = intents.FirstSegment == 0 ? segment.Number : intents.FirstSegment;
        if (neededBytes > 0)
        {
            intents.Records.Add((segment.Number, neededBytes));
            segment.NeededBytes += neededBytes;
        }
    }

    // A drop or an end is needed as long as the segment is there whose record it ends.
    private void NoteNeed(uint named, ChunkSegment segment)
    {
        if (named != segment.Number && _segments.TryGetValue(named, out ChunkSegment? target))
        {
            target.Dependents[segment.Number] = target.Dependents.GetValueOrDefault(segment.Number) + RecordHeader.Size;
            segment.NeededBytes += RecordHeader.Size;
        }
    }

    private void ReleaseNeeds(TagIntents ended) => ended.Records.ForEach(record => ReleaseNeed(record.Segment, record.Bytes));

    private void ReleaseNeed(uint number, long bytes)
    {
        if (_segments.TryGetValue(number, out ChunkSegment? segment))
        {
            segment.NeededBytes -= bytes;
            _mayCompact = true;
        }
    }

    private void Abandon(PendingRecord record)
    {
        if (record.MovedFrom is { } from)
        {
            from.MovesUnderWay--;
            GiveUpCompaction();
        }
        else if (record.Kind == RecordKind.Chunk && !record.IsDropped)
        {
            _pending.Remove(record.Id);
        }
    }

    // Whether what was written before is on the disk is not known any more, and asking again may give a false yes (fsyncgate).
    private void Fail()
    {
        Sometimes.Reached("chunk-store-failed");
        Health = ChunkStoreHealth.Failed;
        foreach (PendingRecord record in _queue)
        {
            Abandon(record);
        }

        _queue.Clear();
        _pending.Clear();
        _queuedBytes = 0;
        _awaited = 0;
    }

    private PendingRecord Enqueue(PendingRecord record)
    {
        _queue.AddLast(record);
        _queuedBytes += record.Payload.Length;
        _awaited += record.IsLazy ? 0 : 1;
        return record;
    }

    private void Requeue(PendingRecord record)
    {
        _queue.AddFirst(record);
        _queuedBytes += record.Payload.Length;
        _awaited += record.IsLazy ? 0 : 1;
    }

    private void Place(ChunkBatch batch, PendingRecord record)
    {
        _awaited -= record.IsLazy ? 0 : 1;
        if (record.Kind is RecordKind.EndIntents or RecordKind.Drop && record.Detail == 0)
        {
            // What it ends was queued before it, and is in this segment or the one before.
            record.Detail = batch.Segment.Number;
        }

        batch.Add(record);
    }

    private bool HasPlace(ChunkBatch batch, PendingRecord record)
    {
        long extent = RecordHeader.ExtentOf(record.Payload.Length);
        return batch.Count == 0
            || (!Buggify.Here("chunk-batch-of-one", 0.3)
                && batch.Count < _options.MaxBatchRecords && batch.Bytes + extent <= _options.MaxBatchBytes
                && batch.End + extent <= _options.SegmentBytes && _active!.Footer!.Count + batch.Count < _options.MaxRecordsPerSegment);
    }

    private bool Fits(ChunkSegment segment, long extent) =>
        segment.Footer!.Count == 0
        || (!Buggify.Here("chunk-segment-closed-early") && RecordHeader.AlignToBatch(segment.End) + extent <= _options.SegmentBytes
            && segment.Footer.Count < _options.MaxRecordsPerSegment);

    private ChunkSegment BeginSegment()
    {
        var segment = new ChunkSegment(_nextSegment++) { End = SegmentFormat.RecordsAt, Footer = new FooterBuilder() };
        _segments.Add(segment.Number, segment);
        return segment;
    }

    private bool HasQueueRoom(int length, Tag intent)
    {
        // Nothing was lost when the device became read-only. Whether it still is, is tried whenever somebody asks for a write.
        _mayProbe = Health is ChunkStoreHealth.ReadOnly;
        return Health is not (ChunkStoreHealth.Failed or ChunkStoreHealth.ReadOnly) && HasRoomInQueue(length, intent);
    }

    private bool HasRoomInQueue(int length, Tag intent) =>
        _queue.Count < _options.MaxQueuedRecords
        && (_queuedBytes == 0 || _queuedBytes + length <= _options.MaxQueuedBytes)
        && (intent.IsNone || _intents.Count < _options.MaxIntents);

    private bool HasDeviceRoom(long extent)
    {
        long needed = _queuedBytes + extent + _options.ReserveBytes;
        bool hasRoom = HasRoomFor(needed);
        if (hasRoom && Health is ChunkStoreHealth.Full)
        {
            Health = ChunkStoreHealth.Good;
            Trouble = "";
        }
        else if (!hasRoom && Health is ChunkStoreHealth.Good)
        {
            Health = ChunkStoreHealth.Full;
            Trouble = "the disk is full up to the reserve";
        }

        return hasRoom;
    }

    private bool HasRoomFor(long needed)
    {
        if (_freeBytes < needed)
        {
            // Asked only where the answer would be no: space may have been made by others.
            _freeBytes = _device.FreeBytesOrNone();
        }

        return _freeBytes >= needed;
    }
}
