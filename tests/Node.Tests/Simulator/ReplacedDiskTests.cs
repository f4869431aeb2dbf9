using System.Text;
using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>
/// An empty disk under a new id takes the place of a lost one, while the server that held the only other copy of an accepted put is away:
/// nothing may be decided without that put.
/// </summary>
public sealed class ReplacedDiskTests : IDisposable
{
    private static readonly ObjectName Name = new("files", "a");
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    private readonly Factory _factory = new();
    private readonly SimulatedWorld _world;

    public ReplacedDiskTests() => _world = new SimulatedWorld(new WorldOptions(), _factory, new RandomSource(7), trace: null);

    public void Dispose() => _world.Dispose();

    [Fact]
    public void New_disk_votes_only_once_it_holds_what_a_quorum_of_the_others_holds()
    {
        StartAll();
        Accept(0, node => (done, now) => node.CreateBucket("files", new BucketSettings(), "b", now, done));
        Until(() => _world.Servers.TrueForAll(s => s.Node!.HasBucket("files")));

        // s2 misses a put and a fence of which s1 and the disk that is lost are the quorum.
        _world.Servers[1].Stop(powerCut: null);
        Accept(0, node => (done, now) => node.Submit([Put("one")], "key", default, now, done));
        Assert.Equal(SubmissionState.Rejected, Show(0, "fenced").State);
        _world.Servers[0].Stop(powerCut: null);
        _world.Servers[2].Stop(powerCut: null);
        ReplaceDisk(2);

        Start(1);
        Start(2);
        _world.RunFor(TimeSpan.FromMinutes(2));
        Assert.False(_world.Servers[2].Node!.Votes);
        Assert.IsNotType<SubmitOutcome.Accepted>(Submit(1, "two", "other"));
        Assert.IsNotType<ReadOutcome.Found>(Read(1));

        // It stays so over a restart of the new disk, which is not new any more then.
        _world.Servers[2].Stop(powerCut: null);
        Start(2);
        _world.RunFor(TimeSpan.FromMinutes(1));
        Assert.False(_world.Servers[2].Node!.Votes);

        Start(0);
        Until(() => _world.Servers[2].Node!.Votes);
        _world.Servers[0].Stop(powerCut: null);
        _world.RunFor(TimeSpan.FromSeconds(10));
        Assert.Equal("one", Encoding.UTF8.GetString(Assert.IsType<ReadOutcome.Found>(Read(1)).Manifest.Inline.Span));
        SubmitOutcome.Rejected fenced = Assert.IsType<SubmitOutcome.Rejected>(Submit(1, "three", "fenced"));
        Assert.NotEqual(RejectionReason.NoQuorum, fenced.Reason);
        Assert.IsType<SubmitOutcome.Accepted>(Submit(1, "four", "fresh"));
    }

    [Fact]
    public void New_disk_whose_cluster_gets_another_version_while_it_is_rebuilt_votes_all_the_same()
    {
        StartAll();
        Accept(0, node => (done, now) => node.CreateBucket("files", new BucketSettings(), "b", now, done));
        Until(() => _world.Servers.TrueForAll(s => s.Node!.HasBucket("files")));
        _world.Servers.ForEach(s => s.Stop(powerCut: null));
        ReplaceDisk(2);
        _world.Network.Cut(0, 2);
        _world.Network.Cut(2, 0);
        StartAll();
        Until(() => _world.Servers[1].Node!.HasQuorum);
        _world.Servers[1].Input((node, now) => node.RenewConfiguration(now));
        Until(() => _world.Servers[2].Node!.ConfigurationVersion == 3);

        // It has what s2 gave it; s1 is missing.
        _world.RunFor(TimeSpan.FromMinutes(2));
        Assert.False(_world.Servers[2].Node!.Votes);
        _world.Network.Heal(0, 2);
        _world.Network.Heal(2, 0);
        Until(() => _world.Servers[2].Node!.Votes);
    }

    [Theory]
    [InlineData(ClusterChangeKind.Replace)]
    [InlineData(ClusterChangeKind.Remove)]
    public void Disk_is_not_taken_away_while_another_is_being_rebuilt_from_it(ClusterChangeKind kind)
    {
        StartAll();
        Accept(0, node => (done, now) => node.CreateBucket("files", new BucketSettings(), "b", now, done));
        Until(() => _world.Servers.TrueForAll(s => s.Node!.HasBucket("files")));
        _world.Servers.ForEach(s => s.Stop(powerCut: null));
        ReplaceDisk(2);
        _world.Network.Cut(0, 2);
        _world.Network.Cut(2, 0);
        StartAll();
        Until(() => _world.Servers[1].Node!.HasQuorum);
        ServerRecord first = _world.Servers[1].Node!.Configuration.Servers[0];
        ClusterChangeOutcome? outcome = null;
        _world.Servers[1].Input((node, now) =>
            node.ChangeCluster(new ClusterChange(kind, first with { Disk = new DiskId(98) }), now, o => outcome = o));
        Until(() => outcome is not null);
        Assert.Contains("of the other servers vote", outcome!.Value.Fault, StringComparison.Ordinal);
        Assert.True(outcome.Value.MayRetry);
        Assert.False(_world.Servers[1].Node!.IsVersionClosed);
        _world.Network.Heal(0, 2);
        _world.Network.Heal(2, 0);
        Until(() => _world.Servers[2].Node!.Votes);
    }

