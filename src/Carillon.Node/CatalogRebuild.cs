using Carillon.Protocols;
using Carillon.Protocols.Cluster;

namespace Carillon.Node;

/// <summary>Where the rebuilding of a lost catalog stands.</summary>
internal enum RebuildStage
{
    /// <summary>Nothing is being rebuilt.</summary>
    None,

    /// <summary>A quorum of other servers gives all that they keep.</summary>
    Merging,

    /// <summary>They are asked which submissions are open, and go on being asked until each of those has been decided without this
    /// server.</summary>
    Waiting,

    /// <summary>What was decided meanwhile is merged too.</summary>
    MergingAgain,
}

/// <summary>
/// How a server whose catalog was lost votes again (3-vector-exchange, "Disks"): what it had decided is forgotten, so its word could undo
/// an outcome. It may
/// vote once a full quorum of <em>other</em> servers has given it all kept versions and outcomes, and all that was open with them has been
/// decided without it.
/// </summary>
internal sealed class CatalogRebuild(ClusterConfiguration configuration, NodeId self)
{
    private readonly SortedDictionary<NodeId, HashSet<Tag>?> _sources = [];
    private Instant _since;

    public RebuildStage Stage { get; private set; }

    /// <summary>Begins; what was merged before does not count.</summary>
    public void Begin(Instant now)
    {
        Stage = RebuildStage.Merging;
        _since = now;
        _sources.Clear();
    }

    /// <summary>A comparison with a peer that began at a time has ended. True if the rebuilding has ended by it.</summary>
    public bool Merged(NodeId peer, Instant began, Instant now)
    {
        if (Stage is not (RebuildStage.Merging or RebuildStage.MergingAgain) || began < _since || configuration.BitOf(peer) < 0
            || peer == self)
        {
            return false;
        }

        _sources.TryAdd(peer, null);
        if (_sources.Count < configuration.Quorum.Size)
        {
            return false;
        }

        if (Stage == RebuildStage.MergingAgain)
        {
            Stage = RebuildStage.None;
            return true;
        }

        Stage = RebuildStage.Waiting;
        return false;
    }

    /// <summary>Those that are asked for their open submissions now.</summary>
    public IEnumerable<NodeId> ToAsk => Stage == RebuildStage.Waiting ? _sources.Keys : [];

    /// <summary>
    /// A source's open submissions. The first answer says which must be decided; a later one which of them are left. True if the next
    /// comparisons should
    /// begin at once.
    /// </summary>
    public bool Hear(NodeId from, IEnumerable<Tag> open, Instant now)
    {
        if (Stage != RebuildStage.Waiting || !_sources.TryGetValue(from, out HashSet<Tag>? left))
        {
            return false;
        }

        if (left is null)
        {
            _sources[from] = [.. open];
        }
        else
        {
            left.IntersectWith(open);
        }

        if (_sources.Values.Any(tags => tags is null or { Count: > 0 }))
        {
            return false;
        }

        Stage = RebuildStage.MergingAgain;
        _since = now;
        _sources.Clear();
        return true;
    }
}
