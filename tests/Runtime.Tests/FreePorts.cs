using System.Net;
using System.Net.Sockets;

namespace Carillon.Runtime.Tests;

/// <summary>
/// Ports for servers that a test starts. From below the range that the system takes ports of outgoing connections from: one that was free
/// a moment ago is not taken by a connection before the server listens.
/// </summary>
internal static class FreePorts
{
    private const int First = 12_000;
    private const int Count = 20_000;

    private static int _next = Environment.ProcessId * 97 % Count;

    /// <summary>So many ports, each for TCP and UDP, none of them given before by this process.</summary>
    public static int[] Take(int count)
    {
        var ports = new List<int>(count);
        for (int tried = 0; ports.Count < count && tried < Count; tried++)
        {
            int port = First + (int)((uint)Interlocked.Increment(ref _next) % Count);
            if (IsFree(port, SocketType.Stream, ProtocolType.Tcp) && IsFree(port, SocketType.Dgram, ProtocolType.Udp))
            {
                ports.Add(port);
            }
        }

        return ports.Count == count ? [.. ports] : throw new InvalidOperationException($"of {count} ports {ports.Count} are free");
    }

    private static bool IsFree(int port, SocketType type, ProtocolType protocol)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, type, protocol);
        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Any, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }
}
