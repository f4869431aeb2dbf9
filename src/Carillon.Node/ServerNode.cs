using Carillon.Node.Feeds;
using Carillon.Node.Groups;
using Carillon.Node.Identity;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;
using Carillon.Storage.Log;

namespace Carillon.Node;

/// <summary>The stores of one server, opened by whoever composes it; the node owns them from then on.</summary>
/// <param name="Device">Where log, chunks and identity are.</param>
/// <param name="Catalog">The catalog's writer.</param>
/// <param name="IsCatalogLost">True if the catalog was found missing or damaged and was made anew.</param>
public sealed record NodeStores(IStorageDevice Device, Catalog Catalog, bool IsCatalogLost);

/// <summary>
/// One server as a deterministic machine: routes messages, timers and completions among the cores and the stores. Everything happens on its
/// driver's
/// loop; it never blocks, and reaches the world through <see cref="IWorld"/> alone. The same machine runs in production and in the
/// simulator.
/// </summary>
/// <remarks>
/// The driver calls inputs in any order, and <see cref="Settle"/> after each batch of them: there records become log batches, and messages
/// leave. So
/// everything that came in together shares one flush and one write per peer.
/// </remarks>
public sealed partial class ServerNode : IDisposable
{
    private readonly NodeOptions _options;
    private readonly IWorld _world;
    private readonly Postbox _postbox;
    private readonly DatagramPaths _paths = new();
    private readonly RandomSource _random;
    private readonly Catalog _catalog;
    private readonly DiskIdentity _identity;
    private readonly List<IncarnationRecord> _recorded = [];
    private string _notVotingBecause = "";
    private bool _stopping;
    private bool _isOpen;
    private Moment _now;

    /// <summary>Opens the stores, raises the incarnation, replays the log and goes on where the last life stopped. Blocking: called before
    /// the loop runs.</summary>
    /// <exception cref="WrongDiskException">The data directory is not this server's.</exception>
    /// <exception cref="StorageException">A device refused, or a file is of a newer release.</exception>
    public ServerNode(
        NodeOptions options, ClusterConfiguration configuration, NodeId self, NodeStores stores, IWorld world, RandomSource random,
            Moment now)
    {
        _options = options;
        _world = world;
        _random = random;
        _now = now;
        _catalog = stores.Catalog;
        _postbox = new Postbox(world, _paths);
        _groups = new GroupSet(this, stores.Device, options.Groups, world.Run, () => _now, random.Fork);
        _configurations = ConfigurationStore.Open(stores.Device);
        ConfigurationEntry? kept = _configurations.Entry;
        kept = kept?.Configuration.Version >= configuration.Version ? kept : null;
        configuration = kept?.Configuration ?? configuration;
        Configuration = NewestConfiguration = configuration;
        _deliveredVersion = configuration.Version;
        _isJoining = options.Joins && kept is null;
        ServerRecord record = configuration.Find(self) ?? throw new WrongDiskException($"Server {self} is not in the configuration.");
        _identity = DiskIdentity.Open(stores.Device, configuration.Cluster, self, record.Disk, IsReplacement(configuration, self));
        Self = new ServerIdentity(self, _identity.Disk, _identity.Incarnation);
        Reader = stores.Catalog.OpenReader();
        Applied = new AppliedState(Reader);
        Exchange = new VectorExchange(configuration, self, options.Exchange, random.Fork(), new ExchangeHost(this));
        Buckets = new BucketRules(Reader, Applied, () => Exchange);
        _checkpointFiles = new CheckpointFiles(stores.Device);
        _feed = new FeedHost(this, Reader, options, random.Fork());
        _reads = new FeedReads(this, _feed.Member, options.ReadPatience, Self.Incarnation.Value << 32);
        var primacy = new PrimacyHost(this);
        Selection = new SelectionMechanism(configuration, Self, options.Primacy, random.Fork(), primacy);
        Manager = new ReplicaManager(self, options.Primacy, primacy);
        Log = OpenLog(stores.Device, options.Log);
        _logPump = new LogPump(
            Log, StorageLane.Log, world.Run, () => _now.Now, () => Exchange.OpenTags >= WorthGathering, LogFlushed);
        Chunks = ChunkStore.Open(stores.Device, "chunks", Self.Disk, options.Chunks);
        Members = new MembershipMonitor(Self, configuration, options.Membership, random.Fork(), _recorded, now);
        JudgeDisk(stores, record);
        OpenChunks(stores.Device);
        OpenMerge();
        OpenGroups();
        OpenRebuild();
        _listDeadline = now.Now;
        Feed.HasApplied(Reader.AppliedNumber);
        _deliveredNumber = Feed.Applied.Value;
        if (_configurations.Closed > 0)
        {
            Exchange.Close(_configurations.Closed);
            Selection.Close(_configurations.Closed);
            _renewAt = now.Now + RenewAfter;
        }

        Exchange.Hold(kept?.Carried ?? [], now);
        Exchange.Start(now);
        if (kept is not null)
        {
            // It was kept before the log had what it carries: a crash may have come between.
            Adopt(kept, isNew: _identity.IsRebuilding);
        }

        OpenCheckpoints();
        _feed.Start(now.Now);
        LearnConfigurations();
        Members.SetVotes(MayVote, now);
        _isOpen = true;
        OpenPrimacy();
    }

