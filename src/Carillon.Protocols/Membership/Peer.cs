using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Membership;

/// <summary>What this server knows of one other. Its owner is <see cref="MembershipMonitor"/>; nothing here decides.</summary>
internal sealed class Peer(ServerRecord record, int index, int bit, Instant now)
{
    // Of a peer that has not said how often it sends.
    private static readonly TimeSpan UnknownInterval = TimeSpan.Zero;

    /// <summary>Its entry in the configuration.</summary>
    public ServerRecord Record { get; private set; } = record;

    /// <summary>Its place in the configuration.</summary>
    public int Index { get; private set; } = index;

    /// <summary>Its bit among the entry servers, or -1.</summary>
    public int Bit { get; private set; } = bit;

    public NodeId Name => Record.Name;

    public MemberState State { get; set; } = MemberState.Unheard;

    /// <summary>The greatest incarnation known of the configured disk. It never decreases.</summary>
    public Incarnation Incarnation { get; private set; }

    /// <summary>The greatest incarnation that is durably recorded here.</summary>
    public Incarnation Recorded { get; set; }

    /// <summary>When its record was last asked to be made durable.</summary>
    public Instant RecordAskedAt { get; set; }

    /// <summary>True once something came from this disk since this server started.</summary>
    public bool EverHeard { get; set; }

    /// <summary>When something came from it last, on any path; at first, when the wait for it began.</summary>
    public Instant LastHeard { get; set; } = now;

    /// <summary>Since when it has been heard without a suspicion that no one could refute.</summary>
    public Instant AliveSince { get; set; } = now;

    /// <summary>When a suspicion becomes a failure.</summary>
    public Instant FailAt { get; set; } = Instant.Never;

    /// <summary>Number of the present suspicion's probes; an answer to another one proves nothing.</summary>
    public uint ProbeNumber { get; set; }

    /// <summary>Which of its probe requests were carried out, and which answers to it were passed on: each comes by two ways.</summary>
    public RecentNumbers RequestsTaken { get; } = new();

    public RecentNumbers AnswersPassed { get; } = new();

    /// <summary>Number of the newest heartbeat taken.</summary>
    public uint LastNumber { get; set; }

    /// <summary>When that one arrived, and the low 32 bits of microseconds that its sender's clock showed.</summary>
    public Instant HeartbeatAt { get; set; }

    public uint HeartbeatSent { get; set; }

    /// <summary>When a datagram of its arrived last, and one by the group; null if never.</summary>
    public Instant? DatagramAt { get; set; }

    public Instant? GroupAt { get; set; }

    /// <summary>When, by its echoes, a datagram of ours reached it last, and one by the group; null if never.</summary>
    public Instant? ReachedAt { get; set; }

    public Instant? GroupReachedAt { get; set; }

    /// <summary>How often it sends, by its own word.</summary>
    public TimeSpan Interval { get; set; } = UnknownInterval;

    public ulong ConfigurationVersion { get; set; }

    public bool SaysItVotes { get; set; } = true;

    public LoadReport? Load { get; set; }

    public ClockFilter Clock { get; } = new();

    public bool Quarantined { get; set; }

    /// <summary>The incarnation at the other end of the tunnel; null while it is down.</summary>
    public Incarnation? Tunnel { get; set; }

    /// <summary>Something wrong with who spoke under its name last: kept for display, cleared when the right one is heard.</summary>
    public MemberFault Imposter { get; set; }

    /// <summary>What was announced last.</summary>
    public bool Connected { get; set; }

    /// <summary>True while the tunnel leads to the present incarnation: one to a former life is as good as down.</summary>
    public bool TunnelIsUp => Tunnel == Incarnation && EverHeard;

    public bool IsHeard => State is MemberState.Alive or MemberState.Suspected;

    /// <summary>Why it does not count as a voter.</summary>
    public MemberFault Fault =>
        Imposter != MemberFault.None ? Imposter
        : !SaysItVotes ? MemberFault.DoesNotVote
        : EverHeard && Recorded < Incarnation ? MemberFault.NotRecorded
        : MemberFault.None;

    /// <summary>True if it counts towards quorums while connected.</summary>
    public bool Votes => Bit >= 0 && EverHeard && Fault == MemberFault.None;

    /// <summary>The configuration changed, but this server and its disk are in it still.</summary>
    public void Move(ServerRecord record, int index, int bit)
    {
        Record = record;
        Index = index;
        Bit = bit;
    }

    /// <summary>Sets the greatest incarnation; what was known of an earlier one is void.</summary>
    public void Become(Incarnation incarnation)
    {
        Invariant.That(incarnation > Incarnation);
        Incarnation = incarnation;
        LastNumber = 0;
        RequestsTaken.Clear();
        AnswersPassed.Clear();
        DatagramAt = null;
        GroupAt = null;
        ReachedAt = null;
        GroupReachedAt = null;
        Interval = UnknownInterval;
        SaysItVotes = true;
        Load = null;
        Clock.Clear();
    }

    /// <summary>This server itself did not run for a while: the silence was its own.</summary>
    public void Excuse(TimeSpan pause)
    {
        LastHeard += pause;
        FailAt += pause;
        ReachedAt += pause;
        GroupReachedAt += pause;
    }
}
