using Carillon.Protocols.Replicast;

namespace Carillon.Protocols.Tests.Replicast;

/// <summary>A disk of the lab: what is durable, and which copies are rotten.</summary>
internal sealed class LabInventory : IChunkInventory
{
    private readonly SortedSet<ChunkId> _order = [];
    private readonly Dictionary<ChunkId, (uint Length, int Replicas)> _chunks = [];
    private readonly SetDigest[,] _digests = new SetDigest[IChunkInventory.Rows, IChunkInventory.MaxReplicas + 1];

    public HashSet<ChunkId> Rotten { get; } = [];

    public Dictionary<ChunkId, HashSet<Tag>> Intents { get; } = [];

    public int Count => _chunks.Count;

    public IEnumerable<ChunkId> All => _order;

    public bool Contains(ChunkId id) => _chunks.ContainsKey(id);

    public bool HasIntent(ChunkId id) => Intents.TryGetValue(id, out HashSet<Tag>? tags) && tags.Count > 0;

    public bool TryDescribe(ChunkId id, out uint storedLength, out int replicas)
    {
        bool found = _chunks.TryGetValue(id, out (uint Length, int Replicas) chunk);
        (storedLength, replicas) = chunk;
        return found;
    }

    public SetDigest DigestOf(int row, int rank)
    {
        SetDigest digest = default;
        for (int replicas = rank + 1; replicas <= IChunkInventory.MaxReplicas; replicas++)
        {
            digest += _digests[row, replicas];
        }

        return digest;
    }

    public IReadOnlyList<ChunkId> From(ChunkId after, int count) =>
        _order.Count == 0 || _order.Max.CompareTo(after) <= 0
            ? []
            : [.. _order.GetViewBetween(after, _order.Max).Where(id => id != after).Take(count)];

    public void Store(ChunkId id, uint length, int replicas, Tag intent)
    {
        TryDescribe(id, out _, out int earlier);
        replicas = Math.Max(replicas, earlier);
        bool wasRotten = Rotten.Contains(id);
        Remove(id);
        _chunks[id] = (length, replicas);
        _order.Add(id);
        ref SetDigest digest = ref _digests[HashAllocationTable.RowOf(id), replicas];
        digest = digest.With(id);
        if (wasRotten)
        {
            Rotten.Add(id);
        }

        if (!intent.IsNone)
        {
            Intents.TryAdd(id, []);
            Intents[id].Add(intent);
        }
    }

    public void Remove(ChunkId id)
    {
        if (_chunks.Remove(id, out (uint Length, int Replicas) chunk))
        {
            ref SetDigest digest = ref _digests[HashAllocationTable.RowOf(id), chunk.Replicas];
            digest = digest.Without(id);
            _order.Remove(id);
            Rotten.Remove(id);
        }
    }

    public void EndIntents(Tag tag)
    {
        foreach (HashSet<Tag> tags in Intents.Values)
        {
            tags.Remove(tag);
        }
    }
}
