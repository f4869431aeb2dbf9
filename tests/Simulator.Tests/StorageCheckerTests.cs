using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Checkers of what is on disks and of what messages claim about them.</summary>
public sealed class StorageCheckerTests : IDisposable
{
    private static readonly Tag Tag = HandMade.TagOf(5);
    private static readonly byte[][] Chunks = [[1, 2, 3], [4, 5, 6]];

    private readonly HandMade _made = new();
    private readonly Disks _disks = new();
    private readonly SimulatedWorld _world;

    public StorageCheckerTests() => _world = new SimulatedWorld(new WorldOptions(), _disks, new RandomSource(1), trace: null);

    public void Dispose() => _world.Dispose();

    [Theory]
    [InlineData(2, 2, 0, true)]
    [InlineData(1, 2, 0, false)]
    [InlineData(2, 1, 0, false)]
    [InlineData(1, 1, 1, true)]
    public void A1_accepted_needs_a_quorum_and_enough_copies_on_durable_disks(int records, int copies, int damaged, bool holds)
    {
        for (int place = 0; place < 3; place++)
        {
            Disk disk = _disks.Of(SimulatedWorld.NameOf(place));
            disk.Tags.UnionWith(place < records ? [Tag] : []);
            disk.Stored.UnionWith(place < copies ? Chunks.Select(chunk => ChunkId.Of(chunk)) : [ChunkId.Of(Chunks[0])]);
        }

        WriteRecord write = _made.Wrote(LibraryVerdict.Accepted, Tag, 1, 2, null, _made.Put("a", "v1", Chunks));
        var checker = new AcceptanceChecker(_world, new RandomSource(1), quorum: 2, minimum: 2, () => damaged);
        void Check() => checker.OnAnswered(_world.Servers[0], write, new SubmitOutcome.Accepted(Tag, Replayed: false));
        if (holds)
        {
            Check();
            Assert.Equal(1, checker.Looked);
        }
        else
        {
            HandMade.Breaks("A1", Check);
        }
    }

    [Fact]
    public void C2_chunk_with_too_few_copies_is_named()
    {
        ChunkId[] chunks = [.. Chunks.Select(chunk => ChunkId.Of(chunk))];
        Assert.True(CopiesChecker.AreEnough(chunks, _ => 3, 3));
        Assert.False(CopiesChecker.AreEnough(chunks, chunk => chunk == chunks[1] ? 2 : 3, 3));
        Assert.Equal(
            $"chunk {chunks[1]} has 2 copies; 3 are wanted", CopiesChecker.Describe(chunks, chunk => chunk == chunks[1] ? 2 : 3, 3));
    }

    [Fact]
    public void C5_stored_bytes_that_are_not_the_chunk_are_found()
    {
        ChunkId[] chunks = [.. Chunks.Select(chunk => ChunkId.Of(chunk))];
        StoredChunksChecker.Check(HandMade.S1, chunks, static _ => false);
        HandMade.Breaks("C5", () => StoredChunksChecker.Check(HandMade.S1, chunks, chunk => chunk == chunks[1]));
    }

    [Fact]
    public void C5_content_that_nobody_wrote_is_found()
    {
        PlannedOperation put = _made.Put("a", "v1");
        Assert.Equal("v1", _made.Evidence.ValueOf(Digest.Of(put.Content.Span)));
        HandMade.Breaks("C5", () => _made.Evidence.ValueOf(Digest.Of([9, 9])));
    }

    [Fact]
    public void C6_content_that_is_cut_or_changed_is_found()
    {
        byte[] content = [1, 2, 3, 4];
        var manifest = new ObjectManifest { Size = 4, Sha256 = Digest.Of(content), Inline = content };
        ContentChecker.Check(HandMade.S1, HandMade.Name("a"), manifest, content);
        HandMade.Breaks("C6", () => ContentChecker.Check(HandMade.S1, HandMade.Name("a"), manifest, content.AsSpan(0, 3)));
        HandMade.Breaks("C6", () => ContentChecker.Check(HandMade.S1, HandMade.Name("a"), manifest, [1, 2, 3, 5]));
    }

    [Fact]
    public void Voter_whose_log_lost_durable_records_is_found()
    {
        var checker = new LogChecker();
        checker.OnStarted(HandMade.S1, 3, votes: true);
        checker.OnStopped(HandMade.S1, 7);
        checker.OnStarted(HandMade.S1, 9, votes: true);
        checker.OnStarted(HandMade.S2, 1, votes: true);
        checker.OnStarted(HandMade.S1, 5, votes: false);
        HandMade.Breaks("log", () => checker.OnStarted(HandMade.S1, 5, votes: true));
    }

