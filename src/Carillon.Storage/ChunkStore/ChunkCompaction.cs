using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <summary>
/// One step of moving the live records of a segment elsewhere, so that its file can go. The driver runs it on a thread that may
/// block, then gives it back to <see cref="ChunkStore.Complete(ChunkCompaction, StorageException?)"/>. A step only reads: what it read
/// is written by ordinary batches.
/// </summary>
public sealed class ChunkCompaction
{
    private readonly ChunkStore _store;
    private readonly SegmentFiles _files;
    private readonly DiskId _disk;

    internal ChunkCompaction(ChunkStore store, SegmentFiles files, DiskId disk, ChunkSegment segment)
    {
        _store = store;
        _files = files;
        _disk = disk;
        Segment = segment;
    }

    /// <summary>Bytes that it reads at most.</summary>
    public long Bytes => Wanted is null ? 0 : Wanted.Sum(location => location.Length);

    internal ChunkSegment Segment { get; }

    /// <summary>The chunks to read; null for the first step, which lists the segment's records.</summary>
    internal List<ChunkLocation>? Wanted { get; init; }

    internal List<RecordHeader> Records { get; } = [];

    internal List<ChunkDamage> Damage { get; } = [];

    /// <summary>The put-intents that the segment's records state, and the replicas that records of intents ask for.</summary>
    internal List<(Tag Tag, ChunkId Id, byte Replicas)> Intents { get; } = [];

    internal List<(ChunkLocation Location, byte[] Bytes)> Good { get; } = [];

    internal List<ChunkLocation> Bad { get; } = [];

    /// <summary>Reads.</summary>
    /// <exception cref="StorageException">The device failed; give it to <c>Complete</c>.</exception>
    public void Run()
    {
        if (Wanted is not null)
        {
            Wanted.ForEach(ReadChunk);
            return;
        }

        if (!_files.TryAcquire(Segment, out IStorageFile file))
        {
            return;
        }

        try
        {
            new SegmentReader(_disk).Read(file, Segment.Number, Records, Damage);
            foreach (RecordHeader record in Records)
            {
                ListIntents(file, record);
            }
        }
        finally
        {
            _files.Release(Segment);
        }
    }

    private void ListIntents(IStorageFile file, RecordHeader record)
    {
        if (record.Kind == RecordKind.Chunk && !record.Tag.IsNone)
        {
            Intents.Add((record.Tag, record.Id, 1));
        }
        else if (record.Kind == RecordKind.Intents)
        {
            foreach (ChunkId id in SegmentReader.ReadIntents(file, record) ?? [])
            {
                Intents.Add((record.Tag, id, record.Replicas));
            }
        }
    }

    private void ReadChunk(ChunkLocation location)
    {
        byte[] bytes = new byte[location.Length];
        switch (_store.Read(location, bytes))
        {
            case ChunkRead.Ok:
                Good.Add((location, bytes));
                break;
            case ChunkRead.Corrupt:
                Bad.Add(location);
                break;
            case ChunkRead.Failed:
                throw new StorageException($"{Segment.FileName} can't be read.");
            default:
                break;
        }
    }
}
