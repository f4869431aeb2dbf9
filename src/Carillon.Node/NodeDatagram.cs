using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <summary>Datagrams that are no heartbeats: <c>u16 0 │ u8 protocol │ payload</c>. A heartbeat begins with its length, which is never 0;
/// an unknown protocol is passed over.</summary>
public static class NodeDatagram
{
    /// <summary>Bytes in front of the payload.</summary>
    public const int HeaderBytes = 3;

    /// <summary>A payload that crosses any network in one piece, sealed and with its headers.</summary>
    public const int MaxPayload = 1200;

    private const ushort NoHeartbeat = 0;

    /// <summary>A datagram of a payload that is copied.</summary>
    public static byte[] Of(Protocol protocol, ReadOnlySpan<byte> payload)
    {
        byte[] datagram = new byte[HeaderBytes + payload.Length];
        payload.CopyTo(datagram.AsSpan(HeaderBytes));
        Lay(datagram, protocol, payload.Length);
        return datagram;
    }

    /// <summary>Writes the header in front of a payload that is in place.</summary>
    public static ReadOnlyMemory<byte> Lay(byte[] datagram, Protocol protocol, int payloadBytes)
    {
        var writer = new WireWriter(datagram);
        writer.U16(NoHeartbeat);
        writer.U8((byte)protocol);
        return datagram.AsMemory(0, HeaderBytes + payloadBytes);
    }

    /// <summary>False for a heartbeat, or what is none of ours.</summary>
    public static bool TryRead(ReadOnlySpan<byte> datagram, out Protocol protocol, out ReadOnlySpan<byte> payload)
    {
        var reader = new WireReader(datagram);
        bool isOurs = reader.U16() == NoHeartbeat;
        protocol = (Protocol)reader.U8();
        isOurs &= !reader.Failed;
        payload = isOurs ? datagram[HeaderBytes..] : default;
        return isOurs;
    }
}
