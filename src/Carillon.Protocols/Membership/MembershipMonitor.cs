using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Membership;

/// <summary>
/// The cluster membership monitor (seed 002's CMM; heartbeats of seed 003, §5.2; clock rule of seed 000): knows which servers
/// this one can talk to, how far away they are, how busy, and how wrong their clocks are. docs/protocols/membership.md has
/// messages, states, invariants, and where it differs from the seeds.
/// </summary>
/// <remarks>
/// A core: single-threaded and synchronous. Its driver calls an input, then <see cref="Drain"/>, and calls <see cref="Advance"/>
/// at the deadline that it was given. Only the calls between servers are unreliable; whoever <c>from</c> is was authenticated.
/// </remarks>
public sealed partial class MembershipMonitor : IMembership
{
    // A round trip beyond this is a stall of somebody, not a distance.
    private static readonly TimeSpan LongestRoundTrip = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan RecordAgain = TimeSpan.FromSeconds(1);

    // Heartbeats are spread by this much, so that servers started together do not stay in step.
    private const double Spread = 0.05;

    private readonly MembershipOptions _options;
    private readonly RandomSource _random;
    private readonly Outbox _outbox = new();
    private readonly HeartbeatComposer _composer;
    private readonly MulticastTrial _trial;
    private readonly ClockGuard _clocks;
    private readonly List<Peer> _peers = [];

    // Tunnels of disks that the version in force does not name; the next may, and they don't come up anew for that.
    private readonly SortedDictionary<NodeId, ServerIdentity> _strangers = [];
    private int _selfIndex;
    private int _selfBit;
    private Moment _now;
    private Instant _deadline;
    private Instant _nextHeartbeat;
    private uint _suspicions;
    private bool _votes = true;
    private bool _behindRecord;
    private bool _selfQuarantined;
    private bool _restartSeen;
    private LoadReport _load;
    private MembershipCounters _counters;

    /// <summary>A server that has just started.</summary>
    /// <param name="self">Its name, disk and incarnation; the incarnation is durable before this.</param>
    /// <param name="configuration">The configuration in force.</param>
    /// <param name="options">Settings, valid.</param>
    /// <param name="random">For the spread of heartbeats and the choice of helpers.</param>
    /// <param name="recorded">The incarnations that were persisted before.</param>
    /// <param name="now">The present.</param>
    public MembershipMonitor(
        ServerIdentity self, ClusterConfiguration configuration, MembershipOptions options, RandomSource random,
        IEnumerable<IncarnationRecord> recorded, Moment now)
    {
        Invariant.That(options.Validate().IsEmpty);
        Self = self;
        _options = options;
        _random = random;
        _composer = new HeartbeatComposer(self, options.DatagramBytes);
        _trial = new MulticastTrial(options);
        _clocks = new ClockGuard(options.ClockMaxSkew);
        _now = now;
        _deadline = now.Now;
        _nextHeartbeat = now.Now;
        Configuration = configuration;
        Populate([]);
        foreach (IncarnationRecord record in recorded)
        {
            if (PeerOf(record.Name) is { } peer && peer.Record.Disk == record.Disk && record.Incarnation > peer.Incarnation)
            {
                peer.Become(record.Incarnation);
                peer.Recorded = record.Incarnation;
            }
        }

        ConnectedVoters = FindConnectedVoters();
        ClockGoodVoters = FindClockGoodVoters();
    }

    /// <inheritdoc/>
    public ServerIdentity Self { get; }

    /// <inheritdoc/>
    public ClusterConfiguration Configuration { get; private set; }

    /// <inheritdoc/>
    public ulong View { get; private set; }

    /// <inheritdoc/>
    public VoterSet ConnectedVoters { get; private set; }

    /// <inheritdoc/>
    public VoterSet ClockGoodVoters { get; private set; }

    /// <inheritdoc/>
    public bool HasQuorum => Configuration.Quorum.IsReachedBy(ConnectedVoters);

    /// <inheritdoc/>
    public TransportStatus Transport => _trial.Status;

    /// <summary>What was counted since the start.</summary>
    public MembershipCounters Counters => _counters;

    /// <inheritdoc/>
    public MemberFault SelfFault =>
        _behindRecord ? MemberFault.BehindRecord
        : Configuration.Find(Self.Name)?.Disk != Self.Disk ? MemberFault.UnknownDisk
        : !_votes ? MemberFault.DoesNotVote
        : MemberFault.None;

    /// <summary>Time has passed: sends what is due, suspects and fails the silent.</summary>
    public void Advance(Moment now)
    {
        Begin(now);
        foreach (Peer peer in _peers)
        {
            WatchSilence(peer);
        }

        if (_now.Now >= _nextHeartbeat)
        {
            SendHeartbeat();
            AskAgainForRecords();
            JudgeClocks();
            if (_trial.Evaluate(_peers, _now.Now))
            {
                _outbox.Tell(MembershipEventKind.TransportChanged, Self.Name, Self.Incarnation, View);
            }
        }

        End();
    }

    /// <summary>A membership message has come, by a datagram or the tunnel; anything that is not one is counted and dropped.</summary>
    public void Receive(ServerIdentity from, ReadOnlySpan<byte> message, Moment now)
    {
        Begin(now);
        if (from.Name == Self.Name)
        {
            MeetOwnName(from);
        }
        else if (Heartbeat.TryRead(message, out Heartbeat heartbeat) && heartbeat.Sender == from)
        {
            TakeHeartbeat(from, heartbeat);
        }
        else if (ProbeMessage.TryRead(message, out ProbeMessage probe))
        {
            TakeProbe(from, probe);
        }
        else
        {
            _counters = _counters with { Malformed = _counters.Malformed + 1 };
        }

        End();
    }

