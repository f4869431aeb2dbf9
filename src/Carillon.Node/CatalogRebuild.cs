using System.Globalization;
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

    /// <summary>What was decided meanwhile with those that had something open is merged too.</summary>
    MergingAgain,
}

/// <summary>
/// How a server whose catalog or disk was lost votes again (3-vector-exchange, "Disks"): what it had decided is forgotten, so its word
/// could undo an outcome. It may vote once a full quorum of <em>other</em> servers, the same ones all through, has given it all kept
/// versions and outcomes, all that was open with them has been decided without it, and it has been given the outcomes of that too.
/// </summary>
/// <remarks>
/// Every quorum of the lost disk and others has at least one of those in common with it. One that is itself being rebuilt, and so does not
/// vote, gives nothing: the caller passes on those only that vote.
/// </remarks>
internal sealed class CatalogRebuild(ClusterConfiguration configuration, NodeId self)
{
    // Those that gave all they keep; with what was open there and is not decided yet, null before they said.
    private readonly SortedDictionary<NodeId, HashSet<Tag>?> _sources = [];

    // Of those with nothing left open, the ones that gave what was decided meanwhile.
    private readonly SortedSet<NodeId> _mergedAgain = [];
    private Instant _since;

    public RebuildStage Stage { get; private set; }

    /// <summary>Those that are asked for their open submissions now.</summary>
    public IEnumerable<NodeId> ToAsk => Stage == RebuildStage.Waiting ? _sources.Keys : [];

    // In a cluster in which all must agree there is no quorum of others, but each of them has everything.
    private int Needed => Math.Min(configuration.Quorum.Size, configuration.Voters.Length - 1);

    /// <inheritdoc/>
    public override string ToString() =>
        $"{Stage} of {string.Join(", ", _sources.Select(s => $"{s.Key} ({s.Value?.Count.ToString(CultureInfo.InvariantCulture) ?? "?"} open)"))}";

    /// <summary>Begins, or begins again; what was merged before does not count.</summary>
    public void Begin(Instant now)
    {
        Stage = RebuildStage.Merging;
        _since = now;
        _sources.Clear();
        _mergedAgain.Clear();
    }

    /// <summary>A comparison with a voter that began at a time has ended. True if the rebuilding has ended by it.</summary>
    public bool Merged(NodeId peer, Instant began)
    {
        if (Stage == RebuildStage.None || began < _since || configuration.BitOf(peer) < 0 || peer == self)
        {
            return false;
        }

        if (Stage == RebuildStage.MergingAgain)
        {
            if (_sources.GetValueOrDefault(peer) is { Count: 0 })
            {
                _mergedAgain.Add(peer);
            }

            bool hasEnded = _mergedAgain.Count >= Needed;
            Stage = hasEnded ? RebuildStage.None : Stage;
            return hasEnded;
        }

        _sources.TryAdd(peer, null);
        Stage = _sources.Count >= Needed ? RebuildStage.Waiting : Stage;
        return false;
    }

    /// <summary>
    /// A source's open submissions. The first answer says which must be decided; a later one which of them are left. True if the next
    /// comparisons should begin at once.
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

        if (_sources.Values.Count(tags => tags is { Count: 0 }) < Needed)
        {
            return false;
        }

        Stage = RebuildStage.MergingAgain;
        _since = now;
        return true;
    }
}
