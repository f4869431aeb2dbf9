using System.Buffers;
using System.Globalization;
using Carillon.Protocols;

namespace Carillon.Storage.Log;

/// <summary>What recovery found, and where the log goes on.</summary>
internal sealed class RecoveredLog
{
    public LogHealth Health { get; set; } = new(LogCondition.Intact, "");

    /// <summary>Segments with needed records, by generation; the last one is written on. Empty for a new log.</summary>
    public List<Segment> Live { get; } = [];

    /// <summary>Segments with nothing that is needed.</summary>
    public List<Segment> Free { get; } = [];

    /// <summary>The number of the next batch.</summary>
    public long NextNumber { get; set; } = 1;

    /// <summary>Records of the log's whole life.</summary>
    public long Records { get; set; }

    /// <summary>Bytes of needed batches.</summary>
    public long LiveBytes { get; set; }

    /// <summary>The last whole batch, or no segment where there is none.</summary>
    public (Segment? Segment, long Offset, int Bytes) Last { get; set; }
}

/// <summary>
/// Reads a log's segments at a start: finds out which are needed, delivers the records of every intact batch in order, and tells a torn
/// tail from corruption by <see cref="RecoveryTable"/>. Bad bytes never throw; memory is bounded by the longest batch and record.
/// </summary>
internal sealed class LogRecovery(DiskId disk, Action<LogPosition, ReadOnlySpan<byte>> recovered)
{
    private readonly SegmentReader _reader = new(disk);
    private readonly RecoveredLog _result = new();
    private readonly ArrayBufferWriter<byte> _pieces = new();

    // The batch looked for. 0: not known, since something is missing before it; the next right header tells.
    private long _number;
    private long _records;
    private bool _isInsideRecord;

    public RecoveredLog Run(IReadOnlyList<Segment> segments)
    {
        Identify(segments);
        long newest = segments.Max(segment => (long?)segment.Generation) ?? 0;
        if (newest == 0)
        {
            return NewLog(segments);
        }

        Sort(segments, FindOldest(segments, newest));
        long expected = _result.Live[0].Generation;
        for (int i = 0; i < _result.Live.Count; i++)
        {
            Segment segment = _result.Live[i];
            if (segment.Generation != expected)
            {
                Corrupt($"segment generations go from {expected - 1} to {segment.Generation}");
                LoseTrack();
            }

            Replay(segment, i + 1 < _result.Live.Count ? _result.Live[i + 1] : null);
            expected = segment.Generation + 1;
        }

        _result.NextNumber = _number;
        _result.Records = _records;
        return _result;
    }

    /// <summary>
    /// Finds each segment's generation: of its first block, or, where that says nothing or is not needed any more, the greatest in it
    /// (a first block whose write was lost leaves an old generation there; then the second batch begins no further in than the longest
    /// batch).
    /// </summary>
    private void Identify(IReadOnlyList<Segment> segments)
    {
        foreach (Segment segment in segments)
        {
            HeaderKind kind = _reader.HeaderAt(segment, 0, out BatchHeader header);
            if (kind == HeaderKind.Foreign)
            {
                throw new StorageException(
                    StorageFault.Failed, $"The log file {segment.Name} belongs to the disk {header.Disk}; this server's disk is {disk}.");
            }

            segment.Generation = kind == HeaderKind.Right ? header.Generation : Greatest(segment, segment.Length);
        }

        long newest = segments.Max(segment => (long?)segment.Generation) ?? 0;
        long oldest = FindOldest(segments, newest);
        foreach (Segment segment in segments)
        {
            if (segment.Generation > 0 && segment.Generation < oldest)
            {
                segment.Generation = Greatest(segment, BatchHeader.MaxBatchBytes);
            }
        }
    }

    private long Greatest(Segment segment, long upTo)
    {
        long greatest = 0;
        for (long offset = 0; _reader.TryFind(segment, 0, ref offset, out BatchHeader header, upTo); offset += BatchHeader.Block)
        {
            greatest = Math.Max(greatest, header.Generation);
        }

        return greatest;
    }

    /// <summary>
    /// The oldest generation needed, as the last whole batch says it. A torn one does not count: segments may be used again only once
    /// the batch that gives them up is durable.
    /// </summary>
    private long FindOldest(IReadOnlyList<Segment> segments, long newest)
    {
        long fallback = newest;
        for (long generation = newest; generation >= Math.Max(1, newest - 1); generation--)
        {
            Segment? segment = segments.FirstOrDefault(candidate => candidate.Generation == generation);
            if (segment is null)
            {
                continue;
            }

            var batches = new List<(long Offset, BatchHeader Header)>();
            for (long offset = 0; _reader.TryFind(segment, generation, ref offset, out BatchHeader header); offset += BatchHeader.Block)
            {
                batches.Add((offset, header));
            }

            batches.Reverse();
            foreach ((long offset, BatchHeader header) in batches)
            {
                if (_reader.TryReadPayload(segment, offset, header, out _))
                {
                    return header.Oldest;
                }

                fallback = Math.Min(fallback, header.Oldest);
            }
        }

        return fallback;
    }

    private void Sort(IReadOnlyList<Segment> segments, long oldest)
    {
        foreach (Segment segment in segments)
        {
            (segment.Generation >= oldest ? _result.Live : _result.Free).Add(segment);
        }

        _result.Live.Sort((a, b) => a.Generation.CompareTo(b.Generation));
        for (int i = _result.Live.Count - 1; i > 0; i--)
        {
            if (_result.Live[i].Generation == _result.Live[i - 1].Generation)
            {
                Corrupt($"two segments have generation {_result.Live[i].Generation}");
                _result.Free.Add(_result.Live[i]);
                _result.Live.RemoveAt(i);
            }
        }

        if (_result.Live[0].Generation != oldest)
        {
            Corrupt($"the segment of generation {oldest} is missing");
        }
    }

