using System.Collections.Immutable;
using System.Net;
using System.Numerics;
using Carillon.Node;

namespace Carillon.Runtime.Tunnels;

/// <summary>One kind of traffic: a stream of its own in each tunnel, so that none waits behind another (VE-16, VE-17).</summary>
public sealed record TrafficOptions
{
    /// <summary>Its name on the wire, the last part of the stream's path: a-z, 0-9 and '-'.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// Bytes of the largest message; a greater one ends the tunnel. Too low: such messages never arrive. Too high: memory that a
    /// peer can claim.
    /// </summary>
    public int MaxMessageBytes { get; init; } = 1 << 20;

    /// <summary>Bytes that may wait for one peer. Too low: bursts are refused. Too high: memory, and old news that arrives late.</summary>
    public int QueueBytes { get; init; } = 4 << 20;

    /// <summary>True for chunks: one header and one body a frame, received into pooled buffers.</summary>
    public bool Chunks { get; init; }
}

/// <summary>Bounds and times of the tunnels of one server.</summary>
public sealed record TunnelOptions
{
    /// <summary>Where to listen; port 0 takes a free one.</summary>
    public required IPEndPoint Listen { get; init; }

    /// <summary>The kinds of traffic. A peer that lacks one is served without it.</summary>
    public ImmutableSortedDictionary<TrafficKind, TrafficOptions> Kinds { get; init; } = DefaultKinds;

    /// <summary>
    /// Bytes on the way in one stream before its receiver reads them (HTTP/2's window), up to 16 MiB. Too low: bandwidth × delay
    /// is not reached. Too high: memory, where a receiver is slow.
    /// </summary>
    public int StreamWindowBytes { get; init; } = 4 << 20;

    /// <summary>
    /// Bytes that may wait unsent in the kernel (TCP_NOTSENT_LOWAT). It bounds how long an agreement message waits behind bulk:
    /// 256 KiB are 2 ms at 1 Gbit/s. Too low: more system calls a byte.
    /// </summary>
    public int UnsentBytes { get; init; } = 256 << 10;

    /// <summary>Longest time for the connection, TLS and the handshake. Too low: slow links never connect.</summary>
    public TimeSpan ConnectTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// Longest time for the TCP connection alone. Too low: slow links never connect. Too high: after a partition that dropped
    /// packets, the call in progress waits for the system's next try, and those are seconds apart.
    /// </summary>
    public TimeSpan DialTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Shortest pause before dialling again; pauses are random and grow by two.</summary>
    public TimeSpan ReconnectMinimum { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Longest pause before dialling again. Too low: load on a host that is down. Too high: a returning server waits.</summary>
    public TimeSpan ReconnectMaximum { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Time between pings of a tunnel.</summary>
    public TimeSpan PingInterval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// A tunnel from which nothing came for so long is given up. Membership finds a dead peer faster; this finds a dead
    /// connection. Too low: a pause of the other process costs the connection.
    /// </summary>
    public TimeSpan SilenceLimit { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How long a stop waits for what is queued to leave.</summary>
    public TimeSpan DrainTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// Bytes of chunks received and not released, of all peers; at least the largest chunk. Beyond it, senders wait. What is to be sent
    /// never counts: it waits for the peers, which may wait for this.
    /// </summary>
    public long ChunkBufferBytes { get; init; } = 64 << 20;

    /// <summary>The kinds of the node's own protocols.</summary>
    public static ImmutableSortedDictionary<TrafficKind, TrafficOptions> DefaultKinds { get; } =
        ImmutableSortedDictionary<TrafficKind, TrafficOptions>.Empty
            .Add(TrafficKind.Agreement, new TrafficOptions { Name = "agreement" })
            // A changeset holds up to 16 MiB inline, and its record a little more.
            .Add(TrafficKind.Push, new TrafficOptions { Name = "push", MaxMessageBytes = 20 << 20, QueueBytes = 64 << 20 })
            .Add(TrafficKind.Bulk, new TrafficOptions { Name = "bulk", MaxMessageBytes = 64 << 20, QueueBytes = 64 << 20, Chunks = true })
            .Add(TrafficKind.Merge, new TrafficOptions { Name = "merge", MaxMessageBytes = 20 << 20, QueueBytes = 32 << 20 })
            .Add(TrafficKind.Groups, new TrafficOptions { Name = "groups", MaxMessageBytes = 4 << 20, QueueBytes = 64 << 20 });

    /// <summary>All faults of these options; empty if there is none.</summary>
    public IReadOnlyList<string> Validate()
    {
        List<string> faults = [];
        foreach ((TrafficKind kind, TrafficOptions traffic) in Kinds)
        {
            Check(traffic.Name.Length is > 0 and <= 32 && traffic.Name.All(c => c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-'),
                $"The name '{traffic.Name}' of kind {kind} is not 1-32 of a-z 0-9 -.");
            Check(traffic.MaxMessageBytes is > 0 and <= ChunkBufferPool.LargestBuffer,
                $"MaxMessageBytes of kind {kind} is {traffic.MaxMessageBytes}: use 1 to {ChunkBufferPool.LargestBuffer}.");
            Check(traffic.QueueBytes is > 0 and <= 1 << 30, $"QueueBytes of kind {kind} is {traffic.QueueBytes}: use 1 to {1 << 30}.");
            Check((long)traffic.QueueBytes >= traffic.MaxMessageBytes || traffic.Chunks,
                $"QueueBytes of kind {kind} is {traffic.QueueBytes}: its largest message, {traffic.MaxMessageBytes}, could never be sent.");
            Check(!traffic.Chunks || ChunkBufferBytes >= BitOperations.RoundUpToPowerOf2((uint)traffic.MaxMessageBytes),
                $"ChunkBufferBytes is {ChunkBufferBytes}: the largest chunk of {traffic.MaxMessageBytes} could never be received.");
        }

        Check(Kinds.Values.Select(traffic => traffic.Name).Append("control").Distinct(StringComparer.Ordinal).Count() == Kinds.Count + 1,
            "Two kinds have one name, or one is called 'control'.");
        Check(StreamWindowBytes is >= 65_535 and <= 16 << 20, $"StreamWindowBytes is {StreamWindowBytes}: use 65535 to {16 << 20}.");
        Check(UnsentBytes >= 16_384, $"UnsentBytes is {UnsentBytes}: use 16384 or more.");
        Check(DialTimeout > TimeSpan.Zero && ConnectTimeout >= DialTimeout, "DialTimeout is not above zero, or ConnectTimeout below it.");
        Check(ReconnectMinimum > TimeSpan.Zero && ReconnectMaximum >= ReconnectMinimum,
            "ReconnectMinimum is not above zero, or ReconnectMaximum below it.");
        Check(PingInterval > TimeSpan.Zero && SilenceLimit > PingInterval, "PingInterval is not above zero, or SilenceLimit not above it.");
        Check(DrainTimeout >= TimeSpan.Zero, "DrainTimeout is below zero.");
        return faults;

        void Check(bool good, string fault)
        {
            if (!good)
            {
                faults.Add(fault);
            }
        }
    }
}
