using System.Collections.Immutable;

namespace Carillon.Protocols.Cluster;

/// <summary>One server of a cluster.</summary>
public sealed record ServerRecord
{
    /// <summary>The greatest weight.</summary>
    public const int MaxWeight = 1_000_000;

    /// <summary>Its name.</summary>
    public required NodeId Name { get; init; }

    /// <summary>The disk that votes under that name.</summary>
    public required DiskId Disk { get; init; }

    /// <summary>Host name or address, without a port.</summary>
    public required string Host { get; init; }

    /// <summary>Port of the HTTP interface.</summary>
    public required int HttpPort { get; init; }

    /// <summary>Port of the tunnel.</summary>
    public required int TunnelPort { get; init; }

    /// <summary>UDP port of datagrams.</summary>
    public required int DatagramPort { get; init; }

    /// <summary>True for a voting (entry) server.</summary>
    public bool Entry { get; init; } = true;

    /// <summary>True for a server that holds chunks.</summary>
    public bool Storage { get; init; } = true;

    /// <summary>Servers of one domain fail together (a rack, a site); copies go to different ones. Empty: its own domain.</summary>
    public string FailureDomain { get; init; } = "";

    /// <summary>Share of the chunks relative to other servers: 1 to <see cref="MaxWeight"/>.</summary>
    public int Weight { get; init; } = 100;
}

/// <summary>
/// The servers of a cluster, as one versioned record (protocols page of membership). A voter's place among the entry servers,
/// in order of their names, is its bit in knowledge vectors and in every <see cref="VoterSet"/>.
/// </summary>
public sealed class ClusterConfiguration
{
    /// <summary>The most servers, and so voters: one machine word of bits.</summary>
    public const int MaxServers = 64;

    /// <summary>Makes a configuration; servers are sorted by name.</summary>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="version">Counts up with every change.</param>
    /// <param name="servers">All servers, names and disks different.</param>
    /// <param name="quorum">Entry servers that must agree; null for a majority, never less than one (VE-67).</param>
    public ClusterConfiguration(string cluster, ulong version, ImmutableArray<ServerRecord> servers, int? quorum = null)
    {
        Cluster = cluster;
        Version = version;
        Servers = servers.Sort((a, b) => a.Name.CompareTo(b.Name));
        Invariant.That(Servers.Length <= MaxServers);
        for (int i = 1; i < Servers.Length; i++)
        {
            Invariant.That(Servers[i - 1].Name != Servers[i].Name);
        }

        Voters = [.. Servers.Where(s => s.Entry).Select(s => s.Name)];
        Quorum = new Quorum(Voters.Length, quorum ?? Quorum.Majority(Voters.Length));
    }

    public string Cluster { get; }

    public ulong Version { get; }

    /// <summary>All servers in order of their names.</summary>
    public ImmutableArray<ServerRecord> Servers { get; }

    /// <summary>The entry servers in order of their names.</summary>
    public ImmutableArray<NodeId> Voters { get; }

    public Quorum Quorum { get; }

    /// <summary>
    /// How long a voter's lease lasts (protocols page of primacy). Part of what all agree on: a voter that waits for leases to end must
    /// know how long they are. Too low: short silences move primaries. Too high: failover takes as long.
    /// </summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>A voter's bit, or -1 for a server that does not vote.</summary>
    public int BitOf(NodeId node) => Voters.BinarySearch(node);

    /// <summary>The server of that name, or null.</summary>
    public ServerRecord? Find(NodeId node) => Servers.FirstOrDefault(s => s.Name == node);
}
