using System.Net.Sockets;

namespace Carillon.Runtime.Tunnels;

/// <summary>Settings of a tunnel's socket, the same at both ends.</summary>
internal static class TunnelSocket
{
    // linux/tcp.h
    private const int TcpLevel = 6;
    private const int NotSentLowWater = 25;

    /// <summary>No delay for small packets; little waits unsent in the kernel, where nothing can overtake it.</summary>
    public static void Tune(Socket socket, TunnelOptions options)
    {
        socket.NoDelay = true;
        if (OperatingSystem.IsLinux())
        {
            socket.SetRawSocketOption(TcpLevel, NotSentLowWater, BitConverter.GetBytes(options.UnsentBytes));
        }
    }
}
