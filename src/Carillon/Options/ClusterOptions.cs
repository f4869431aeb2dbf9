using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Options;

/// <summary>Section <c>cluster</c>: who belongs to it. The same in every server's file.</summary>
public sealed record ClusterOptions
{
    /// <summary>The cluster's name, as in its certificates.</summary>
    public string Name { get; init; } = "";

    /// <summary>Version of this list of servers; counts up with every change. 1 is the first: an empty disk votes at once under it, and is
    /// rebuilt from the other servers under a later one.</summary>
    public ulong Version { get; init; } = 1;

    /// <summary>Entry servers that must agree; null: a majority, and never less than one.</summary>
    public int? Quorum { get; init; }

    /// <summary>
    /// How long a voter's lease for a service's primary lasts: whole milliseconds from 500 ms to 60 s. Too low: short silences move
    /// primaries. Too high: failover takes as long. Under another one than its peers' a server's bids are refused.
    /// </summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>All servers, each with its name, disk id, host, ports, roles, failure domain and weight.</summary>
    public ImmutableArray<ServerRecord> Servers { get; init; } = [];

    /// <summary>The cluster's configuration record.</summary>
    public ClusterConfiguration ToConfiguration() => new(Name, Version, Servers, Quorum) { LeaseDuration = LeaseDuration };

    /// <summary>All faults, each in words.</summary>
    public IEnumerable<string> Validate()
    {
        if (Name.Length == 0)
        {
            yield return "cluster.name is missing";
        }

        if (Servers.Length is 0 or > ClusterConfiguration.MaxServers)
        {
            yield return $"cluster.servers has 1 to {ClusterConfiguration.MaxServers} servers, this one has {Servers.Length}";
        }

        foreach (IGrouping<string, ServerRecord> same in Servers.GroupBy(s => s.Name.Name).Where(g => g.Count() > 1))
        {
            yield return $"cluster.servers: there are {same.Count()} servers named {same.Key}";
        }

        foreach (IGrouping<Protocols.DiskId, ServerRecord> same in Servers.GroupBy(s => s.Disk).Where(g => g.Count() > 1))
        {
            yield return $"cluster.servers: {string.Join(" and ", same.Select(s => s.Name))} have the same disk id";
        }

        foreach (IGrouping<(string Host, int Port), ServerRecord> same in Servers
            .SelectMany(s => new[] { (s.Host, s.HttpPort, s), (s.Host, s.TunnelPort, s) })
            .GroupBy(p => (p.Host, p.Item2), p => p.s).Where(g => g.Count() > 1))
        {
            yield return $"cluster.servers: port {same.Key.Port} of {same.Key.Host} is used more than once";
        }

        if (LeaseDuration < TimeSpan.FromMilliseconds(500) || LeaseDuration > TimeSpan.FromSeconds(60)
            || LeaseDuration.Ticks % TimeSpan.TicksPerMillisecond != 0)
        {
            yield return "cluster.leaseDuration is whole milliseconds from 500ms to 60s";
        }

        int voters = Servers.Count(s => s.Entry);
        if (voters == 0 && Servers.Length > 0)
        {
            yield return "cluster.servers: none of them is an entry server";
        }

        int majority = Protocols.Cluster.Quorum.Majority(voters);
        if (Quorum is { } quorum && (quorum > voters || quorum < majority))
        {
            yield return $"cluster.quorum: {quorum} of {voters} entry servers; use {majority} to {voters}, since any two quorums must meet";
        }
    }
}
