using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Simulator.World;

namespace Carillon.Node.Tests.Simulator;

/// <summary>The clusters that tests run in the simulated world.</summary>
internal static class SimulatedCluster
{
    /// <summary>So many servers that all vote, in version 1.</summary>
    public static ClusterConfiguration Of(int servers) => new("simulated", 1,
    [
        .. Enumerable.Range(0, servers).Select(place => new ServerRecord
        {
            Name = SimulatedWorld.NameOf(place), Disk = new DiskId((UInt128)(uint)(place + 1)), Host = "127.0.0.1", HttpPort = 1,
            TunnelPort = 2, DatagramPort = 3,
        }),
    ]);
}
