using System.Collections.Immutable;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Membership;

/// <summary>What a membership message is. Its number is the fourth byte.</summary>
public enum MembershipMessageKind : byte
{
    /// <summary>A <see cref="Heartbeat"/>.</summary>
    Heartbeat = 1,

    /// <summary>A <see cref="ProbeMessage"/> that asks a helper to probe the target.</summary>
    ProbeRequest = 2,

    /// <summary>A <see cref="ProbeMessage"/> that asks the target whether it lives.</summary>
    Probe = 3,

    /// <summary>A <see cref="ProbeMessage"/> in which the target says that it does; a helper passes it on to the origin.</summary>
    ProbeAnswer = 4,
}

/// <summary>By which way a message leaves. A heartbeat says so itself, since it alone can vouch for it.</summary>
public enum MessagePath : byte
{
    /// <summary>A datagram to one server.</summary>
    Datagram = 0,

    /// <summary>A datagram to the multicast group.</summary>
    Group = 1,

    /// <summary>The tunnel to one server.</summary>
    Tunnel = 2,
}

/// <summary>
/// The frame that membership messages share: <c>u16 length │ u8 version │ u8 kind │ fields │ what a newer writer added</c>.
/// </summary>
public static class MembershipMessage
{
    /// <summary>Bytes of length, version and kind.</summary>
    public const int HeaderSize = 4;

    /// <summary>The version written and read: raised only when the known fields change, not when some are added behind them.</summary>
    public const byte FormatVersion = 1;

    /// <summary>Opens a frame: true if the length is what is there and the version is one that is known.</summary>
    public static bool TryOpen(ReadOnlySpan<byte> message, out MembershipMessageKind kind)
    {
        var reader = new WireReader(message);
        int length = reader.U16();
        byte version = reader.U8();
        kind = (MembershipMessageKind)reader.U8();
        return !reader.Failed && length == message.Length && version == FormatVersion;
    }

    internal static void WriteHeader(ref WireWriter writer, int length, MembershipMessageKind kind)
    {
        writer.U16((ushort)length);
        writer.U8(FormatVersion);
        writer.U8((byte)kind);
    }

    internal static void WriteIdentity(ref WireWriter writer, ServerIdentity identity)
    {
        writer.Node(identity.Name);
        writer.Disk(identity.Disk);
        writer.U64(identity.Incarnation.Value);
    }

    internal static ServerIdentity ReadIdentity(ref WireReader reader) => new(reader.Node(), reader.Disk(), new Incarnation(reader.U64()));

    internal static int SizeOf(ServerIdentity identity) => WireSize.Node(identity.Name) + DiskId.Size + 8;
}

/// <summary>
/// What a server says of the last heartbeat that it heard from one peer. The peer learns its round trip and clock offset from
/// it, which of its datagrams arrive, and the greatest incarnation that is known of its disk.
/// </summary>
/// <param name="Index">The peer's place in the configuration whose version the heartbeat names.</param>
/// <param name="Incarnation">The low 32 bits of the greatest incarnation known of the peer's disk.</param>
/// <param name="Sent">The low 32 bits of the microseconds of the peer's monotonic clock in that heartbeat.</param>
/// <param name="Held">Microseconds from its arrival to this sending; <see cref="NotHeld"/> if there is none to echo.</param>
/// <param name="DatagramAge">Tenths of a second since a datagram of the peer arrived; 255, <see cref="NeverHeard"/>, for longer.</param>
/// <param name="GroupAge">The same, of a datagram by the multicast group.</param>
public readonly record struct HeartbeatEcho(byte Index, uint Incarnation, uint Sent, uint Held, byte DatagramAge, byte GroupAge)
{
    /// <summary>Bytes on the wire.</summary>
    public const int Size = 15;

    /// <summary>No heartbeat to echo.</summary>
    public const uint NotHeld = uint.MaxValue;

    /// <summary>An age beyond what the field can say.</summary>
    public const byte NeverHeard = byte.MaxValue;

    /// <summary>What ages are counted in.</summary>
    public static readonly TimeSpan AgeUnit = TimeSpan.FromMilliseconds(100);

    internal void Write(ref WireWriter writer)
    {
        writer.U8(Index);
        writer.U32(Incarnation);
        writer.U32(Sent);
        writer.U32(Held);
        writer.U8(DatagramAge);
        writer.U8(GroupAge);
    }

    internal static HeartbeatEcho Read(ref WireReader reader) =>
        new(reader.U8(), reader.U32(), reader.U32(), reader.U32(), reader.U8(), reader.U8());
}