    /// <summary>Who this is.</summary>
    public ServerIdentity Self { get; }

    /// <summary>The configuration in force.</summary>
    public ClusterConfiguration Configuration { get; private set; }

    /// <summary>Who can be talked to.</summary>
    public MembershipMonitor Members { get; }

    /// <summary>Agreement.</summary>
    public VectorExchange Exchange { get; }

    /// <summary>What is applied, as the loop reads it; other threads open their own by <see cref="OpenReader"/>.</summary>
    public CatalogReader Reader { get; }

    /// <summary>Chunks on this disk.</summary>
    public ChunkStore Chunks { get; }

    /// <summary>True if this server takes part in agreement; <see cref="NotVotingBecause"/> says why not.</summary>
    public bool MayVote =>
        _notVotingBecause.Length == 0 && Log.Health.IsWritable && Members.SelfFault is (MemberFault.None or MemberFault.DoesNotVote);

    /// <summary>Records of the log that are durable; after a start, those that it read back.</summary>
    public ulong DurableRecords => (ulong)Log.Durable.Value;

    /// <summary>Why this server does not vote, or empty.</summary>
    public string NotVotingBecause =>
        _notVotingBecause.Length > 0 ? _notVotingBecause
        : !Log.Health.IsWritable ? Log.Health.Reason
        : Members.SelfFault == MemberFault.BehindRecord ? "this disk is behind what others remember of it: a restored backup"
        : "";

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline => Instant.Min(
        Instant.Min(Exchange.NextDeadline, _membershipDeadline),
            Instant.Min(
                Instant.Min(
                    Instant.Min(_snapshotDeadline, _logPump.NextDeadline),
                    Instant.Min(_applyDeadline, Instant.Min(_roomDeadline, _listDeadline))),
                Instant.Min(
                    Instant.Min(Instant.Min(ExplainDeadline, ConfigurationDeadline), PrimacyDeadline),
                    Instant.Min(
                        Instant.Min(Instant.Min(ChunksDeadline, MergeDeadline), CheckpointDeadline),
                        Instant.Min(
                            Instant.Min(_rebuildDeadline, _reads.NextDeadline),
                            Instant.Min(_feed.NextDeadline, _groups.NextDeadline))))));

    internal SegmentLog Log { get; }

    internal BucketRules Buckets { get; }

    /// <summary>What agreement asks of the catalog.</summary>
    internal AppliedState Applied { get; }

    /// <summary>True if a submission would be taken now: it votes, a quorum is connected, and its clock is near that quorum's.</summary>
    public bool TakesSubmissions => MayVote && Members.HasQuorum && ClockNearQuorum;

    // Not measured is not near: a server that starts with a clock set a year ahead must not reserve stamps of next year before
    // the first heartbeats are echoed.
    internal bool ClockNearQuorum =>
        Members.MedianOffset(_now) is { } offset && offset.Duration() <= _options.Exchange.MaxSkew;

    /// <summary>Clients whose submissions are on their way here.</summary>
    public int OpenAttempts => Exchange.OpenAttempts;

    /// <summary>A reader of the catalog for another thread.</summary>
    public CatalogReader OpenReader() => _catalog.OpenReader();

    /// <summary>Time went on.</summary>
    public void Advance(Moment now)
    {
        _now = now;
        Members.Advance(now);
        DrainMembership();
        Exchange.Advance(now);
        AdvancePrimacy(now);
        AdvanceChunks(now);
        AdvanceMerge(now);
        AdvanceRebuild(now);
        AdvanceLists(now);
        AdvanceCatalog(now);
        AdvanceExplanations(now);
        AdvanceConfiguration(now);
        _feed.Advance(now.Now);
        AdvanceCheckpoints(now);
        _groups.Advance(now.Now);
        if (now.Now >= _snapshotDeadline)
        {
            _snapshotDeadline = Instant.Never;
            _snapshotWanted = true;
        }
    }

    /// <summary>A tunnel to a peer is up.</summary>
    public void TunnelUp(ServerIdentity peer, Moment now)
    {
        _now = now;
        Members.TunnelUp(peer, now);
        _paths.Forget(peer.Name);
        DrainMembership();
        PeerUp(peer);
    }

    /// <summary>The tunnel to a peer is down.</summary>
    public void TunnelDown(ServerIdentity peer, Moment now)
    {
        _now = now;
        Members.TunnelDown(peer, now);
        DrainMembership();
        PeerDown(peer);
    }

    /// <summary>A tunnel message from a peer.</summary>
    public void Receive(ServerIdentity from, TrafficKind kind, ReadOnlySpan<byte> message, Moment now)
    {
        _now = now;
        Members.HeardFrom(from, now);
        while (Envelope.TryTake(ref message, out Protocol protocol, out ReadOnlySpan<byte> payload, out bool bad) || bad)
        {
            if (bad || !Route(from, protocol, payload))
            {
                Tell(NodeEventKind.BadMessage, from.Name, $"{protocol} message of {payload.Length} bytes on {kind}");
            }
        }

        DrainMembership();
    }

