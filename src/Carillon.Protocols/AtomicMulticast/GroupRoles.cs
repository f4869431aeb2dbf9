using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Which servers hold which role in a group (seed 001: "logical entities only"), as sets over one configuration's voters. By default every
/// entry server is data, commit and checkpoint server.
/// </summary>
public sealed record GroupRoles
{
    /// <summary>The configuration's version: assignments, acknowledgements and preparations carry it, and a server answers its own
    /// only.</summary>
    public required ulong Configuration { get; init; }

    /// <summary>The servers, in the order of the bits of the sets.</summary>
    public required ImmutableArray<NodeId> Servers { get; init; }

    /// <summary>Who stores messages.</summary>
    public required VoterSet Data { get; init; }

    /// <summary>Who stores which message stands at which number; they are the sequencer's voters.</summary>
    public required VoterSet Commit { get; init; }

    /// <summary>Who makes checkpoints.</summary>
    public required VoterSet Checkpoint { get; init; }

    /// <summary>Assignments are committed at so many commit servers: a majority, so that any two such sets share a server.</summary>
    public int CommitQuorum => Quorum.Majority(Commit.Count);

    /// <summary>Messages are at so many data servers before they are committed: one of them is left whenever a majority is.</summary>
    public int DataQuorum => Data.Count - Quorum.Majority(Data.Count) + 1;

    /// <summary>So many equal reports make a checkpoint known: likewise.</summary>
    public int CheckpointQuorum => Checkpoint.Count - Quorum.Majority(Checkpoint.Count) + 1;

    /// <summary>
    /// True where every commit server is a data server too, and each quorum of them is enough data servers: then one acknowledgement says
    /// "message and assignment are both durable here", and steps 2 and 4 are one.
    /// </summary>
    public bool IsShortCut => (Commit & Data) == Commit && CommitQuorum >= DataQuorum;

    /// <summary>The default: every entry server has every role.</summary>
    public static GroupRoles Of(ClusterConfiguration configuration)
    {
        VoterSet all = default;
        for (int bit = 0; bit < configuration.Voters.Length; bit++)
        {
            all = all.With(bit);
        }

        return new GroupRoles
        {
            Configuration = configuration.Version, Servers = configuration.Voters, Data = all, Commit = all, Checkpoint = all,
        };
    }

    /// <summary>A server's bit, or -1.</summary>
    public int BitOf(NodeId node) => Servers.IndexOf(node);
}