/// <summary>A server's periodic word to all others (docs/formats/heartbeat.md).</summary>
/// <remarks>
/// <code>
/// u16 length │ u8 version │ u8 kind = 1 │ name │ disk 16 │ u64 incarnation │ u64 configuration │ u32 number │ u16 interval ms
/// │ i64 monotonic (100 ns) │ i64 wall (ms) │ u8 path │ u8 flags: 1 = does not vote │ load 32 │ u8 count │ echoes, 15 each
/// </code>
/// </remarks>
public readonly record struct Heartbeat
{
    /// <summary>The least <see cref="MembershipOptions.DatagramBytes"/>: room for an echo at least, whatever the name's length.</summary>
    public const int LeastDatagramBytes = 256;

    private const byte DoesNotVote = 1;

    // Everything but the identity and the echoes.
    private const int FixedSize = MembershipMessage.HeaderSize + 8 + 4 + 2 + 8 + 8 + 1 + 1 + LoadReport.Size + 1;

    /// <summary>Who sends it.</summary>
    public required ServerIdentity Sender { get; init; }

    /// <summary>The version of the sender's configuration: the one that <see cref="HeartbeatEcho.Index"/> counts in.</summary>
    public ulong ConfigurationVersion { get; init; }

    /// <summary>Counts the sender's heartbeats from 1 in each incarnation: a late one never overwrites what a newer one said.</summary>
    public uint Number { get; init; }

    /// <summary>The sender's present interval: listeners wait for three of them at least.</summary>
    public TimeSpan Interval { get; init; }

    /// <summary>The sender's monotonic clock.</summary>
    public Instant Monotonic { get; init; }

    /// <summary>The sender's wall clock.</summary>
    public WallTime Wall { get; init; }

    /// <summary>How this copy travels.</summary>
    public MessagePath Path { get; init; }

    /// <summary>False if the sender's own disk keeps it from voting.</summary>
    public bool Votes { get; init; }

    /// <summary>How busy it is.</summary>
    public LoadReport Load { get; init; }

    /// <summary>What it has heard, at most one per peer.</summary>
    public ImmutableArray<HeartbeatEcho> Echoes { get; init; }

    /// <summary>Bytes on the wire.</summary>
    public int Size => SizeWithout(Sender) + (Echoes.Length * HeartbeatEcho.Size);

    /// <summary>Bytes of a heartbeat that echoes nobody.</summary>
    public static int SizeWithout(ServerIdentity sender) => FixedSize + MembershipMessage.SizeOf(sender);

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        var writer = new WireWriter(bytes);
        MembershipMessage.WriteHeader(ref writer, Size, MembershipMessageKind.Heartbeat);
        MembershipMessage.WriteIdentity(ref writer, Sender);
        writer.U64(ConfigurationVersion);
        writer.U32(Number);
        writer.U16((ushort)Math.Clamp(Interval.Ticks / TimeSpan.TicksPerMillisecond, 1, ushort.MaxValue));
        writer.I64(Monotonic.Ticks);
        writer.I64(Wall.Milliseconds);
        writer.U8((byte)Path);
        writer.U8(Votes ? (byte)0 : DoesNotVote);
        Load.Write(ref writer);
        writer.U8((byte)Echoes.Length);
        foreach (HeartbeatEcho echo in Echoes)
        {
            echo.Write(ref writer);
        }
    }

    /// <summary>Reads a heartbeat; what stands behind the known fields is skipped.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out Heartbeat heartbeat)
    {
        heartbeat = default;
        if (!MembershipMessage.TryOpen(bytes, out MembershipMessageKind kind) || kind != MembershipMessageKind.Heartbeat)
        {
            return false;
        }

        var reader = new WireReader(bytes[MembershipMessage.HeaderSize..]);
        var read = new Heartbeat
        {
            Sender = MembershipMessage.ReadIdentity(ref reader),
            ConfigurationVersion = reader.U64(),
            Number = reader.U32(),
            Interval = TimeSpan.FromMilliseconds((long)reader.U16()),
            Monotonic = new Instant(reader.I64()),
            Wall = new WallTime(reader.I64()),
            Path = (MessagePath)reader.U8(),
            Votes = (reader.U8() & DoesNotVote) == 0,
            Load = LoadReport.Read(ref reader),
        };
        int count = reader.U8();
        if (reader.Failed || read.Sender.Name.IsNone || read.Path > MessagePath.Tunnel || !IsPlausible(read.Wall)
            || count >= Cluster.ClusterConfiguration.MaxServers || count * HeartbeatEcho.Size > reader.Remaining)
        {
            return false;
        }

        var echoes = ImmutableArray.CreateBuilder<HeartbeatEcho>(count);
        for (int i = 0; i < count; i++)
        {
            echoes.Add(HeartbeatEcho.Read(ref reader));
        }

        heartbeat = read with { Echoes = echoes.DrainToImmutable() };
        return true;
    }

    // A timestamp's 48 bits end in the year 10889; beyond them the arithmetic of offsets would overflow.
    private static bool IsPlausible(WallTime wall) => wall.Milliseconds is >= 0 and < 1L << 48;
}