    /// <summary>Something that is not this core's came from a server, on any path: it lives.</summary>
    public void HeardFrom(ServerIdentity from, Moment now)
    {
        Begin(now);
        if (Admit(from) is { } peer)
        {
            Hear(peer);
        }

        End();
    }

    /// <summary>A tunnel to a server stands, and its handshake has proved who is there.</summary>
    public void TunnelUp(ServerIdentity peer, Moment now)
    {
        Begin(now);
        if (Admit(peer) is { } admitted)
        {
            admitted.Tunnel = peer.Incarnation;
            Hear(admitted);
        }
        else if (_strangers.Count < ClusterConfiguration.MaxServers)
        {
            _strangers[peer.Name] = peer;
        }

        End();
    }

    /// <summary>The tunnel to that incarnation is gone; late news about an earlier one's is ignored.</summary>
    public void TunnelDown(ServerIdentity peer, Moment now)
    {
        Begin(now);
        if (PeerOf(peer.Name) is { } known && known.Record.Disk == peer.Disk && known.Tunnel == peer.Incarnation)
        {
            known.Tunnel = null;
        }

        if (_strangers.TryGetValue(peer.Name, out ServerIdentity stranger) && stranger == peer)
        {
            _strangers.Remove(peer.Name);
        }

        End();
    }

    /// <summary>A record of a <see cref="MembershipBatch"/> is durable.</summary>
    public void Persisted(IncarnationRecord record, Moment now)
    {
        Begin(now);
        if (PeerOf(record.Name) is { } peer && peer.Record.Disk == record.Disk && record.Incarnation > peer.Recorded)
        {
            peer.Recorded = record.Incarnation;
        }

        End();
    }

    /// <summary>What the next heartbeats say about this server's load.</summary>
    public void SetLoad(LoadReport load) => _load = load;

    /// <summary>Whether this server's own stores allow it to vote; peers are told by the next heartbeat.</summary>
    public void SetVotes(bool votes, Moment now)
    {
        Begin(now);
        _votes = votes;
        End();
    }

    /// <summary>A newer configuration is in force. Servers that are in both, with the same disk, keep what is known of them.</summary>
    public void Reconfigure(ClusterConfiguration configuration, Moment now)
    {
        Invariant.That(configuration.Version > Configuration.Version);
        Begin(now);
        Configuration = configuration;
        Populate([.. _peers]);
        foreach (ServerIdentity stranger in _strangers.Values.ToArray())
        {
            if (Configuration.Find(stranger.Name)?.Disk == stranger.Disk && Admit(stranger) is { } admitted)
            {
                _strangers.Remove(stranger.Name);
                admitted.Tunnel = stranger.Incarnation;
                Hear(admitted);
            }
        }

        End();
    }

    /// <summary>Takes everything that is to be done since the last call.</summary>
    public MembershipBatch Drain() => _outbox.Drain(_deadline);

    /// <inheritdoc/>
    public bool IsConnected(NodeId server) => server == Self.Name || PeerOf(server) is { Connected: true };

    /// <inheritdoc/>
    public bool Accepts(ServerIdentity from) =>
        from == Self
        || (PeerOf(from.Name) is { EverHeard: true } peer && peer.Record.Disk == from.Disk && peer.Incarnation == from.Incarnation);

    /// <summary>True for a server that said that the version in force here is in force there too.</summary>
    public bool SharesConfiguration(NodeId server) => PeerOf(server)?.ConfigurationVersion == Configuration.Version;

    /// <summary>Connected servers that have a later version than this one's in force.</summary>
    public IEnumerable<NodeId> WithLaterVersion() =>
        _peers.Where(peer => peer.Connected && peer.ConfigurationVersion > Configuration.Version).Select(peer => peer.Name);

    /// <inheritdoc/>
    public bool IsClockGood(NodeId server) => server == Self.Name ? !_selfQuarantined : PeerOf(server) is { Quarantined: false };

    /// <inheritdoc/>
    public TimeSpan? RoundTrip(NodeId server) => PeerOf(server) is { Clock.IsMeasured: true } peer ? peer.Clock.RoundTrip : null;

    /// <inheritdoc/>
    public ClockOffset? OffsetOf(NodeId server) => PeerOf(server) is { Clock.IsMeasured: true } peer ? OffsetOf(peer) : null;

    /// <inheritdoc/>
    public LoadReport? LoadOf(NodeId server) => server == Self.Name ? _load : PeerOf(server)?.Load;

    /// <inheritdoc/>
    public TimeSpan? MedianOffset(Moment now)
    {
        var offsets = new List<TimeSpan>();
        if (_selfBit >= 0)
        {
            offsets.Add(TimeSpan.Zero);
        }

        foreach (Peer peer in _peers)
        {
            if (peer is { Connected: true, Votes: true, Clock.IsMeasured: true })
            {
                offsets.Add(new TimeSpan(peer.Clock.BaseTicks - ClockGuard.SelfBase(now)));
            }
        }

        return Configuration.Quorum.IsReachedBy(offsets.Count) ? ClockGuard.Median(offsets) : null;
    }

    /// <inheritdoc/>
    public ImmutableArray<MemberStatus> Status() =>
        [.. Configuration.Servers.Select(server => PeerOf(server.Name) is { } peer ? StatusOf(peer) : StatusOfSelf())];

    /// <inheritdoc/>
    public ImmutableArray<ClockSkew> SkewReport()
    {
        ReadClocks();
        return _clocks.Report();
    }
}
