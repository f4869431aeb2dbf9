using System.Collections.Immutable;

namespace Carillon.Protocols.Membership;

/// <summary>How heartbeats travel.</summary>
public enum TransportChoice
{
    /// <summary>Multicast while every server that is heard also hears the group; unicast otherwise.</summary>
    Auto,

    /// <summary>The group only, whoever hears it.</summary>
    Multicast,

    /// <summary>A datagram to each server; the group is never used.</summary>
    Unicast,
}

/// <summary>Settings of <see cref="MembershipMonitor"/>. They may differ between servers: nothing agreed rests on them.</summary>
public sealed record MembershipOptions
{
    /// <summary>
    /// Time between heartbeats (<c>heartbeat.interval</c>), raised to the measured round trip where that is longer.
    /// Too low: load, and false alarms when a network is congested. Too high: deaths are noticed late.
    /// </summary>
    public TimeSpan HeartbeatInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Silence on every path after which a peer is suspected (<c>heartbeat.timeout</c>), raised to three of the peer's own
    /// intervals. Too low: every hiccup starts probes. Too high: failover is late by as much.
    /// </summary>
    public TimeSpan HeartbeatTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>
    /// How long a suspected peer has to answer probes before it is failed (<c>heartbeat.probeTimeout</c>), raised to twice the
    /// longest round trip measured. Too low: a bad link looks like a death. Too high: failover is late by as much.
    /// </summary>
    public TimeSpan ProbeTimeout { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Members asked to probe a suspected peer (<c>heartbeat.probeHelpers</c>). Too
    /// low: several bad links look like a death. Too high: more messages at each death.
    /// </summary>
    public int ProbeHelpers { get; init; } = 3;

    /// <summary>
    /// How far a clock may be off (<c>clock.maxSkew</c>) before its server is quarantined from accepting. Too low: ordinary
    /// NTP wander quarantines. Too high: stamps of wrong clocks stay in the index for as long.
    /// </summary>
    public TimeSpan ClockMaxSkew { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>
    /// Cuts a server with a wrong clock off entirely (<c>clock.strict</c>): nobody is connected to it. Off by default: one bad
    /// clock step can then cost a quorum.
    /// </summary>
    public bool ClockStrict { get; init; }

    /// <summary>How heartbeats travel: <c>auto</c>, by multicast while every server that is heard also hears the group, else by unicast;
    /// <c>multicast</c>, by the group only; <c>unicast</c>, never by it.</summary>
    public TransportChoice Transport { get; init; } = TransportChoice.Auto;

    /// <summary>
    /// Time between trial datagrams to the multicast group while unicast is in use (<c>multicast.probe</c>). Too low: traffic
    /// for nothing where multicast does not exist. Too high: a group that works is noticed late.
    /// </summary>
    public TimeSpan MulticastProbe { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>
    /// How long everybody must hear the group before it is used, and how long somebody may not hear it before it is given up
    /// (<c>multicast.settle</c>). Too low: a lossy network flips between the two. Too high: each change is late by as much.
    /// </summary>
    public TimeSpan MulticastSettle { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>
    /// The largest datagram, sealed, in bytes (<c>datagram.bytes</c>): 1,400 fits an Ethernet frame and the usual tunnels around
    /// it. A heartbeat that would be larger carries its echoes in turns. Too low: round trips are measured rarely.
    /// </summary>
    public int DatagramBytes { get; init; } = 1400;

    /// <summary>Everything that is wrong with these settings; empty if nothing is.</summary>
    public ImmutableArray<string> Validate()
    {
        var faults = ImmutableArray.CreateBuilder<string>();
        Require(faults, HeartbeatInterval >= TimeSpan.FromMilliseconds(1) && HeartbeatInterval <= TimeSpan.FromSeconds(10),
            "heartbeat.interval is from 1 ms to 10 s");
        Require(faults, HeartbeatTimeout >= 2 * HeartbeatInterval, "heartbeat.timeout is at least two heartbeat.interval");
        Require(faults, ProbeTimeout >= TimeSpan.FromMilliseconds(1), "heartbeat.probeTimeout is at least 1 ms");
        Require(faults, ProbeHelpers is >= 0 and <= 16, "heartbeat.probeHelpers is from 0 to 16");
        Require(faults, ClockMaxSkew >= TimeSpan.FromMilliseconds(10), "clock.maxSkew is at least 10 ms");
        Require(faults, MulticastProbe >= HeartbeatInterval, "multicast.probe is at least heartbeat.interval");
        Require(faults, MulticastSettle >= 2 * MulticastProbe && MulticastSettle <= TimeSpan.FromSeconds(20),
            "multicast.settle is from two multicast.probe to 20 s");
        Require(faults, DatagramBytes is >= Heartbeat.LeastDatagramBytes and <= 65_000,
            $"datagram.bytes is from {Heartbeat.LeastDatagramBytes} to 65000");
        return faults.DrainToImmutable();
    }

    private static void Require(ImmutableArray<string>.Builder faults, bool holds, string rule)
    {
        if (!holds)
        {
            faults.Add(rule);
        }
    }
}
