using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Carillon.Runtime.Security;

namespace Carillon.Runtime.Tunnels;

/// <summary>First byte of a message of the control stream (docs/formats/tunnel-frame.md).</summary>
internal enum ControlType : byte
{
    /// <summary>Who one is; the first message in both directions.</summary>
    Hello = 1,

    /// <summary>Instead of a hello, or after one: no tunnel, and why.</summary>
    Refusal = 2,

    /// <summary>From the dialler: all streams are open, the tunnel is up.</summary>
    Ready = 3,

    /// <summary>Sign of life, to be echoed.</summary>
    Ping = 4,

    /// <summary>Its echo.</summary>
    Pong = 5,

    /// <summary>The sender stops in order, and sends nothing more.</summary>
    Goodbye = 6,
}

/// <summary>
/// The greeting: <c>u8 type, u16 version, u16 oldest version, text cluster, node, 16 bytes disk, u64 incarnation,
/// u64 configuration version</c>. A reader skips what a newer writer added behind.
/// </summary>
internal readonly record struct Hello(
    ushort Version, ushort OldestVersion, string Cluster, NodeId Name, DiskId Disk, Incarnation Incarnation, ulong ConfigurationVersion)
{
    /// <summary>The version that this program speaks best.</summary>
    public const ushort CurrentVersion = 1;

    /// <summary>The oldest that it still speaks.</summary>
    public const ushort OldestSpoken = 1;

    public int Size => 1 + 2 + 2 + WireSize.Text(Cluster) + WireSize.Node(Name) + DiskId.Size + 8 + 8;

    public byte[] ToBytes()
    {
        byte[] bytes = new byte[Size];
        WireWriter writer = new(bytes);
        writer.U8((byte)ControlType.Hello);
        writer.U16(Version);
        writer.U16(OldestVersion);
        writer.Text(Cluster);
        writer.Node(Name);
        writer.Disk(Disk);
        writer.U64(Incarnation.Value);
        writer.U64(ConfigurationVersion);
        return bytes;
    }

    public static bool TryRead(ReadOnlySpan<byte> bytes, out Hello hello)
    {
        WireReader reader = new(bytes);
        bool typed = reader.U8() == (byte)ControlType.Hello;
        hello = new Hello(
            reader.U16(),
            reader.U16(),
            reader.Text(CertificateName.MaxClusterLength),
            reader.Node(),
            reader.Disk(),
            new Incarnation(reader.U64()),
            reader.U64());
        return typed && !reader.Failed && !hello.Name.IsNone;
    }
}

/// <summary>The other messages of the control stream.</summary>
internal static class ControlMessages
{
    /// <summary>Bytes of the longest control message.</summary>
    public const int MaxBytes = 1024;

    /// <summary>Sends one message of a handshake, before there is a queue.</summary>
    public static ValueTask SendAsync(ITunnelOutput output, byte[] message)
    {
        byte[] framed = new byte[ReceivedMessages.PrefixBytes + message.Length];
        WireWriter writer = new(framed);
        writer.Blob(message);
        return output.WriteAsync(framed, flush: true);
    }

    /// <summary>Bytes of its reader's buffer.</summary>
    public const int BufferBytes = 4 * MaxBytes;

    private const int MaxReasonBytes = 512;

    /// <summary>After a refusal: cutting the connection at once might take the refusal along, so the peer reads it and hangs up.</summary>
    public static async Task WaitForHangUpAsync(MessageReader reader)
    {
        try
        {
            await reader.ReadOneAsync().ConfigureAwait(false);
        }
        catch (Exception hungUp) when (TunnelFailure.IsOfConnection(hungUp))
        {
            return; // less politely
        }
    }

    public static byte[] Signal(ControlType type) => [(byte)type];

    public static byte[] Echo(ControlType type, long ticks)
    {
        byte[] bytes = new byte[9];
        WireWriter writer = new(bytes);
        writer.U8((byte)type);
        writer.I64(ticks);
        return bytes;
    }

    public static bool TryReadEcho(ReadOnlySpan<byte> bytes, out long ticks)
    {
        WireReader reader = new(bytes);
        _ = reader.U8();
        ticks = reader.I64();
        return !reader.Failed;
    }

    public static byte[] Refusal(string reason)
    {
        byte[] bytes = new byte[1 + WireSize.Text(reason)];
        WireWriter writer = new(bytes);
        writer.U8((byte)ControlType.Refusal);
        writer.Text(reason);
        return bytes;
    }

    /// <summary>A peer's reason, fit for a log line: whatever it sent, no control characters.</summary>
    public static string ReadRefusal(ReadOnlySpan<byte> bytes)
    {
        WireReader reader = new(bytes);
        _ = reader.U8();
        string reason = reader.Text(MaxReasonBytes);
        return reader.Failed ? "unreadable reason" : string.Concat(reason.Select(c => char.IsControl(c) ? '?' : c));
    }
}
