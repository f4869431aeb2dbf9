using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;
using Carillon.Storage.Log;

namespace Carillon.Simulator.World;

/// <summary>
/// Reads a server's stores back from a copy of its durable image, by the records' own formats (docs/formats/log-records.md) and not by the
/// code that wrote them; the catalog only where the log does not have what is asked for.
/// </summary>
internal sealed class DurableImage : IDurableImage
{
    private readonly NodeOptions _options;
    private readonly DiskId _diskId;
    private readonly SimulatedDisk _disk;
    private readonly CatalogMemory _memory;
    private readonly HashSet<Tag> _pending = [];
    private readonly Dictionary<Tag, uint> _bits = [];
    private readonly Dictionary<Tag, uint> _promises = [];
    private readonly HashSet<Tag> _outcomes = [];
    private ChunkStore? _chunks;

    public DurableImage(NodeOptions options, DiskId diskId, SimulatedDisk disk, CatalogMemory memory)
    {
        _options = options;
        _diskId = diskId;
        _disk = disk;
        _memory = memory;
        using SegmentLog log = SegmentLog.Open(disk, "log", diskId, options.Log, (_, record) => Take(record));
    }

    public Timestamp ReservedStamps { get; private set; }

    public bool Holds(Tag tag) => _pending.Contains(tag) || OutcomeInCatalog(tag) == TagOutcome.Accepted;

    public Timestamp OutcomesSince
    {
        get
        {
            using CatalogMemory durable = _memory.DurableCopy();
            using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(durable), _options.Catalog);
            using CatalogReader reader = catalog.OpenReader();
            return reader.OutcomesSince;
        }
    }

    public bool KnowsOutcome(Tag tag) => _outcomes.Contains(tag) || OutcomeInCatalog(tag) != TagOutcome.Unknown;

    public bool HasBit(Tag tag, uint round) => _bits.TryGetValue(tag, out uint set) && set >= round;

    public bool HasPromised(Tag tag, uint round) => _promises.TryGetValue(tag, out uint promised) && promised >= round;

    public bool HasAnyFence { get; private set; }

    public bool Holds(ChunkId chunk)
    {
        _chunks ??= ChunkStore.Open(_disk, "chunks", _diskId, _options.Chunks);
        return _chunks.TryLocate(chunk, out ChunkLocation location)
            && _chunks.Read(location, new byte[location.Length]) == ChunkRead.Ok;
    }

    public void Dispose() => _chunks?.Dispose();

    private TagOutcome OutcomeInCatalog(Tag tag)
    {
        using CatalogMemory durable = _memory.DurableCopy();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(durable), _options.Catalog);
        using CatalogReader reader = catalog.OpenReader();
        return reader.Outcome(tag);
    }

    private void Take(ReadOnlySpan<byte> record)
    {
        var reader = new WireReader(record);
        switch ((RecordType)reader.U8())
        {
            case RecordType.Pending when Submission.TryRead(record[1..], out Submission submission):
                _pending.Add(submission.Tag);
                break;
            case RecordType.Bit:
                Tag tag = reader.Tag();
                _ = reader.Digest();
                _ = reader.U64();
                _bits[tag] = Math.Max(_bits.GetValueOrDefault(tag), reader.U32());
                break;
            case RecordType.Agreed or RecordType.Rejected or RecordType.GivenUp:
                _outcomes.Add(reader.Tag());
                break;
            case RecordType.Promised:
                Tag promised = reader.Tag();
                _promises[promised] = Math.Max(_promises.GetValueOrDefault(promised), reader.U32());
                break;
            case RecordType.KeyFenced:
                HasAnyFence = true;
                break;
            case RecordType.StampsReserved:
                ReservedStamps = Timestamp.Max(ReservedStamps, new Timestamp(reader.U64()));
                break;
            default:
                break;
        }
    }
}
