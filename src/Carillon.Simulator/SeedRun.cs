using System.Collections.Immutable;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Faults;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator;

/// <summary>
/// One seed from start to end: a cluster starts; clients work while faults strike (the safety phase); then everything is healed, and the
/// cluster must get on within a bound (the liveness phase), at first perhaps with a quorum only; then the checkers judge what was recorded.
/// </summary>
internal sealed partial class SeedRun : IDisposable
{
    // Bounds of the liveness phase; each is far above what a good run takes, so that a miss means "never".
    private static readonly TimeSpan StartBound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan ClientBound = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan DecisionBound = TimeSpan.FromMinutes(3);
    private static readonly TimeSpan ConvergenceBound = TimeSpan.FromMinutes(4);
    private static readonly TimeSpan JoinBound = TimeSpan.FromMinutes(5);
    private static readonly TimeSpan AnswerBound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan NoesBound = TimeSpan.FromSeconds(20);

    // Opening an image is slow.
    private const int MostLogImages = 30;

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(100);

    private readonly SeedOptions _options;
    private readonly SimulatedWorld _world;
    private readonly Workload _workload;
    private readonly FaultInjector _injector;
    private readonly ClusterOperator _operator;
    private readonly ServiceWorkload? _services;
    private readonly GroupWorkload? _group;
    private readonly LeaseChecker _leases;
    private readonly AcceptanceChecker _acceptance;
    private readonly PersistBeforeSendChecker _durability;
    private readonly VectorTrafficChecker _traffic;
    private readonly LogChecker _log = new();
    private readonly FeedChecker _feed = new();
    private readonly ChangeChecker _changes;
    private int _logImages;
    private bool _hasNoVerdict;

    public SeedRun(SeedOptions options, Action<string>? trace)
    {
        _options = options;
        var random = new RandomSource(options.Seed);
        var nodes = new NodeFactory(options.Node, ConfigurationOf(options));
        _world = new SimulatedWorld(options.World, nodes, random.Fork(), trace);
        _workload = new Workload(_world, options.Workload, random.Fork());
        _services = options.HasServices ? new ServiceWorkload(_world, new RandomSource(options.Seed ^ 0xF0CA1)) : null;
        _group = options.Groups is { } group
            ? new GroupWorkload(_world, new RandomSource(options.Seed ^ 0x6E0D5), _workload.Connection, group.Settings, group.Messages)
            : null;
        _injector = new FaultInjector(_world, options.Faults, random.Fork());
        _operator = new ClusterOperator(_world, nodes, new RandomSource(options.Seed ^ 0x0BE4A70), _injector.Losable);
        _injector.Operator = _operator;
        _acceptance = new AcceptanceChecker(
            _world, random.Fork(), options.QuorumSize, options.QuorumSize, () =>
                _world.Servers.Count(server => _injector.MayBeDamaged(server) || _operator.LostDisk(server)));
        _traffic = new VectorTrafficChecker(options.World.Servers);
        _durability = new PersistBeforeSendChecker(_world, random.Fork(), _injector.MayBeDamaged);
        _workload.Evidence.Rested = JudgeUpload;
        _workload.Evidence.Answered = (server, write, outcome) =>
        {
            _acceptance.OnAnswered(server, write, outcome);
            NoteNumber(server, outcome);
            JudgeNumber(server, write, outcome);
            _injector.OnAnswered(outcome);
        };
        _leases = new LeaseChecker(_world, _injector.MayBeDamaged);
        var grants = new GrantChecker(_world, server => _injector.MayBeDamaged(server) || _operator.LostDisk(server));
        _world.Primacy.Began = acting =>
        {
            grants.Look(acting);
            _injector.OnGranted(acting.Node);
        };
        _world.Primacy.Told = _leases.Look;
        _world.Started = server =>
        {
            JudgeStart(server);
            _leases.LookAtAll();
        };
        _world.Stopping = server => _log.OnStopped(server.Name, server.Node!.DurableRecords);
        _world.Removed = JudgeLogImage;

        // What a server has applied is seen before it is collected (seed 630), and before a power cut takes it back.
        _world.CatalogWritten = _feed.Look;
        _world.Reported = JudgeReport;
        _injector.CutOff = _workload.ReadElsewhere;
        var ballots = new BallotTrafficChecker(BitOf, _workload.Evidence.Submissions);
        var pushes = new StalePushChecker(BitOf);
        _operator.DiskGone = server =>
        {
            _log.Forget(server.Name);
            pushes.Forget(server.Name);
        };
        var tap = new WireTap(
            _world, _workload.Evidence.Submissions, _traffic, ballots, pushes, _durability,
                _injector.MayBeDamaged)
        {
            Closed = _injector.OnClosed, ExchangeBegun = _injector.OnExchangeBegun, RoundSeen = _workload.Glance,
            YesOfRejected = _workload.RepeatAt,
        };
        _changes = tap.Changes;
        _world.Network.Tap = tap.Look;
        _world.Network.DatagramTap = tap.LookAtDatagram;
    }

