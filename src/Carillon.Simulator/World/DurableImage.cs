using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;
using Carillon.Storage.Log;

namespace Carillon.Simulator.World;

/// <summary>Reads a server's stores back from a copy of its durable image; the catalog only where the log does not have what is asked
/// for.</summary>
internal sealed class DurableImage : IDurableImage
{
    private readonly NodeOptions _options;
    private readonly DiskId _diskId;
    private readonly SimulatedDisk _disk;
    private readonly CatalogMemory _memory;
    private readonly HashSet<Tag> _pending = [];
    private ChunkStore? _chunks;

    public DurableImage(NodeOptions options, DiskId diskId, SimulatedDisk disk, CatalogMemory memory)
    {
        _options = options;
        _diskId = diskId;
        _disk = disk;
        _memory = memory;
        using SegmentLog log = SegmentLog.Open(disk, "log", diskId, options.Log, (_, record) =>
        {
            if (record[0] == (byte)RecordType.Pending && Submission.TryRead(record[1..], out Submission submission))
            {
                _pending.Add(submission.Tag);
            }
        });
    }

    public bool Holds(Tag tag)
    {
        if (_pending.Contains(tag))
        {
            return true;
        }

        using CatalogMemory durable = _memory.DurableCopy();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(durable), _options.Catalog);
        using CatalogReader reader = catalog.OpenReader();
        return reader.Outcome(tag) == TagOutcome.Accepted;
    }

    public bool Holds(ChunkId chunk)
    {
        _chunks ??= ChunkStore.Open(_disk, "chunks", _diskId, _options.Chunks);
        return _chunks.TryLocate(chunk, out ChunkLocation location)
            && _chunks.Read(location, new byte[location.Length]) == ChunkRead.Ok;
    }

    public void Dispose() => _chunks?.Dispose();
}
