using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Membership;

/// <summary>
/// What the layers above may ask about the other servers: one server's present knowledge, not an agreement, so nothing that
/// needs agreement may rest on it (epochs and bits do that).
/// </summary>
public interface IMembership
{
    /// <summary>This server.</summary>
    ServerIdentity Self { get; }

    /// <summary>The configuration in force here.</summary>
    ClusterConfiguration Configuration { get; }

    /// <summary>Counts the changes of what is connected, voting or well timed.</summary>
    ulong View { get; }

    /// <summary>The entry servers that count towards a quorum: this one if it votes, and the connected ones that do.</summary>
    VoterSet ConnectedVoters { get; }

    /// <summary>The entry servers whose clock no quorum sees off: this one's submissions go to these only.</summary>
    VoterSet ClockGoodVoters { get; }

    /// <summary>
    /// Why this server itself does not vote: another disk than configured, a restored backup, or its own stores. It may be
    /// connected to a quorum nevertheless; then it serves what it can verify, and accepts nothing.
    /// </summary>
    MemberFault SelfFault { get; }

    /// <summary>True if <see cref="ConnectedVoters"/> are a quorum.</summary>
    bool HasQuorum { get; }

    /// <summary>Whether heartbeats go to the group or to each server, and why.</summary>
    TransportStatus Transport { get; }

    /// <summary>True for this server, and for one whose tunnel is up and that is not failed, nor cut off by <c>clock.strict</c>.</summary>
    bool IsConnected(NodeId server);

    /// <summary>
    /// True if this is the server of that name as it is now: the configured disk, in the incarnation heard last. What comes from
    /// any other is dropped, since its promises are another's or forgotten.
    /// </summary>
    bool Accepts(ServerIdentity from);

    /// <summary>False for a server, also this one, whose clock a quorum of its peers sees off by more than <c>clock.maxSkew</c>.</summary>
    bool IsClockGood(NodeId server);

    /// <summary>The shortest of the last round trips, or null while none was measured.</summary>
    TimeSpan? RoundTrip(NodeId server);

    /// <summary>How far a server's wall clock is ahead of this one's, or null while that was not measured.</summary>
    ClockOffset? OffsetOf(NodeId server);

    /// <summary>
    /// How far the clock of a connected quorum, this server included, is ahead of this server's, by its median; null while fewer
    /// than a quorum were measured. Of two middle values the one farther off: two servers that disagree vouch for no clock.
    /// A block of stamps is reserved only while this is within <c>clock.maxSkew</c>.
    /// </summary>
    TimeSpan? MedianOffset(Moment now);

    /// <summary>How busy a server said it was last, or null if it said nothing yet.</summary>
    LoadReport? LoadOf(NodeId server);

    /// <summary>Everything known of each configured server, in order of their names, this one included.</summary>
    ImmutableArray<MemberStatus> Status();

    /// <summary>Who is off, against whom, by how much: every pair whose clocks are more than <c>clock.maxSkew</c> apart.</summary>
    ImmutableArray<ClockSkew> SkewReport();
}
