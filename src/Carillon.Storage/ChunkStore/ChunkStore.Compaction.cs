using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <content>
/// Compaction: the live records of a segment are appended again, then its file is removed. Since the copies are ordinary records, later in
/// the one order of all, a crash at any point leaves a store that is right: at worst some chunks are there twice, and the later copy
/// counts. </content>
public sealed partial class ChunkStore
{
    private CompactionTask? _compaction;
    private bool _mayCompact;

    /// <summary>Where a compaction stands.</summary>
    private enum CompactionState
    {
        /// <summary>The segment's records are being listed.</summary>
        Listing,

        /// <summary>Live chunks are read and appended again, a few at a time.</summary>
        Moving,

        /// <summary>All else that must be kept is queued; the segment goes when that is durable.</summary>
        Draining,
    }

    /// <summary>
    /// Begins the next step of compaction, if there is one: ask after each completion of a batch or a step, while the disk has time.
    /// </summary>
    public bool TryBeginCompaction(out ChunkCompaction work)
    {
        work = null!;
        if (Health is ChunkStoreHealth.Failed or ChunkStoreHealth.ReadOnly || _compaction is { Running: not null })
        {
            return false;
        }

        if (_compaction is null)
        {
            if (ChooseSegment() is not { } chosen)
            {
                return false;
            }

            work = new ChunkCompaction(this, _files, _disk, chosen);
            _compaction = new CompactionTask(chosen) { Running = work };
            return true;
        }

        if (_compaction.State != CompactionState.Moving || _compaction.Segment.MovesUnderWay > 0)
        {
            return false;
        }

        if (NextLive(_compaction) is not { } wanted)
        {
            // Tried again when something was dropped or a segment was closed.
            GiveUpCompaction();
            return false;
        }

        if (wanted.Count == 0)
        {
            Restate(_compaction);
            AdvanceCompaction();
            return false;
        }

        work = new ChunkCompaction(this, _files, _disk, _compaction.Segment) { Wanted = wanted };
        _compaction.Running = work;
        return true;
    }

    /// <summary>Takes a step back from the driver.</summary>
    public void Complete(ChunkCompaction work, StorageException? failure)
    {
        if (_compaction is not { } task || task.Running != work)
        {
            return;
        }

        task.Running = null;
        if (failure is not null)
        {
            LeaveAlone(task.Segment, failure.Message);
            return;
        }

        if (work.Wanted is null)
        {
            if (work.Damage.Count > 0 && !task.Segment.NeedsRewrite)
            {
                // Since it was opened: what the list does not show must not go with the file.
                LeaveAlone(task.Segment, work.Damage[0].What);
                return;
            }

            task.Records = work.Records;
            task.Intents = work.Intents;
            task.State = CompactionState.Moving;
            return;
        }

        work.Bad.ForEach(DropDamaged);
        foreach ((ChunkLocation location, byte[] bytes) in work.Good)
        {
            MoveAside(location, bytes);
        }
    }

    private void MoveAside(ChunkLocation location, byte[] bytes)
    {
        if (!TryLocate(location.Id, out ChunkLocation current) || current != location || Health is ChunkStoreHealth.Failed)
        {
            return;
        }

        TryDescribe(location.Id, out _, out int replicas);
        location.Segment.MovesUnderWay++;
        Enqueue(new PendingRecord
        {
            Kind = RecordKind.Chunk, Sequence = ++_sequence, Id = location.Id, Payload = bytes, Replicas = (byte)replicas,
            MovedFrom = location.Segment, MovedFromOffset = location.Offset,
        });
    }

    private void Move(ChunkId id, ChunkSegment segment, uint offset)
    {
        ref IndexEntry entry = ref _index.Find(id);
        long extent = RecordHeader.ExtentOf(entry.Length);
        _segments[entry.Segment].LiveBytes -= extent;
        segment.LiveBytes += extent;
        entry.Segment = segment.Number;
        entry.Offset = offset;
    }

    // Null where there is no room, not even in the reserve, which is for this.
    private List<ChunkLocation>? NextLive(CompactionTask task)
    {
        var wanted = new List<ChunkLocation>();
        long bytes = 0;
        for (; task.Next < task.Records.Count && bytes < _options.CompactionStepBytes; task.Next++)
        {
            RecordHeader record = task.Records[task.Next];
            if (record.Kind == RecordKind.Chunk && TryLocate(record.Id, out ChunkLocation location)
                && location.Segment == task.Segment && location.Offset == record.Offset)
            {
                if (!HasRoomFor(_queuedBytes + bytes + RecordHeader.ExtentOf(record.Length)))
                {
                    return null;
                }

                wanted.Add(location);
                bytes += record.Length;
            }
        }

        return wanted;
    }