    [Fact]
    public void Log_that_a_power_cut_would_leave_in_parts_is_found()
    {
        LogChecker.OnImage(HandMade.S1, isWhole: true);
        HandMade.Breaks("log", () => LogChecker.OnImage(HandMade.S1, isWhole: false));
    }

    [Fact]
    public void Upload_whose_chunks_were_collected_is_found()
    {
        ChunkId[] chunks = [.. Chunks.Select(chunk => ChunkId.Of(chunk))];
        UploadChecker.Check(Tag, chunks, _ => 2, minimum: 2);
        HandMade.Breaks("intent", () => UploadChecker.Check(Tag, chunks, chunk => chunk == chunks[1] ? 1 : 3, minimum: 2));
    }

    [Fact]
    public void No_that_a_server_is_not_told_is_found()
    {
        NoesToldChecker.Check(HandMade.S2, [Tag], static _ => TagState.Open);
        HandMade.Breaks("noes", () => NoesToldChecker.Check(HandMade.S2, [Tag], static _ => TagState.Rejected));
    }

    [Fact]
    public void Traffic_beyond_the_bound_is_found()
    {
        var checker = new VectorTrafficChecker(2);
        byte[] vector = MessageCodec.Encode(new Vector(Tag, default, 1, 0, true, 1, Again: false));
        checker.OnMessage(vector);
        checker.OnMessage(vector);
        checker.Check();
        checker.OnMessage(vector);
        HandMade.Breaks("traffic", checker.Check);
    }

    [Fact]
    public void Claim_that_the_senders_disk_does_not_bear_out_is_found()
    {
        byte[] promise = MessageCodec.Encode(new Promise(Tag, 64, HasBit: false, 0, false, default));
        Disk disk = _disks.Of(_world.Servers[0].Name);
        disk.Promises[Tag] = 64;
        Claim();
        disk.Promises.Clear();
        HandMade.Breaks("persist before send", Claim);

        // Every claim of the kind is looked at with a chance; enough of them make one certain.
        void Claim()
        {
            var checker = new PersistBeforeSendChecker(_world, new RandomSource(1), static _ => false);
            for (int i = 0; i < 1000; i++)
            {
                checker.OnMessage(_world.Servers[0].Name, MessageType.Promise, promise);
            }

            Assert.True(checker.Looked > 0);
        }
    }

    /// <summary>What the durable image of a server is said to hold.</summary>
    private sealed class Disk : IDurableImage
    {
        public HashSet<Tag> Tags { get; } = [];

        public HashSet<ChunkId> Stored { get; } = [];

        public Dictionary<Tag, uint> Promises { get; } = [];

        public bool IsLogWhole => true;

        public bool HasAnyFence => false;

        public (Epoch Epoch, NodeId Node, Incarnation Incarnation) PromiseOf(ServiceName service) => default;

        public Timestamp OutcomesSince => default;

        public Timestamp ReservedStamps => default;

        public bool Holds(Tag tag) => Tags.Contains(tag);

        public bool KnowsOutcome(Tag tag) => false;

        public bool HasBit(Tag tag, uint round) => false;

        public bool HasPromised(Tag tag, uint round) => Promises.TryGetValue(tag, out uint promised) && promised >= round;

        public bool Holds(ChunkId chunk) => Stored.Contains(chunk);

        public void Dispose()
        {
            // The disk outlives each look at it.
        }
    }

    private sealed class Disks : INodeFactory
    {
        private readonly Dictionary<NodeId, Disk> _disks = [];

        public ClusterConfiguration Configuration { get; } = new("made", 1, [.. Enumerable.Range(0, 3).Select(place => new ServerRecord
        {
            Name = SimulatedWorld.NameOf(place), Disk = new DiskId((UInt128)(uint)place + 1), Host = "127.0.0.1",
            HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
        })]);

        public Disk Of(NodeId server)
        {
            if (!_disks.TryGetValue(server, out Disk? disk))
            {
                _disks.Add(server, disk = new Disk());
            }

            return disk;
        }

        public INodeUnderTest Start(NodeStart start, IWorld world) =>
            throw new StorageException(StorageFault.Failed, "these servers only have disks");

        public IDurableImage OpenDurable(NodeId self, SimulatedDisk disk, CatalogMemory catalog) => Of(self);
    }
}
