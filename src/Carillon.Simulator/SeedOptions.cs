using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Faults;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;
using Carillon.Storage.Log;

namespace Carillon.Simulator;

/// <summary>Everything that a seed decides before the run begins.</summary>
internal sealed record SeedOptions
{
    // In one seed of so many a server is of a newer build than the others.
    private const ulong NewerBuildEvery = 5;

    /// <summary>The seed.</summary>
    public required ulong Seed { get; init; }

    /// <summary>Servers, disks, network.</summary>
    public required WorldOptions World { get; init; }

    /// <summary>The nodes' own settings.</summary>
    public required NodeOptions Node { get; init; }

    /// <summary>What goes wrong.</summary>
    public required FaultOptions Faults { get; init; }

    /// <summary>True if the run has services.</summary>
    public bool HasServices { get; init; }

    /// <summary>The run's group, or null.</summary>
    public GroupSeeds? Groups { get; init; }

    /// <summary>What clients do.</summary>
    public required WorkloadOptions Workload { get; init; }

    /// <summary>The longest safety phase; it ends earlier if the clients have done everything.</summary>
    public TimeSpan Duration { get; init; }

    /// <summary>True if rare branches are taken on purpose (<see cref="Buggify"/>).</summary>
    public bool Buggifies { get; init; }

    /// <summary>True if nearly all of the rare branches are.</summary>
    public bool IsCrowded { get; init; }

    /// <summary>Servers that must agree.</summary>
    public int QuorumSize => Quorum.Majority(World.Servers);

