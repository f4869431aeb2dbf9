using Carillon.Protocols.Wire;

namespace Carillon.Node;

/// <summary>Which core a message is for.</summary>
public enum Protocol : byte
{
    /// <summary>Vector exchange.</summary>
    VectorExchange = 1,

    /// <summary>Membership.</summary>
    Membership = 2,

    /// <summary>Chunk replication.</summary>
    Chunks = 3,

    /// <summary>Index merge.</summary>
    Merge = 4,

    /// <summary>The node itself: what no single core owns.</summary>
    Node = 5,

    /// <summary>Primacy: selection, epochs, leases, the replica manager.</summary>
    Primacy = 6,

    /// <summary>Atomic multicast.</summary>
    Groups = 7,

    /// <summary>Atomic multicast of the catalog's group.</summary>
    Feed = 8,

    /// <summary>Blocks of the catalog's checkpoints.</summary>
    Checkpoints = 9,

    /// <summary>Whether datagrams arrive; in datagrams only.</summary>
    Paths = 10,
}

/// <summary>
/// A tunnel message is a run of entries, so that everything that waits for one peer crosses in one write:
/// <c>u32 length │ u8 protocol │ payload</c>, the length counting protocol and payload. An unknown protocol is passed over.
/// </summary>
public static class Envelope
{
    /// <summary>Bytes in front of each payload.</summary>
    public const int Overhead = 5;

    /// <summary>The largest payload.</summary>
    public const int MaxPayload = 32 << 20;

    internal static void Write(Span<byte> into, Protocol protocol, ReadOnlySpan<byte> payload)
    {
        var writer = new WireWriter(into);
        writer.U32((uint)payload.Length + 1);
        writer.U8((byte)protocol);
        writer.Bytes(payload);
    }

    /// <summary>Takes the next entry off a message; false at its end, or where it can't be read (then the rest is dropped and
    /// <paramref name="bad"/> is true).</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> message, out Protocol protocol, out ReadOnlySpan<byte> payload, out bool bad)
    {
        protocol = default;
        payload = default;
        bad = false;
        if (message.IsEmpty)
        {
            return false;
        }

        var reader = new WireReader(message);
        uint length = reader.U32();
        if (reader.Failed || length is 0 or > MaxPayload || length > reader.Remaining)
        {
            bad = true;
            message = default;
            return false;
        }

        protocol = (Protocol)reader.U8();
        payload = reader.Bytes((int)length - 1);
        message = message[(4 + (int)length)..];
        return true;
    }
}
