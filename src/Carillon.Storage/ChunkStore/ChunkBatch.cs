using System.Buffers;
using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <summary>
/// Records of a <see cref="ChunkStore"/> that become durable together. The driver runs <see cref="Write"/> and <see cref="Flush"/>
/// on a thread that may block, then gives the batch back to <see cref="ChunkStore.Complete(ChunkBatch, StorageException?)"/>.
/// </summary>
/// <remarks>
/// Callers' buffers are read in place: they must not change before the batch is complete. One file is flushed per batch; a second one
/// only where a segment was just closed.
/// </remarks>
public sealed class ChunkBatch
{
    // Headers and small payloads are gathered, so that thousands of small records are a few writes.
    private const int StagingBytes = 256 << 10;
    private const int LargePayloadBytes = 64 << 10;

    private readonly IStorageDevice _device;
    private readonly string _folder;
    private readonly SegmentFiles _files;
    private readonly DiskId _disk;

    internal ChunkBatch(IStorageDevice device, string folder, SegmentFiles files, DiskId disk, ChunkSegment segment)
    {
        _device = device;
        _folder = folder;
        _files = files;
        _disk = disk;
        Segment = segment;
        Start = RecordHeader.AlignToBatch(segment.End);
        End = Start;
    }

    /// <summary>Bytes that it writes.</summary>
    public long Bytes => End - Start;

    /// <summary>Records in it.</summary>
    public int Count => Records.Count;

    /// <summary>Every ticket up to this one that was not covered by an earlier batch is covered by this one.</summary>
    public ChunkTicket Last { get; internal set; }

    internal ChunkSegment Segment { get; }

    internal long Start { get; }

    internal long End { get; private set; }

    internal List<(PendingRecord Record, uint Offset)> Records { get; } = [];

    /// <summary>Segments that are full and durable, and get their footers now.</summary>
    internal List<ChunkSegment> Closing { get; } = [];

    /// <summary>Those of them whose footer is written and flushed.</summary>
    internal List<ChunkSegment> Closed { get; } = [];

    /// <summary>Segments that compaction emptied, and that nobody reads any more.</summary>
    internal List<ChunkSegment> Deleting { get; } = [];

    internal long FreeBytes { get; private set; }

    /// <summary>True if the device was read-only: the batch writes even if it has nothing to write.</summary>
    internal bool Probes { get; init; }

    /// <summary>True if the batch covers the ticket.</summary>
    public bool Covers(ChunkTicket ticket) => ticket.Sequence <= Last.Sequence;

    /// <summary>Writes all records; nothing is durable yet.</summary>
    /// <exception cref="StorageException">The device refused; give it to <c>Complete</c>.</exception>
    public void Write()
    {
        foreach (ChunkSegment segment in Deleting)
        {
            _device.Delete(_folder, segment.FileName);
        }

        foreach (ChunkSegment segment in Closing)
        {
            TryWriteFooter(segment);
        }

        if (Records.Count > 0 || Probes)
        {
            WithFile(Segment, WriteRecords);
        }
    }

    /// <summary>Makes all records durable.</summary>
    /// <exception cref="StorageException">The device refused; give it to <c>Complete</c>.</exception>
    public void Flush()
    {
        if (SeededBug.Is("chunk-ack-before-flush"))
        {
            return;
        }

        if (Records.Count > 0)
        {
            WithFile(Segment, file => file.Flush());
            if (!Segment.IsCreated)
            {
                _device.FlushFolder(_folder);
            }
        }

        foreach (ChunkSegment segment in Closed)
        {
            WithFile(segment, file => file.Flush());
        }

        FreeBytes = _device.FreeBytesOrNone();
    }

    internal void Add(PendingRecord record)
    {
        Records.Add((record, (uint)End));
        End += RecordHeader.ExtentOf(record.Payload.Length);
        Last = new ChunkTicket(record.Sequence);
    }

    // A footer saves time at the next start, nothing else: where there is no room for it, the segment will be scanned.
    private void TryWriteFooter(ChunkSegment segment)
    {
        try
        {
            long at = RecordHeader.AlignToBatch(segment.End);
            byte[] footer = segment.Footer!.Encode(segment.Number, at, RecordHeader.SeedOf(_disk));
            WithFile(segment, file => file.Write(at, footer));
            Closed.Add(segment);
        }
        catch (StorageException refusal) when (refusal.Fault == StorageFault.Full)
        {
            WithFile(segment, file => file.SetLength(segment.End));
        }
    }

    private void WriteRecords(IStorageFile file)
    {
        if (Segment.NeedsCut || Probes)
        {
            file.SetLength(Segment.IsCreated ? Start : 0);
        }

        uint seed = RecordHeader.SeedOf(_disk);
        using var staging = new Staging(file);
        if (!Segment.IsCreated && Records.Count > 0)
        {
            SegmentFormat.WriteHeader(staging.Take(0, SegmentFormat.BlockSize), Segment.Number, _disk);
        }

        for (int i = 0; i < Records.Count; i++)
        {
            (PendingRecord record, uint offset) = Records[i];
            record.HeaderAt(Segment, offset, i == 0, i == Records.Count - 1).Write(staging.Take(offset, RecordHeader.Size), seed);
            if (record.Payload.Length > LargePayloadBytes)
            {
                staging.Empty();
                file.Write(offset + RecordHeader.Size, record.Payload.Span);
            }
            else
            {
                record.Payload.Span.CopyTo(staging.Take(offset + RecordHeader.Size, record.Payload.Length));
            }
        }

        staging.Empty();
    }

    private void WithFile(ChunkSegment segment, Action<IStorageFile> use)
    {
        Invariant.That(_files.TryAcquire(segment, out IStorageFile file));
        try
        {
            use(file);
        }
        finally
        {
            _files.Release(segment);
        }
    }

    /// <summary>Joins neighbouring pieces into one write.</summary>
    private sealed class Staging(IStorageFile file) : IDisposable
    {
        private readonly byte[] _buffer = ArrayPool<byte>.Shared.Rent(StagingBytes);
        private long _start;
        private int _length;

        /// <summary>Room for bytes at a place of the file behind all places so far; what lies between is zeros.</summary>
        public Span<byte> Take(long at, int count)
        {
            if (at + count - _start > StagingBytes || _length == 0)
            {
                Empty();
                _start = at;
            }

            int place = (int)(at - _start);
            _buffer.AsSpan(_length, place - _length).Clear();
            _length = place + count;
            return _buffer.AsSpan(place, count);
        }

        public void Empty()
        {
            if (_length > 0)
            {
                file.Write(_start, _buffer.AsSpan(0, _length));
                _length = 0;
            }
        }

        public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);
    }
}
