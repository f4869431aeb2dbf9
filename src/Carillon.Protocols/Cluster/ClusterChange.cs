using System.Globalization;

namespace Carillon.Protocols.Cluster;

/// <summary>What is to become of one server.</summary>
public enum ClusterChangeKind : byte
{
    /// <summary>Nothing: a version that only takes the place of one that was closed.</summary>
    Renew = 0,

    /// <summary>A server joins, with an empty disk.</summary>
    Add = 1,

    /// <summary>A server leaves for good.</summary>
    Remove = 2,

    /// <summary>Another, empty disk takes the place of a server's, perhaps on another machine.</summary>
    Replace = 3,

    /// <summary>A server's addresses, failure domain or weight become others; its disk stays.</summary>
    Set = 4,
}

/// <summary>
/// A change of one server: one at a time, or the quorums of two versions would not meet. What the next version becomes follows from the
/// present one and the change alone.
/// </summary>
/// <param name="Kind">What.</param>
/// <param name="Server">The server as it is to be; of one that leaves only the name counts.</param>
public sealed record ClusterChange(ClusterChangeKind Kind, ServerRecord? Server)
{
    /// <summary>The next version, or why it can't be.</summary>
    public ClusterConfiguration? Apply(ClusterConfiguration present, out string fault)
    {
        ServerRecord? old = Server is null ? null : present.Find(Server.Name);
        fault = FaultOf(present, old);
        if (fault.Length > 0)
        {
            return null;
        }

        List<ServerRecord> servers = [.. present.Servers.Where(s => s.Name != Server?.Name)];
        if (Server is not null && Kind != ClusterChangeKind.Remove)
        {
            servers.Add(Server);
        }

        int voters = servers.Count(s => s.Entry);
        bool isMajority = present.Quorum.Size == Quorum.Majority(present.Voters.Length);
        int quorum = isMajority ? Quorum.Majority(voters) : Math.Clamp(present.Quorum.Size, Quorum.Majority(voters), voters);
        return new ClusterConfiguration(present.Cluster, present.Version + 1, [.. servers], quorum)
        {
            LeaseDuration = present.LeaseDuration,
        };
    }

    private string FaultOf(ClusterConfiguration present, ServerRecord? old)
    {
        if (Kind == ClusterChangeKind.Renew)
        {
            return "";
        }

        if (Server is null)
        {
            return "no server is named";
        }

        string fault = Kind switch
        {
            ClusterChangeKind.Add => old is not null ? $"there is a server '{Server.Name}' already"
                : present.Servers.Length >= ClusterConfiguration.MaxServers ? $"{ClusterConfiguration.MaxServers} servers are the most" : "",
            _ when old is null => $"there is no server '{Server.Name}'",
            ClusterChangeKind.Remove => old.Entry && present.Voters.Length == 1 ? "it is the last entry server" : "",
            ClusterChangeKind.Replace => present.Voters.Length == 1 && old.Entry
                ? "it is the only entry server: nobody else has what it has"
                : old.Entry != Server.Entry ? "a server that votes stays one that votes" : "",
            _ => old.Disk != Server.Disk || old.Entry != Server.Entry ? "its disk and its vote stay" : "",
        };
        fault = fault.Length > 0 || Kind == ClusterChangeKind.Remove ? fault : FaultOfAddress(present, old);
        if (fault.Length > 0 || Kind is ClusterChangeKind.Remove or ClusterChangeKind.Set)
        {
            return fault;
        }

        return present.Servers.Any(s => s.Disk == Server.Disk) ? "a disk that is in the configuration can't come into it" : "";
    }

    private string FaultOfAddress(ClusterConfiguration present, ServerRecord? old)
    {
        if (old is not null && (old.Host, old.HttpPort, old.TunnelPort, old.DatagramPort)
            == (Server!.Host, Server.HttpPort, Server.TunnelPort, Server.DatagramPort))
        {
            return "";
        }

        foreach (ServerRecord other in present.Servers.Where(s => s.Name != Server!.Name && s.Host == Server.Host))
        {
            int[] theirs = [other.HttpPort, other.TunnelPort];
            int[] ours = [Server!.HttpPort, Server.TunnelPort];
            int shared = theirs.Intersect(ours).FirstOrDefault(port => port > 0);
            shared = shared == 0 && other.DatagramPort == Server.DatagramPort ? other.DatagramPort : shared;
            if (shared > 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"port {shared} of {Server.Host} belongs to server '{other.Name}' already");
            }
        }

        return "";
    }
}
