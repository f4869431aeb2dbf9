namespace Carillon.Protocols.Membership;

/// <summary>What a server knows of a peer's life.</summary>
public enum MemberState
{
    /// <summary>Nothing came from it since this server started, and that is less than the timeout ago.</summary>
    Unheard,

    /// <summary>Something came from it within the timeout, if only by way of another server.</summary>
    Alive,

    /// <summary>Nothing came from it for the timeout; probes are on their way.</summary>
    Suspected,

    /// <summary>It did not answer the probes either.</summary>
    Failed,
}

/// <summary>Why a server does not count as a voter, whatever it says.</summary>
public enum MemberFault
{
    /// <summary>Nothing is wrong.</summary>
    None,

    /// <summary>It speaks with another disk than the configuration names: that disk has not made the promises of this voter.</summary>
    UnknownDisk,

    /// <summary>It speaks with a lower incarnation than is recorded for its disk: a restored backup, which forgot promises.</summary>
    BehindRecord,

    /// <summary>It says itself that it does not vote.</summary>
    DoesNotVote,

    /// <summary>Its incarnation is not yet durably recorded here; it counts as soon as it is.</summary>
    NotRecorded,
}

/// <summary>How far a clock is ahead, give or take a bound: half of the shortest round trip, and the clock's resolution.</summary>
public readonly record struct ClockOffset(TimeSpan Offset, TimeSpan Bound);

/// <summary>Two clocks that are too far apart.</summary>
/// <param name="Server">The one whose clock is told.</param>
/// <param name="Against">The one that it is compared with.</param>
/// <param name="Offset">How far it is ahead of the other; negative if behind.</param>
/// <param name="Bound">How far that may be wrong.</param>
/// <param name="Quarantined">True if a quorum of its peers sees <paramref name="Server"/> off.</param>
public readonly record struct ClockSkew(NodeId Server, NodeId Against, TimeSpan Offset, TimeSpan Bound, bool Quarantined);

/// <summary>How heartbeats travel at present, and why so.</summary>
/// <param name="Multicast">True for the group, false for a datagram to each.</param>
/// <param name="Reason">In plain words, for <c>cluster status</c>.</param>
public readonly record struct TransportStatus(bool Multicast, string Reason);

/// <summary>Everything that is known of one server.</summary>
public sealed record MemberStatus
{
    /// <summary>Its name.</summary>
    public required NodeId Name { get; init; }

    /// <summary>Whether it lives, as far as is known.</summary>
    public required MemberState State { get; init; }

    /// <summary>Tunnel up, and not failed.</summary>
    public required bool Connected { get; init; }

    /// <summary>True if it counts towards quorums while connected.</summary>
    public required bool Votes { get; init; }

    /// <summary>Why it does not vote, if so.</summary>
    public required MemberFault Fault { get; init; }

    /// <summary>The greatest incarnation known of its disk; zero if none.</summary>
    public required Incarnation Incarnation { get; init; }

    /// <summary>The configuration that it said it has; zero if it said nothing.</summary>
    public required ulong ConfigurationVersion { get; init; }

    /// <summary>Time since something came from it; null if nothing ever did.</summary>
    public required TimeSpan? SilentFor { get; init; }

    /// <summary>Round trip, or null.</summary>
    public required TimeSpan? RoundTrip { get; init; }

    /// <summary>Clock offset, or null.</summary>
    public required ClockOffset? Clock { get; init; }

    /// <summary>True if a quorum of its peers sees its clock off.</summary>
    public required bool Quarantined { get; init; }

    /// <summary>Load, or null.</summary>
    public required LoadReport? Load { get; init; }
}