/// <summary>One of the three messages of a probe; they differ in kind only.</summary>
/// <remarks>
/// <code>
/// u16 length │ u8 version │ u8 kind = 2, 3, 4 │ origin │ u32 number │ target: name │ disk 16 │ u64 incarnation
/// </code>
/// </remarks>
/// <param name="Kind">Request, probe or answer.</param>
/// <param name="Origin">The server that suspects.</param>
/// <param name="Number">The origin's number of this suspicion.</param>
/// <param name="Target">The suspected server; in an answer, as it is now.</param>
public readonly record struct ProbeMessage(MembershipMessageKind Kind, NodeId Origin, uint Number, ServerIdentity Target)
{
    /// <summary>Bytes on the wire.</summary>
    public int Size => MembershipMessage.HeaderSize + WireSize.Node(Origin) + 4 + MembershipMessage.SizeOf(Target);

    /// <summary>Writes <see cref="Size"/> bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        var writer = new WireWriter(bytes);
        MembershipMessage.WriteHeader(ref writer, Size, Kind);
        writer.Node(Origin);
        writer.U32(Number);
        MembershipMessage.WriteIdentity(ref writer, Target);
    }

    /// <summary>Reads a probe message of any of the three kinds.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ProbeMessage probe)
    {
        probe = default;
        if (!MembershipMessage.TryOpen(bytes, out MembershipMessageKind kind)
            || kind is not (MembershipMessageKind.ProbeRequest or MembershipMessageKind.Probe or MembershipMessageKind.ProbeAnswer))
        {
            return false;
        }

        var reader = new WireReader(bytes[MembershipMessage.HeaderSize..]);
        var read = new ProbeMessage(kind, reader.Node(), reader.U32(), MembershipMessage.ReadIdentity(ref reader));
        if (reader.Failed || read.Origin.IsNone || read.Target.Name.IsNone)
        {
            return false;
        }

        probe = read;
        return true;
    }
}
