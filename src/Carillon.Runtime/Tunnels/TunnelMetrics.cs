using System.Diagnostics.Metrics;

namespace Carillon.Runtime.Tunnels;

/// <summary>Figures of the tunnels.</summary>
internal static class TunnelMetrics
{
    public static readonly Counter<long> BytesSent = Counter("carillon.tunnel.sent.bytes", "Bytes of message batches sent");

    public static readonly Counter<long> BytesReceived = Counter("carillon.tunnel.received.bytes", "Bytes of messages and chunks received");

    public static readonly Counter<long> Connected = Counter("carillon.tunnel.connected", "Tunnels that came up");

    public static readonly Counter<long> Refused =
        Counter("carillon.tunnel.refused", "Connections refused: certificate, cluster, incarnation, or no TLS");

    public static readonly Counter<long> ChunksRefused =
        Counter("carillon.tunnel.chunks.refused", "Chunks received that were not what their header said");

    private static Counter<long> Counter(string name, string description) =>
        CarillonMeter.Instance.CreateCounter<long>(name, description: description);
}
