using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What a run of index merge claims at its end: all that the peer kept when it began is known here, or on its way into the catalog. The
/// collection of chunks and the return of a damaged disk rest on it; that the feed brings most of it too, later, hides a gap from the
/// comparison of listings.
/// </summary>
internal sealed class MergeChecker(SimulatedWorld world)
{
    private readonly Dictionary<(NodeId Asker, NodeId Peer), MergeRun> _runs = [];

    /// <summary>A message of index merge is sent: the first of a run shows what there is to learn.</summary>
    public void OnMessage(NodeId from, NodeId to, ReadOnlySpan<byte> payload)
    {
        if (!MergeMessage.TryRead(payload, out MergeMessage message) || message.Type != MergeMessageType.Compare
            || message.Range != MergeRange.Root || !message.After.IsNone
            || NodeOf(from) is not { } asker || NodeOf(to) is not { } peer)
        {
            return;
        }

        if (_runs.TryGetValue((from, to), out MergeRun? known) && known.Number == message.Run && known.Asker == asker)
        {
            return;
        }

        Tag[] lacking = asker.CatalogDigest() == peer.CatalogDigest() ? [] : [.. peer.KeptTags().Where(tag => !Knows(asker, tag))];
        _runs[(from, to)] = new MergeRun(message.Run, asker, asker.MergedWith(to), lacking);
    }

    /// <summary>Looks at the runs that have come to their end.</summary>
    public void Look()
    {
        foreach (((NodeId from, NodeId to), MergeRun run) in _runs.ToArray())
        {
            if (NodeOf(from) != run.Asker)
            {
                _runs.Remove((from, to));
            }
            else if (run.Asker.MergedWith(to) != run.Before)
            {
                _runs.Remove((from, to));
                Check(from, to, run.Lacking.Where(tag => NodeOf(to)?.Keeps(tag) ?? false), tag => Knows(run.Asker, tag));
            }
        }
    }

    /// <summary>The rule itself.</summary>
    public static void Check(NodeId asker, NodeId peer, IEnumerable<Tag> kept, Func<Tag, bool> isKnown)
    {
        foreach (Tag tag in kept)
        {
            if (!isKnown(tag))
            {
                throw Violation.Of("merge", $"{asker} says that it merged with {peer}, which kept {tag} all the time, and does not know it");
            }
        }
    }

    private static bool Knows(INodeUnderTest node, Tag tag) =>
        node.StateOf(tag) is TagState.Accepted or TagState.Rejected || tag.Uid.Stamp < node.RemembersSince;

    private INodeUnderTest? NodeOf(NodeId name) => world.Servers.Find(server => server.Name == name)?.Node;

    /// <summary>A run that goes on.</summary>
    private sealed record MergeRun(ulong Number, INodeUnderTest Asker, Instant? Before, Tag[] Lacking);
}