    // What else the segment says and is still needed: open intents, and replicas that the chunk's own record does not know of,
    // always; ends and drops while the record that they end could come back without them.
    private void Restate(CompactionTask task)
    {
        var kept = new SortedDictionary<(Tag Tag, int Replicas), SortedSet<ChunkId>>();
        foreach ((Tag tag, ChunkId id, byte asked) in task.Intents)
        {
            bool isOpen = _intents.Contains(tag, id);
            bool raises = asked > 1 && TryLocate(id, out ChunkLocation location) && location.Segment.Number < task.Segment.Number
                && TryDescribe(id, out _, out int replicas) && replicas == asked;
            if (isOpen || raises)
            {
                (Tag, int) key = (isOpen ? tag : default, raises ? asked : 1);
                kept.TryAdd(key, []);
                kept[key].Add(id);
            }
        }

        foreach (((Tag tag, int replicas), SortedSet<ChunkId> ids) in kept)
        {
            foreach (ChunkId[] page in ids.Chunk(SegmentReader.MaxIntentsPerRecord))
            {
                task.Last = EnqueueIntents(tag, page, replicas).Sequence;
            }
        }

        foreach (RecordHeader record in task.Records)
        {
            // Not where the chunk or the tag is back since: repeated now, the drop or end would fall upon that.
            bool isOver = record.Kind switch
            {
                RecordKind.EndIntents => _intents.Find(record.Tag) is null,
                RecordKind.Drop => !Contains(record.Id) && !_pending.ContainsKey(record.Id),
                _ => false,
            };
            if (isOver && record.Detail != task.Segment.Number && _segments.ContainsKey(record.Detail))
            {
                Enqueue(new PendingRecord
                {
                    Kind = record.Kind, Sequence = ++_sequence, Id = record.Id, Tag = record.Tag, Detail = record.Detail,
                    IsLazy = true,
                });
            }
        }

        task.State = CompactionState.Draining;
    }

    private void AdvanceCompaction()
    {
        if (_compaction is not { State: CompactionState.Draining } task || _completed < task.Last)
        {
            return;
        }

        if (task.Segment.LiveBytes != 0)
        {
            LeaveAlone(task.Segment, "its list of records misses chunks that are in it");
            return;
        }

        task.Segment.ForwardTo(task.Segment.Moved);
        _segments.Remove(task.Segment.Number);
        foreach ((uint number, long bytes) in task.Segment.Dependents)
        {
            ReleaseNeed(number, bytes);
        }

        _emptied.Add(task.Segment);
        _compaction = null;
    }

    private void GiveUpCompaction()
    {
        _compaction = null;
        _mayCompact = false;
    }

    private void LeaveAlone(ChunkSegment segment, string reason)
    {
        segment.IsUnmovable = true;
        ReportDamage(new ChunkDamage(segment.Number, 0, null, $"the segment can't be compacted: {reason}"));
        _compaction = null;
        _mayCompact = true;
    }

    private ChunkSegment? ChooseSegment()
    {
        if (!_mayCompact)
        {
            return null;
        }

        _mayCompact = false;
        ChunkSegment? chosen = null;
        long least = long.MaxValue;
        int small = _segments.Values.Count(s => IsClosed(s) && s.End < _options.SegmentBytes / 2);
        foreach (ChunkSegment segment in _segments.Values)
        {
            long used = segment.End - SegmentFormat.RecordsAt;
            long kept = segment.LiveBytes + segment.NeededBytes;
            bool isSparse = kept < used * _options.CompactBelow;
            bool isSmall = segment.End < _options.SegmentBytes / 2 && small > _options.MaxSmallSegments;
            if (IsClosed(segment) && !segment.IsUnmovable && (isSparse || isSmall || segment.NeedsRewrite)
                && kept < least)
            {
                chosen = segment;
                least = kept;
            }
        }

        _mayCompact = chosen is not null;
        return chosen;
    }

    private bool IsClosed(ChunkSegment segment) => segment.Footer is null && segment != _active;

    private sealed class CompactionTask(ChunkSegment segment)
    {
        public ChunkSegment Segment { get; } = segment;

        public CompactionState State { get; set; }

        /// <summary>The step that the driver has; null between steps.</summary>
        public ChunkCompaction? Running { get; set; }

        public List<RecordHeader> Records { get; set; } = [];

        public List<(Tag Tag, ChunkId Id, byte Replicas)> Intents { get; set; } = [];

        /// <summary>The next record to look at.</summary>
        public int Next { get; set; }

        /// <summary>The ticket of the last intent stated again.</summary>
        public ulong Last { get; set; }
    }
}