    [Fact]
    public void New_disk_that_can_not_note_that_it_is_rebuilt_stops_and_votes_after_its_next_start()
    {
        StartAll();
        Accept(0, node => (done, now) => node.CreateBucket("files", new BucketSettings(), "b", now, done));
        _world.Servers.ForEach(s => s.Stop(powerCut: null));
        ReplaceDisk(2);
        StartAll();
        _world.Servers[2].Disk.Faults.FailNextFlushIn = "identity";
        Until(() => _world.Servers[2].State == ServerState.Down);
        Assert.Contains("rebuilt", _world.Servers[2].StopReason, StringComparison.Ordinal);
        Start(2);
        Until(() => _world.Servers[2].Node!.Votes);
    }

    [Fact]
    public void New_disk_whose_first_start_was_cut_short_is_started_again()
    {
        StartAll();
        Accept(0, node => (done, now) => node.CreateBucket("files", new BucketSettings(), "b", now, done));
        _world.Servers.ForEach(s => s.Stop(powerCut: null));
        ReplaceDisk(2);
        _world.Servers[2].Disk.Faults.Full = true;
        Assert.False(_world.Servers[2].Start());
        _world.Servers[2].Disk.Faults.Full = false;
        StartAll();
        Until(() => _world.Servers[2].Node!.Votes);
    }

    [Fact]
    public void New_disk_votes_only_once_its_groups_are_open_and_know_what_was_lost()
    {
        // One that were opened later would take itself for one that never promised anything.
        StartAll();
        GroupName name = GroupName.Parse("routes");
        byte[] record = new GroupRecord(7, new GroupSettings()).Write();
        var manifest = new ObjectManifest { Size = record.Length, Sha256 = Digest.Of(record), Inline = record, VersionsKept = 1 };
        var operation = new Operation(OperationKind.Put, GroupRecord.TargetOf(name), manifest);
        Accept(0, node => (done, now) => node.Submit([operation], "g", default, now, done));
        _world.Servers.ForEach(s => s.Stop(powerCut: null));
        ReplaceDisk(2);
        StartAll();
        _world.Servers[2].Disk.Faults.FailNextFlushIn = "groups-log";
        _world.RunFor(TimeSpan.FromMinutes(1));
        Assert.False(_world.Servers[2].Node!.Votes);
        _world.Servers[2].Stop(powerCut: null);
        Start(2);
        Until(() => _world.Servers[2].Node!.Votes);
    }

    [Fact]
    public void First_disks_of_a_cluster_vote_though_one_server_has_not_been_started_yet()
    {
        Start(0);
        Start(1);
        Accept(0, node => (done, now) => node.CreateBucket("files", new BucketSettings(), "b", now, done));
        Start(2);
        Until(() => _world.Servers[2].Node!.HasBucket("files"));
        Assert.True(_world.Servers[2].Node!.Votes);
    }

    private static Operation Put(string text)
    {
        byte[] content = Encoding.UTF8.GetBytes(text);
        var manifest = new ObjectManifest { Size = content.Length, Sha256 = Digest.Of(content), Inline = content, VersionsKept = 10 };
        return new Operation(OperationKind.Put, Name, manifest);
    }

    private void StartAll()
    {
        for (int place = 0; place < 3; place++)
        {
            Start(place);
        }
    }

    private void Start(int place) => Assert.True(_world.Servers[place].Start());

    private void ReplaceDisk(int place)
    {
        _world.Servers[place].Disk.Replace();
        _world.Servers[place].Catalog.Erase();
        _factory.Replace(place);
    }

    private void Until(Func<bool> isTrue, TimeSpan? step = null) => Assert.True(_world.RunUntil(isTrue, Bound, step ?? Step));

    private void Accept(int place, Func<INodeUnderTest, Action<Action<SubmitOutcome>, Moment>> call) => Until(() =>
    {
        SubmitOutcome? outcome = Ask<SubmitOutcome>(place, (node, now, done) => call(node)(done, now));
        return outcome is SubmitOutcome.Accepted;
    });

    private SubmitOutcome? Submit(int place, string text, string key) =>
        Ask<SubmitOutcome>(place, (node, now, done) => node.Submit([Put(text)], key, default, now, done));

    private ReadOutcome? Read(int place) => Ask<ReadOutcome>(place, (node, now, done) => node.Read(Name, now, done));

    private SubmissionReport Show(int place, string key) =>
        Ask<SubmissionReport>(place, (node, now, done) => node.Show(key, now, report => done(report!)))!;

    private T? Ask<T>(int place, Action<INodeUnderTest, Moment, Action<T>> question)
        where T : class
    {
        T? answer = null;
        _world.Servers[place].Input((node, now) => question(node, now, given => answer = given));
        Until(() => answer is not null);
        return answer;
    }

    /// <summary>Starts nodes of a configuration in which a disk can be replaced.</summary>
    private sealed class Factory : INodeFactory
    {
        private NodeFactory _nodes = new(new NodeOptions(), Of(1, -1));

        public ClusterConfiguration Configuration => _nodes.Configuration;

        public void Replace(int place) => _nodes = new NodeFactory(new NodeOptions(), Of(2, place));

        public INodeUnderTest Start(NodeStart start, IWorld world) => _nodes.Start(start, world);

        public IDurableImage OpenDurable(NodeId self, SimulatedDisk disk, CatalogMemory catalog) => _nodes.OpenDurable(self, disk, catalog);

        private static ClusterConfiguration Of(ulong version, int replaced) => new("simulated", version,
        [
            .. Enumerable.Range(0, 3).Select(place => new ServerRecord
            {
                Name = SimulatedWorld.NameOf(place), Disk = new DiskId((UInt128)(uint)(place == replaced ? 99 : place + 1)),
                Host = "127.0.0.1", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
            }),
        ]);
    }
}
