using System.Collections.Immutable;

namespace Carillon.Protocols.Membership;

/// <summary>
/// The greatest incarnation seen of a voter, to be kept durably: a disk that comes back behind it is a restored backup. A voter
/// counts only once <see cref="MembershipMonitor.Persisted"/> was called for its record.
/// </summary>
public readonly record struct IncarnationRecord(NodeId Name, DiskId Disk, Incarnation Incarnation);

/// <summary>A message to send. All may leave at once; each may be lost.</summary>
/// <param name="Path">How.</param>
/// <param name="To">To whom; none for <see cref="MessagePath.Group"/>.</param>
/// <param name="Message">Its bytes; copies to several servers share them.</param>
public readonly record struct MembershipSend(MessagePath Path, NodeId To, ReadOnlyMemory<byte> Message);

/// <summary>Kinds of <see cref="MembershipEvent"/>.</summary>
public enum MembershipEventKind
{
    /// <summary>Something came from a server that was not heard before, or failed: a driver without a tunnel to it dials at once.</summary>
    Heard,

    /// <summary>The server can be talked to.</summary>
    Connected,

    /// <summary>Its tunnel is down, or it is cut off, but it is not known to have failed.</summary>
    Disconnected,

    /// <summary>Nothing came from it for the timeout, and no probe found it.</summary>
    Failed,

    /// <summary>It is a new incarnation: everything that was kept in memory about the old one is void.</summary>
    Restarted,

    /// <summary>A quorum sees its clock off (this server may be meant): it accepts no submissions.</summary>
    Quarantined,

    /// <summary>Its clock is good again.</summary>
    QuarantineLifted,

    /// <summary>It speaks with a disk that the configuration does not name.</summary>
    UnknownDisk,

    /// <summary>Its incarnation is below the recorded one. Of this server: its disk is a restored backup and must not vote.</summary>
    BehindRecord,

    /// <summary>Heartbeats go another way from now on; <see cref="IMembership.Transport"/> says which.</summary>
    TransportChanged,

    /// <summary>What is connected, voting or well timed changed; <see cref="MembershipEvent.View"/> counts.</summary>
    ViewChanged,
}

/// <summary>Something that the layers above act on.</summary>
/// <param name="Kind">What.</param>
/// <param name="Server">Which server, where it is about one.</param>
/// <param name="Incarnation">Its incarnation.</param>
/// <param name="View">The view that the event leads to.</param>
public readonly record struct MembershipEvent(MembershipEventKind Kind, NodeId Server, Incarnation Incarnation, ulong View);

/// <summary>What <see cref="MembershipMonitor"/> wants done. Nothing in it waits for anything else in it.</summary>
/// <param name="Records">To be made durable, each answered by <see cref="MembershipMonitor.Persisted"/>; asked again each second.</param>
/// <param name="Sends">Messages, free to leave.</param>
/// <param name="Events">For the layers above, in order.</param>
/// <param name="Deadline">When to call <see cref="MembershipMonitor.Advance"/> at the latest.</param>
public readonly record struct MembershipBatch(
    ImmutableArray<IncarnationRecord> Records,
    ImmutableArray<MembershipSend> Sends,
    ImmutableArray<MembershipEvent> Events,
    Instant Deadline);

/// <summary>What was counted since the start; metric names are on docs/protocols/membership.md.</summary>
public readonly record struct MembershipCounters
{
    /// <summary>Heartbeats made (each may leave as several copies).</summary>
    public long HeartbeatsSent { get; init; }

    /// <summary>Heartbeats taken.</summary>
    public long HeartbeatsReceived { get; init; }

    /// <summary>Messages that could not be read, or that speak for another than their sender.</summary>
    public long Malformed { get; init; }

    /// <summary>Messages of servers that the configuration does not name.</summary>
    public long Strangers { get; init; }

    /// <summary>Messages of a disk that the configuration does not name.</summary>
    public long UnknownDisks { get; init; }

    /// <summary>Messages of a lower incarnation than one already seen.</summary>
    public long LowerIncarnations { get; init; }

    /// <summary>Peers suspected.</summary>
    public long Suspicions { get; init; }

    /// <summary>Suspicions that ended with the peer being heard, directly or through another.</summary>
    public long Refutations { get; init; }

    /// <summary>Peers failed.</summary>
    public long Failures { get; init; }

    /// <summary>Times that this server itself did not run, so that others' silence meant nothing.</summary>
    public long OwnPauses { get; init; }
}