    private void Replay(Segment segment, Segment? next)
    {
        long offset = 0;
        while (true)
        {
            BatchFound here = Examine(segment, offset, out BatchHeader header, out ReadOnlySpan<byte> payload);
            BatchesBehind behind = here == BatchFound.Whole ? BatchesBehind.None : LookBehind(segment, next, offset);
            RecoveryStep step = RecoveryTable.Decide(here, behind);
            switch (step)
            {
                case RecoveryStep.Take:
                    Take(segment, offset, header, payload);
                    offset += header.AlignedBytes;
                    continue;
                case RecoveryStep.DropTornTail when _result.Health.Condition == LogCondition.Intact:
                    Sometimes.Reached("log-drops-a-torn-tail");
                    _result.Health = new LogHealth(LogCondition.TornTail, At(segment, offset, "was cut off by a crash and is dropped"));
                    break;
                case RecoveryStep.ReportCorruption:
                    Sometimes.Reached("log-found-corrupt");
                    Corrupt(At(segment, offset, $"is damaged ({here}), and later ones are there"));
                    LoseTrack();
                    offset += BatchHeader.Block;
                    if (_reader.TryFind(segment, segment.Generation, ref offset, out _))
                    {
                        continue;
                    }

                    break;
            }

            segment.Offset = offset;
            return;
        }
    }

    private BatchFound Examine(Segment segment, long offset, out BatchHeader header, out ReadOnlySpan<byte> payload)
    {
        payload = default;
        switch (_reader.HeaderAt(segment, offset, out header))
        {
            case HeaderKind.Broken:
                return BatchFound.Broken;
            case HeaderKind.Right when header.Generation < segment.Generation:
                return BatchFound.Stale;
            case HeaderKind.Right when header.Generation == segment.Generation && IsExpected(header):
                return _reader.TryReadPayload(segment, offset, header, out payload) ? BatchFound.Whole : BatchFound.Torn;
            case HeaderKind.Right:
                return BatchFound.Broken;
            default:
                return BatchFound.Blank;
        }
    }

    private bool IsExpected(in BatchHeader header)
    {
        if (_number == 0)
        {
            (_number, _records) = (header.Number, header.Before);
        }

        return header.Number == _number && header.Before == _records;
    }

    private BatchesBehind LookBehind(Segment segment, Segment? next, long offset)
    {
        if (next is not null)
        {
            bool isNext = next.Generation == segment.Generation + 1
                && _reader.HeaderAt(next, 0, out BatchHeader first) == HeaderKind.Right
                && first.Generation == next.Generation
                && first.Number == _number;
            return isNext ? BatchesBehind.NextSegment : BatchesBehind.Later;
        }

        for (long at = offset + BatchHeader.Block;
            _reader.TryFind(segment, segment.Generation, ref at, out BatchHeader later);
            at += BatchHeader.Block)
        {
            if (later.Number >= _number)
            {
                return BatchesBehind.Later;
            }
        }

        return BatchesBehind.None;
    }

    private void Take(Segment segment, long offset, in BatchHeader header, ReadOnlySpan<byte> payload)
    {
        while (BatchPayload.TryTake(ref payload, out EntryKind kind, out ReadOnlySpan<byte> entry))
        {
            TakeEntry(kind, entry);
        }

        _number++;
        segment.LastTouching = _records + (_isInsideRecord ? 1 : 0);
        _result.LiveBytes += header.AlignedBytes;
        _result.Last = (segment, offset, header.AlignedBytes);
    }

    /// <summary>
    /// Pieces whose beginning is not there (cut, or behind a gap) count as a record and are not delivered; nor is a record that a crash
    /// left without its end.
    /// </summary>
    private void TakeEntry(EntryKind kind, ReadOnlySpan<byte> entry)
    {
        if (kind == EntryKind.Whole)
        {
            _isInsideRecord = false;
            recovered(new LogPosition(++_records), entry);
            return;
        }

        if (kind == EntryKind.First)
        {
            _pieces.ResetWrittenCount();
            _isInsideRecord = true;
        }

        _isInsideRecord &= _pieces.WrittenCount + entry.Length <= SegmentLog.MaxRecordBytes;
        if (_isInsideRecord)
        {
            _pieces.Write(entry);
        }

        if (kind == EntryKind.Last)
        {
            _records++;
            if (_isInsideRecord)
            {
                _isInsideRecord = false;
                recovered(new LogPosition(_records), _pieces.WrittenSpan);
            }
        }
    }

    private RecoveredLog NewLog(IReadOnlyList<Segment> segments)
    {
        _result.Free.AddRange(segments);
        foreach (Segment segment in segments)
        {
            if (_reader.HeaderAt(segment, 0, out _) == HeaderKind.Broken)
            {
                _result.Health = new LogHealth(LogCondition.TornTail, At(segment, 0, "is the first one, is not whole, and is dropped"));
            }
        }

        return _result;
    }

    private void LoseTrack()
    {
        _number = 0;
        _isInsideRecord = false;
    }

    private void Corrupt(string reason)
    {
        if (_result.Health.Condition != LogCondition.Corrupt)
        {
            _result.Health = new LogHealth(LogCondition.Corrupt, $"The log is corrupt: {reason}.");
        }
    }

    private string At(Segment segment, long offset, string what) =>
        string.Create(CultureInfo.InvariantCulture, $"batch {_number} at byte {offset} of {segment.Name} {what}");
}