    /// <summary>A datagram from a peer, opened and authenticated by the world.</summary>
    public void ReceiveDatagram(ServerIdentity from, ReadOnlySpan<byte> message, Moment now)
    {
        _now = now;
        if (!TakeDatagram(from, message))
        {
            Members.Receive(from, message, now);
        }

        DrainMembership();
    }

    /// <summary>A piece of work is done, or failed.</summary>
    public void Complete(StorageWork work, StorageException? failure, Moment now)
    {
        _now = now;
        work.Complete(failure);
    }

    /// <summary>After each batch of inputs: what was appended is given to the disk, what may leave leaves.</summary>
    public void Settle(Moment now)
    {
        _now = now;
        DrainMembership();
        SettleGroups();
        _reads.Flush(now.Now);
        DrainChunks();
        PumpCatalog();
        PumpLog();
        _groups.Pump();
        PumpChunks();
        _postbox.Flush(now.Now);
    }

    /// <summary>From now on nothing new is begun here; what is on its way goes on. The first step of an orderly stop.</summary>
    public void BeginStop(Moment now)
    {
        _now = now;
        _stopping = true;
        Selection.BeginStop(now);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Reader.Dispose();
        _catalog.Dispose();
        Log.Dispose();
        Chunks.Dispose();
        _groups.Dispose();
    }

    internal void Post(
        NodeId peer, TrafficKind kind, Protocol protocol, ReadOnlyMemory<byte> payload, ulong after, bool mayBeLost = false) =>
        _postbox.Post(
            peer, kind, new Postbox.Entry(protocol, payload, mayBeLost), after,
            kind == TrafficKind.Groups ? _groups.Durable : (ulong)Log.Durable.Value);

    internal void Tell(NodeEventKind kind, NodeId peer, string detail) => _world.Report(new NodeEvent(kind, peer, detail));

    private bool Route(ServerIdentity from, Protocol protocol, ReadOnlySpan<byte> payload)
    {
        switch (protocol)
        {
            case Protocol.VectorExchange:
                // Another disk under that name, or a restored backup, has not made that voter's promises.
                return !Members.Accepts(from) || Exchange.Receive(from.Name, payload, _now);
            case Protocol.Membership:
                Members.Receive(from, payload, _now);
                return true;
            case Protocol.Chunks:
                return ReceiveChunks(from, payload);
            case Protocol.Merge:
                return ReceiveMerge(from, payload);
            case Protocol.Node:
                return ReceiveOwn(from, payload);
            case Protocol.Primacy:
                return ReceivePrimacy(from, payload, isDatagram: false);
            case Protocol.Groups:
                return ReceiveGroup(from, payload);
            case Protocol.Feed:
                return ReceiveFeed(from, payload);
            case Protocol.Checkpoints:
                return ReceiveCheckpoint(from, payload);
            default:
                return true;
        }
    }

    /// <summary>
    /// An empty disk under a later configuration than the first takes the place of one that may have voted, and what that one promised and
    /// accepted is forgotten with it. Under the first, nobody has.
    /// </summary>
    private static bool IsReplacement(ClusterConfiguration configuration, NodeId self) =>
        configuration.Version > 1 && configuration.Voters.Length > 1 && configuration.BitOf(self) >= 0;

    /// <summary>Decides whether this disk may vote: it is the one that the configuration names, and nothing on it is damaged
    /// (3-vector-exchange, "Disks").</summary>
    private void JudgeDisk(NodeStores stores, ServerRecord record)
    {
        if (stores.IsCatalogLost && !_identity.IsNew)
        {
            _identity.SetRebuilding(true);
        }

        if (Self.Disk != record.Disk)
        {
            _notVotingBecause = $"the configuration names disk {record.Disk} for {Self.Name}, this is {Self.Disk}: correct the configuration, or see docs/operations/lost-server.md";
        }
        else if (!Log.Health.IsWritable || _recordsUnread)
        {
            Sometimes.Reached("damaged-log-does-not-vote");
            _notVotingBecause = $"the log is damaged ({(_recordsUnread ? "a record can't be read" : Log.Health.Reason)}): give it an empty data directory under a new disk id (docs/operations/lost-server.md)";
        }
        else if (!_hasRecords && !_identity.IsNew && !_identity.IsRebuilding && Reader.AppliedPosition > 0)
        {
            // Its log is cut behind a copy of all that is open, so one that has served is never without a record.
            Sometimes.Reached("lost-log-does-not-vote");
            _notVotingBecause = "the log is gone, and with it what this disk promised: give it an empty data directory under a new disk id (docs/operations/lost-server.md)";
        }
        else if (_identity.IsRebuilding)
        {
            _notVotingBecause = "what this disk, or the one that it replaces, held is being rebuilt from a quorum of the other servers";
        }

        if (_notVotingBecause.Length > 0)
        {
            Tell(NodeEventKind.NotVoting, Self.Name, _notVotingBecause);
        }
    }
}