    /// <summary>Runs a seed.</summary>
    public static SeedResult Run(SeedOptions options, Action<string>? trace)
    {
        SimulationFailedException? failure = null;
        var reached = new HashSet<string>(StringComparer.Ordinal);
        Sometimes.Collect(reached);
        try
        {
            using var run = new SeedRun(options, trace);
            try
            {
                run.Run();
            }
            catch (SimulationFailedException caught)
            {
                failure = caught;
            }

            return run.Result(failure, reached);
        }
        finally
        {
            Sometimes.Collect(null);
            Buggify.Use(null);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _world.Dispose();

    // As the version numbers the voters that is in force at a server.
    private int BitOf(NodeId name) =>
        _world.Servers.Find(server => server.Name == name)?.Node is { } node ? node.Configuration.BitOf(name) : -1;

    private static ClusterConfiguration ConfigurationOf(SeedOptions options)
    {
        var servers = ImmutableArray.CreateBuilder<ServerRecord>();
        for (int place = 0; place < options.World.Servers; place++)
        {
            servers.Add(new ServerRecord
            {
                Name = SimulatedWorld.NameOf(place), Disk = new DiskId((UInt128)(uint)place + 1), Host = "127.0.0.1",
                HttpPort = 7410 + place, TunnelPort = 7510 + place, DatagramPort = 7610 + place,
            });
        }

        return new ClusterConfiguration("simulated", 1, servers.DrainToImmutable()) { LeaseDuration = options.LeaseDuration };
    }

    private void Run()
    {
        StartCluster();
        Buggify.Use(_options.Buggifies ? new RandomSource(~_options.Seed) : null, _options.IsCrowded);
        _workload.Start();
        _services?.Start();
        _group?.Start();
        _injector.Start();
        _world.RunUntil(() => _workload.IsExhausted && !_options.LastsItsTime, _options.Duration, Step);
        Heal();
        Await(() => _workload.IsQuiet, ClientBound, "clients", () => "clients wait for answers that never come");
        Decide();
        if (_options.Faults.HealsQuorumFirst)
        {
            StartAll();
        }

        Await(() => _operator.IsIdle, JoinBound, "joining", () => $"the operator does not come to an end: {_operator.Describe()}; {DescribeFeeds()}");

        JudgeServices();
        JudgeGroup();
        JudgeAnswers();
        JudgeCatalogs(Converge());
    }

    /// <summary>A bucket that never allowed it has no write answered at its agreement, by whichever way a server came to know
    /// that.</summary>
    private void JudgeNumber(SimulatedServer server, WriteRecord write, SubmitOutcome outcome)
    {
        if (_options.Workload.Answers == AgreedAnswers.Never && outcome is SubmitOutcome.Accepted { Sequenced.Number.IsNone: true }
            && write.Operations.All(o => o.Target.Bucket == Workload.Bucket))
        {
            throw Violation.Of("read", $"{server.Name} calls {write.Key} accepted without a number, which the bucket does not allow");
        }
    }

    private void StartCluster()
    {
        foreach (SimulatedServer server in _world.Servers)
        {
            server.Start();
        }

        SubmitOutcome? created = null;
        bool asked = false;
        Await(
            () =>
            {
                if (!asked)
                {
                    asked = true;
                    BucketSettings settings = Workload.SettingsOf(_options.Workload.Answers != AgreedAnswers.Never);
                    _world.Servers[0].Input((node, now) => node.CreateBucket(Workload.Bucket, settings, "bucket-key", now, outcome =>
                    {
                        created = outcome;
                        asked = outcome is not SubmitOutcome.Rejected;
                    }));
                }

                return created is SubmitOutcome.Accepted
                    && _world.Servers.TrueForAll(server => server.Node?.HasBucket(Workload.Bucket) ?? false);
            },
            StartBound,
            "start",
            () => $"a healthy cluster does not take its first bucket: {created}");
        if (_group is { } group)
        {
            Await(
                () =>
                {
                    group.SetUp();
                    return group.IsReady;
                },
                StartBound,
                "start",
                () => "a healthy cluster does not take its group");
        }

        if (_services is { } services)
        {
            _leases.Start();
            Await(
                () =>
                {
                    services.SetUp();
                    return services.IsReady;
                },
                StartBound,
                "start",
                () => "a healthy cluster does not take its services");
        }
    }

    private static void JudgeReport(SimulatedServer server, NodeEvent told)
    {
        if (told.Kind == NodeEventKind.StorageTrouble
            && (told.Detail.Contains("Differ", StringComparison.Ordinal) || told.Detail.Contains("Diverged", StringComparison.Ordinal)))
        {
            throw Violation.Of("F8", $"{server.Name}: {told.Detail}");
        }
    }

    private void NoteNumber(SimulatedServer server, SubmitOutcome outcome)
    {
        switch (outcome)
        {
            case SubmitOutcome.Accepted accepted:
                _feed.Told(server.Name, accepted.Tag, accepted.Sequenced);
                break;
            case SubmitOutcome.Refused refused:
                _feed.Told(server.Name, refused.Tag, refused.Sequenced);
                break;
        }
    }

    private void JudgeServices()
    {
        _world.Primacy.Check();
        if (_services is not null && Quorum.IsReachedBy(Voters().Count()))
        {
            new ServiceJudge(_world, _services, _options).Judge(() => [.. Voters()], !_world.Servers.Exists(_injector.MayBeDamaged));
        }
    }

    // A server whose disk was damaged may vote in no group any more, and then nothing may be left to vote.
    private void JudgeGroup()
    {
        if (_group is not { } group || _world.Servers.Exists(_injector.MayBeDamaged))
        {
            return;
        }

        Await(() => group.IsQuiet, ClientBound, "F10", () => "messages to a group never come to their end");
        string? fault = null;
        Await(
            () => (fault = Voters().Select(group.FaultOf).FirstOrDefault(f => f is not null)) is null,
            ConvergenceBound,
            "F10",
            () => fault!);
    }

    private Quorum Quorum => new(_options.World.Servers, _options.QuorumSize);

    private void Heal()
    {
        _world.Trace?.Invoke("healing");
        Buggify.Use(null);
        ScanChunks();
        _workload.Stop();
        _services?.Stop();
        _group?.Stop();
        _injector.Heal();
        _world.Network.Conditions = _world.Network.Conditions.Healed();
        _workload.Connection.Healed = true;
        RestartUntrusted();
        SimulatedServer[] stayDown = StayDown();
        foreach (SimulatedServer server in stayDown.Where(server => server.State != ServerState.Down))
        {
            server.Stop(powerCut: null);
        }

        foreach (SimulatedServer server in _world.Servers.Except(stayDown))
        {
            if (server.CanStart)
            {
                server.Start();
            }
        }
    }

    // At first only a quorum of sound servers gets on: the down ones stay down, then others, so that it is not always the same quorum.
    private SimulatedServer[] StayDown()
    {
        SimulatedServer[] sound = [.. _world.Servers.Where(server => !_injector.MayBeDamaged(server) && !_operator.IsAtWork(server))
            .OrderBy(server => server.State != ServerState.Down)
            .ThenBy(server => (server.Place * 7) + (int)(_options.Seed % 5))];
        int spare = _options.Faults.HealsQuorumFirst ? sound.Length - _options.QuorumSize : 0;
        return spare > 0 ? sound[..spare] : [];
    }

    // A store that met an error is not trusted again in that life: the operator reads why, mends the disk, and starts the machine anew.
    private void RestartUntrusted()
    {
        foreach (SimulatedServer server in _world.Servers)
        {
            if (server.State != ServerState.Down
                && (!server.Node!.Votes || server.Node.HasFailedChunkStore || server.Node.GroupsTrouble.Length > 0))
            {
                server.Stop(CrashStyle.LoseAll);
                server.Start();
            }
        }
    }

    private void StartAll()
    {
        _world.Trace?.Invoke("all servers start");
        foreach (SimulatedServer server in _world.Servers)
        {
            if (server.CanStart)
            {
                server.Start();
            }
        }
    }

    private string DescribeFeeds() =>
        string.Join("; ", Voters().Select(s => $"{s.Name} under version {s.Node!.ConfigurationVersion}, {s.Node!.DescribeFeed()}"));

    // A6: what was left open is decided, though the servers that accepted it may be down.
    private void Decide()
    {
        SettleTemporaries();
        Await(
            () => Voters().All(server => server.Node!.OpenSubmissions == 0),
            DecisionBound,
            "A6",
            () => $"submissions stay open after healing: {string.Join(", ", Voters().Where(server => server.Node!.OpenSubmissions > 0).Select(DescribeOpen))}; {DescribeFeeds()}");
        foreach (SimulatedServer server in Voters())
        {
            PutThrough(server);
        }

        if (!Voters().Any())
        {
            // A cluster of one whose only disk is damaged: nobody is left to ask.
            return;
        }

        ShowAll();
        ShowTags();
        ReadAll();
    }

    // Where temporaries live long, nobody asks about those that no read and no push meets: the noes among them are told all the same, and
    // the others are decided as soon as somebody asks.
    private void SettleTemporaries()
    {
        if (_options.Node.Exchange.TemporaryTtl < DecisionBound)
        {
            return;
        }

        _world.RunFor(NoesBound);
        if (_world.Servers.TrueForAll(server => server.State == ServerState.Running && server.Node!.Votes))
        {
            foreach (SimulatedServer server in _world.Servers)
            {
                NoesToldChecker.Check(server.Name, server.Node!.OpenTags, tag =>
                    _world.Servers.Find(acceptor => acceptor.Name == tag.Uid.Server)!.Node!.StateOf(tag));
            }
        }

        foreach (SimulatedServer server in Voters())
        {
            foreach (Tag tag in server.Node!.OpenTags.ToArray())
            {
                server.Input((node, now) => node.Show(tag, now, static _ => { }));
            }
        }
    }

    private void JudgeUpload(SimulatedServer server, StoredContent stored)
    {
        // One that others have decided *no* on while its server was cut off is over, though that server does not know it yet: it is
        // refused.
        bool isOver = _world.Servers.Exists(other => other.Node?.StateOf(stored.Upload) == TagState.Rejected);
        if (!isOver && (server.Node?.IsUploading(stored.Upload) ?? false))
        {
            UploadChecker.Check(
                stored.Upload,
                stored.Chunks.Select(chunk => chunk.Id),
                chunk => _world.Servers.Count(holder =>
                    (holder.Node?.HasChunk(chunk) ?? true) || _injector.MayBeDamaged(holder) || _operator.LostDisk(holder)),
                _options.QuorumSize);
        }
    }

    private void JudgeLogImage(SimulatedServer server)
    {
        if (_logImages++ < MostLogImages && !_injector.MayBeDamaged(server))
        {
            using IDurableImage image = _world.Nodes.OpenDurable(server.Name, server.Disk.DurableCopy(), server.Catalog);
            LogChecker.OnImage(server.Name, image.IsLogWhole);
        }
    }

    // What no fault damaged is found undamaged after every crash: a log that is called corrupt then was made so by its own server.
    private void JudgeStart(SimulatedServer server)
    {
        _log.OnStarted(server.Name, server.Node!.DurableRecords, server.Node.Votes);
        if (!server.Node!.Votes && server.Node.NotVotingBecause.Length > 0 && !_injector.MayBeDamaged(server)
            && !_operator.IsAtWork(server))
        {
            throw Violation.Of("start", $"{server.Name} starts, on a disk that nothing damaged, and does not vote: {server.Node.NotVotingBecause}");
        }
    }

    // C5, on disks that nothing damaged.
    private void ScanChunks()
    {
        foreach (SimulatedServer server in _world.Servers)
        {
            if (server.State == ServerState.Running && !_injector.MayBeDamaged(server))
            {
                StoredChunksChecker.Check(server.Name, server.Node!.StoredChunks, server.Node.IsChunkBad);
            }
        }
    }

    private ImmutableArray<ServerImage> Converge()
    {
        ImmutableArray<ServerImage> images = [];
        SettleTemporaries();
        Await(
            () =>
            {
                MergeDigest[] digests = [.. Voters().Select(server => server.Node!.CatalogDigest()).Distinct()];
                return digests.Length == 1 && Voters().All(server => server.Node!.OpenSubmissions == 0)
                    && Voters().Select(server => server.Node!.FeedApplied).Distinct().Count() <= 1;
            },
            ConvergenceBound,
            "convergence",
            () =>
            {
                images = TakeImages();
                ConvergenceChecker.Check(images);
                return $"submissions stay open ({string.Join(", ", Voters().Where(server => server.Node!.OpenSubmissions > 0).Select(DescribeOpen))}), or the feed does not come to all: {DescribeFeeds()}";
            });
        images = TakeImages();
        AwaitCopies(images);
        ScanChunks();
        return images;
    }

    // C2: every chunk that a kept version names comes back to its count.
    private void AwaitCopies(ImmutableArray<ServerImage> images)
    {
        ChunkId[] chunks =
        [
            .. images[0].Versions.Concat(images[0].Raced).Where(version => version.Kind == OperationKind.Put)
                .SelectMany(version => _workload.Evidence.ChunksOf(version.Sha256)).Distinct(),
        ];
        int wanted = Math.Min(Workload.Replicas, _options.World.Servers);
        int Copies(ChunkId chunk) => _world.Servers.Count(server => server.State == ServerState.Running && server.Node!.HasChunk(chunk));
        Await(
            () => CopiesChecker.AreEnough(chunks, Copies, wanted),
            ConvergenceBound,
            "C2",
            () => CopiesChecker.Describe(chunks, Copies, wanted));
    }

    private void JudgeCatalogs(ImmutableArray<ServerImage> images)
    {
        ConvergenceChecker.Check(images);
        _world.Servers.ForEach(_feed.Look);
        _feed.CheckAll(_workload.Evidence);
        _changes.Check(_feed.Versions);
        if (Voters().Select(server => server.Node!.ContentDigest()).Distinct().Count() > 1)
        {
            throw Violation.Of("F8", $"catalogs at number {_feed.Last} differ, though they keep the same tags");
        }

        NothingLostChecker.Check(_workload.Evidence, images, Workload.VersionsKept);
        FalsePositiveChecker.Check(_workload.Evidence, images);
        ChangesetChecker.Check(_workload.Evidence, images);
    }

    private ImmutableArray<ServerImage> TakeImages() =>
    [
        .. Voters().Select(server => new ServerImage(
            server.Name, server.Node!.CatalogDigest(), ListAll(server, Workload.Bucket), ListAll(server, Workload.RacedBucket),
            server.Node!.HasBucket(Workload.RacedBucket))),
    ];

    // One that the operator is about to stop gives no answers that are waited for (seed 444 with changes).
    private IEnumerable<SimulatedServer> Voters() =>
        _world.Servers.Where(server => server.State == ServerState.Running && server.Node!.Votes && !_operator.IsAtWork(server));

    private void Await(Func<bool> isTrue, TimeSpan bound, string rule, Func<string> otherwise)
    {
        if (!_world.RunUntil(isTrue, bound, Step))
        {
            throw Violation.TooSlow(rule, otherwise());
        }
    }

    private SeedResult Result(SimulationFailedException? failure, IReadOnlySet<string> reached) => new()
    {
        Reached = reached,
        Seed = _options.Seed,
        Failure = failure,
        Digest = _world.Digest.Value,
        VirtualTime = _world.Queue.Now - default(Instant),
        Events = _world.Queue.Happened,
        Operations = _workload.Evidence.Operations,
        Successes = _workload.Evidence.Successes,
        FalseNegatives = FalseNegatives.Of(_workload.Evidence),
        HasNoVerdict = _hasNoVerdict,
        DurabilityChecks = _acceptance.Looked + _durability.Looked,
        Faults = _injector.Strikes,
        DatagramFaults = _world.Network.Figures.Corrupted + _world.Network.Figures.DatagramsLost + _world.Network.Figures.DatagramsDoubled
            + _world.Network.Figures.DatagramsDelayed,
        SelfStops = _world.SelfStops,
    };
}