    /// <summary>How long a voter's lease lasts.</summary>
    public TimeSpan LeaseDuration { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>True: the safety phase lasts its whole time, whatever the clients do.</summary>
    public bool LastsItsTime { get; init; }

    /// <summary>Draws all options.</summary>
    /// <param name="seed">The seed.</param>
    /// <param name="kind">What every run has.</param>
    public static SeedOptions Draw(ulong seed, SeedKind kind)
    {
        SeedOptions drawn = Draw(seed);
        return kind switch
        {
            SeedKind.Services => ServiceSeeds.Harden(drawn),
            SeedKind.Changes => drawn with
            {
                Faults = DrawNewDisks(DrawChanges(drawn.Faults, seed, drawn.Duration, most: 1), seed, drawn.Duration),
            },
            _ => drawn,
        };
    }

    /// <summary>Draws all options.</summary>
    public static SeedOptions Draw(ulong seed)
    {
        // Its own generator, so that the run's draws don't depend on how many the options took.
        var random = new RandomSource(seed ^ 0xC0FFEE);
        int servers = random.Below(10) switch
        {
            0 => 1,
            < 6 => 3,
            6 => 4,
            _ => 5,
        };
        int quorum = Quorum.Majority(servers);

        // What was added later has a generator of its own, so that old seeds keep what they had.
        var later = new RandomSource(seed ^ 0xBE11F00D);
        var services = new RandomSource(seed ^ 0x5E41CE);
        var newest = new RandomSource(seed ^ 0xA11CE5);
        TimeSpan duration = TimeSpan.FromSeconds(5 * Math.Pow(24, random.Fraction()));
        WorkloadOptions workload = WorkloadOptions.Draw(random, duration);
        FaultOptions faults = FaultOptions.Draw(random, later, newest, servers, quorum, quorum, duration);
        bool temporariesStay = later.Chance(0.3);
        bool repeatsOften = later.Chance(0.3) && !faults.IsCalm;

        // A hasty client is at the next server, under the same key, while the one before is still at it.
        bool isHasty = newest.Chance(0.3) && !faults.IsCalm;
        var haste = TimeSpan.FromSeconds(0.05 * Math.Pow(20, newest.Fraction()));
        repeatsOften |= isHasty;
        if (!faults.IsCalm && new RandomSource(seed ^ 0x5EC0E).Chance(0.4))
        {
            faults = faults.WithAtLeast((FaultKind.Sequencer, (1 + (seed % 8)) / duration.TotalSeconds));
        }

        workload = DrawAnswers(workload, seed);
        bool isCrowded = !faults.IsCalm && newest.Chance(0.2);
        var drawn = new SeedOptions
        {
            Seed = seed,
            HasServices = services.Chance(0.5),
            World = new WorldOptions
            {
                Servers = servers, DiskSpeed = DrawDisk(random), Network = DrawNetwork(random, faults.IsCalm),
                ProviderFailures = !faults.IsCalm && services.Chance(0.3) ? 0.2 * services.Fraction() : 0,
                NewerBuildPlace = seed % NewerBuildEvery == 0 ? (int)(seed / NewerBuildEvery % (ulong)servers) : -1,
            },
            Node = DrawNode(random),
            Faults = DrawChanges(
                isCrowded ? faults.WithAtLeast((FaultKind.CutOffAtVector, 20 / duration.TotalSeconds)) : faults, seed, duration),
            Workload = faults.IsCalm ? workload with { LostRequests = 0, UploadRestMost = default } : workload,
            Buggifies = (!faults.IsCalm && random.Chance(0.6)) || isCrowded,
            IsCrowded = isCrowded,
            Duration = duration,
        };
        drawn = drawn with { Node = drawn.Node with { Feed = DrawFeed(new RandomSource(seed ^ 0xFEED)) } };
        GroupSeeds? groups = GroupSeeds.Draw(seed, drawn.Node);
        drawn = drawn with { Groups = groups, Node = groups is null ? drawn.Node : drawn.Node with { Groups = groups.Node } };
        return drawn with
        {
            Node = temporariesStay
                ? drawn.Node with { Exchange = drawn.Node.Exchange with { TemporaryTtl = TimeSpan.FromHours(1) } }
                : drawn.Node,
            Workload = drawn.Workload with
            {
                RepeatShare = repeatsOften ? 0.3 : drawn.Workload.RepeatShare,
                RequestTimeout = isHasty ? haste : drawn.Workload.RequestTimeout,
            },
        };
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        NetworkConditions network = World.Network;
        return string.Join('\n', [
            FormattableString.Invariant($"seed {Seed}: {World.Servers} servers, quorum {QuorumSize}, ≤ {Duration.TotalSeconds:F0} s under faults{(IsCrowded ? ", crowded" : Buggifies ? ", buggified" : "")}{(HasServices ? $", services, leases of {LeaseDuration.TotalSeconds:F2} s" : "")}{(Groups is null ? "" : $", a group of {Groups.Messages} messages")}{(World.NewerBuildPlace < 0 ? "" : $", {SimulatedWorld.NameOf(World.NewerBuildPlace)} of a newer build")}"),
            FormattableString.Invariant($"  network: {network.Latency.TotalMilliseconds:F2}+{network.Jitter.TotalMilliseconds:F2} ms, loss {network.DatagramLoss:P0}, doubled {network.DatagramDuplication:P0}, delayed {network.DatagramDelay:P1}"),
            FormattableString.Invariant($"  disk: flush {World.DiskSpeed.Flush.TotalMilliseconds:F2}+{World.DiskSpeed.FlushJitter.TotalMilliseconds:F2} ms, {World.DiskSpeed.BytesPerSecond >> 20} MiB/s"),
            FormattableString.Invariant($"  node: push.timeout {Node.Exchange.PushTimeout.TotalSeconds:F2} s, exchange.timeout {Node.Exchange.ExchangeTimeout.TotalSeconds:F2} s, temporary.ttl {Node.Exchange.TemporaryTtl.TotalSeconds:F0} s, stamp.block {Node.Exchange.StampBlock.TotalMilliseconds:F0} ms, {(Node.Exchange.ActiveConnectivity ? "active" : "passive")} connectivity, log segments {Node.Log.SegmentBytes >> 10} KiB, snapshot {Node.SnapshotBytes >> 10} KiB, transport {Node.Membership.Transport}"),
            $"  faults: {Faults}",
            $"  workload: {Workload}",
        ]);
    }

    // Later than all else, so with a generator of its own: in so many seeds the configuration changes, 1 to 12 times.
    private static FaultOptions DrawChanges(FaultOptions faults, ulong seed, TimeSpan duration, double most = 0.3)
    {
        var random = new RandomSource(seed ^ 0xC0F16);
        return !faults.IsCalm && random.Chance(most)
            ? faults.WithAtLeast((FaultKind.NewVersion, Math.Pow(12, random.Fraction()) / duration.TotalSeconds))
            : faults;
    }

    // Likewise; disks that are lost, and servers that leave, in most seeds with changes.
    private static FaultOptions DrawNewDisks(FaultOptions faults, ulong seed, TimeSpan duration)
    {
        var random = new RandomSource(seed ^ 0xD15C5);
        double Rate(double share, double most) => random.Chance(share) ? Math.Pow(most, random.Fraction()) / duration.TotalSeconds : 0;
        return faults.IsCalm ? faults
            : faults.WithAtLeast(
                (FaultKind.ReplacedDisk, Rate(0.6, 6)),

                // A disk that is damaged votes no more, and while one is away none is added.
                (FaultKind.LeaveAndJoin, Rate(0.4, 6) * (faults.DamageableDisks > 0 ? 0 : 1)), (FaultKind.AtClosing, Rate(0.5, 4)));
    }

    // Later than all else too: in so many seeds the common bucket does not allow answers at agreement, or does not always.
    private static WorkloadOptions DrawAnswers(WorkloadOptions workload, ulong seed)
    {
        var random = new RandomSource(seed ^ 0x2EAD);
        return !random.Chance(0.4) ? workload : workload with
        {
            Answers = random.Chance(0.4) ? AgreedAnswers.Never : AgreedAnswers.Turned,
            AgreedShare = Math.Max(workload.AgreedShare, 0.5),
        };
    }

    private static DiskSpeed DrawDisk(RandomSource random) => new()
    {
        Flush = TimeSpan.FromMilliseconds(0.05 * Math.Pow(200, random.Fraction())),
        FlushJitter = TimeSpan.FromMilliseconds(0.05 * Math.Pow(400, random.Fraction())),
        BytesPerSecond = (8L << random.Below(7)) << 20,
    };

    private static NetworkConditions DrawNetwork(RandomSource random, bool calm)
    {
        var drawn = new NetworkConditions
        {
            Latency = TimeSpan.FromMilliseconds(0.02 * Math.Pow(500, random.Fraction())),
            Jitter = TimeSpan.FromMilliseconds(0.02 * Math.Pow(500, random.Fraction())),
            DatagramLoss = random.Chance(0.5) ? 0.3 * random.Fraction() : 0,
            DatagramDuplication = random.Chance(0.5) ? 0.5 * random.Fraction() : 0,
            DatagramDelay = random.Chance(0.5) ? 0.1 * random.Fraction() : 0,
            DatagramDelayLimit = TimeSpan.FromSeconds(5 * random.Fraction()),
            DatagramCorruption = random.Chance(0.3) ? 0.05 * random.Fraction() : 0,
            ChunkCorruption = random.Chance(0.3) ? 0.1 * random.Fraction() : 0,
            TunnelTimeoutMost = TimeSpan.FromSeconds(1 + (9 * random.Fraction())),
        };
        return calm ? drawn.Healed() : drawn;
    }

    private static GroupOptions DrawFeed(RandomSource random) => new()
    {
        CheckpointEvery = (ulong)(random.Chance(0.3) ? 100_000 : 10 + random.Below(120)), RetainNumbers = (ulong)random.Below(40),
        GossipInterval = TimeSpan.FromMilliseconds(50 + random.Below(100)), MaxRun = 1 + random.Below(64),
        CombinedQuery = random.Chance(0.3), RecoveryPatience = TimeSpan.FromSeconds(0.3 + (2 * random.Fraction())),
    };

    private static NodeOptions DrawNode(RandomSource random)
    {
        int batchBytes = 8192 << random.Below(5);
        return new NodeOptions
        {
            Exchange = new VectorExchangeOptions
            {
                ActiveConnectivity = random.Chance(0.3),
                PushTimeout = TimeSpan.FromSeconds(0.2 * Math.Pow(10, random.Fraction())),
                ExchangeTimeout = TimeSpan.FromSeconds(0.5 * Math.Pow(10, random.Fraction())),
                TemporaryTtl = TimeSpan.FromSeconds(Math.Pow(60, random.Fraction())),
                StampBlock = TimeSpan.FromMilliseconds(10 * Math.Pow(200, random.Fraction())),
            },
            Membership = new MembershipOptions
            {
                HeartbeatInterval = TimeSpan.FromMilliseconds(100 + random.Below(150)),
                HeartbeatTimeout = TimeSpan.FromMilliseconds(500 + random.Below(500)),
                Transport = (TransportChoice)random.Below(3),
            },
            Log = new SegmentLogOptions
            {
                MaxBatchBytes = batchBytes, SegmentBytes = batchBytes * (4 << random.Below(3)), ReserveBytes = 256 << 10,
                SpareSegments = 1 + random.Below(2), MaxFreeSegments = 2 + random.Below(6),
            },
            Chunks = new ChunkStoreOptions { SegmentBytes = (256L << 10) << random.Below(4), ReserveBytes = 0 },
            Merge = new IndexMergeOptions
            {
                Interval = TimeSpan.FromSeconds(2 * Math.Pow(30, random.Fraction())),
                ConnectDelay = TimeSpan.FromSeconds(0.05 * Math.Pow(200, random.Fraction())),
            },
            Catalog = random.Chance(0.3)
                ? new CatalogOptions
                {
                    RejectedCount = 1 + random.Below(20), TrimmedCount = 1 + random.Below(20),
                    OutcomeTtl = TimeSpan.FromMinutes(1 + random.Below(10)),
                }
                : new CatalogOptions(),
            Replication = new ChunkReplicationOptions
            {
                PutTimeout = TimeSpan.FromSeconds(0.3 + (2 * random.Fraction())),
                RepairInterval = TimeSpan.FromSeconds(1 + (9 * random.Fraction())),
                CollectInterval = TimeSpan.FromSeconds(0.3 * Math.Pow(30, random.Fraction())),
                CollectGrace = TimeSpan.FromSeconds(0.05 * Math.Pow(600, random.Fraction())),
                IntentLease = TimeSpan.FromSeconds(2 + (28 * random.Fraction())),
                ScrubPeriod = TimeSpan.FromSeconds(10 * Math.Pow(60, random.Fraction())),
            },
            CollectFresh = TimeSpan.FromSeconds(10 * Math.Pow(60, random.Fraction())),
            SnapshotBytes = (32L << 10) << random.Below(6),
        };
    }
}
