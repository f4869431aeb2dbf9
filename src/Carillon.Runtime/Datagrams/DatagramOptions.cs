using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;

namespace Carillon.Runtime.Datagrams;

/// <summary>Sockets and bounds of the datagrams of one server.</summary>
public sealed record DatagramOptions
{
    /// <summary>Port of multicast groups, the same at all servers: they may differ in their own ports, as on one machine they
    /// must.</summary>
    public const int DefaultGroupPort = 7413;

    /// <summary>Where datagrams to this server alone arrive; port 0 takes a free one. The group is joined on this address's
    /// interface.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>The multicast group, or null for none. It must be IPv4, and administratively scoped if it is not to leave the site (RFC
    /// 2365).</summary>
    public IPEndPoint? Group { get; init; }

    /// <summary>Routers that a multicast datagram may pass. 1 keeps it in its network. Too high: other sites' servers are
    /// bothered.</summary>
    public int GroupTimeToLive { get; init; } = 1;

    /// <summary>Bytes that the kernel is asked to hold for a socket in each direction; it may give less (net.core.rmem_max). Too low:
    /// bursts are lost.</summary>
    public int SocketBufferBytes { get; init; } = 4 << 20;

    /// <summary>The group of a cluster: one of 239.192.0.0/16 by the cluster's name, so that clusters of one network do not hear each
    /// other.</summary>
    public static IPEndPoint GroupOf(string cluster)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes("carillon multicast group\n" + cluster));
        return new IPEndPoint(new IPAddress([239, 192, hash[0], hash[1]]), DefaultGroupPort);
    }

    /// <summary>All faults of these options; empty if there is none.</summary>
    public IReadOnlyList<string> Validate()
    {
        List<string> faults = [];
        if (Group is { } group)
        {
            byte[] address = group.Address.GetAddressBytes();
            if (address is not [>= 224 and <= 239, _, _, _] || group.Port == 0)
            {
                faults.Add($"Group is {group}: use an IPv4 multicast address and a port.");
            }

            if (Listen.AddressFamily != AddressFamily.InterNetwork)
            {
                faults.Add($"Listen is {Listen}: multicast needs an IPv4 address.");
            }
        }

        if (GroupTimeToLive is < 0 or > 255)
        {
            faults.Add($"GroupTimeToLive is {GroupTimeToLive}: use 0 to 255.");
        }

        if (SocketBufferBytes < 65_536)
        {
            faults.Add($"SocketBufferBytes is {SocketBufferBytes}: use 65536 or more.");
        }

        return faults;
    }
}
