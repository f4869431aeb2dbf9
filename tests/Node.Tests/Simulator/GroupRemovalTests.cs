using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>Groups are removed while something of theirs is under way on the disk, or while a server is away.</summary>
public sealed class GroupRemovalTests : IDisposable
{
    private static readonly GroupName Name = GroupName.Parse("routes");
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(120);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(5);

    private readonly SimulatedWorld _world;
    private ulong _counter;

    public GroupRemovalTests()
    {
        var options = new NodeOptions { Feed = new GroupOptions { CheckpointEvery = 5, RetainNumbers = 0 } };
        var nodes = new NodeFactory(options, SimulatedCluster.Of(3));
        _world = new SimulatedWorld(new WorldOptions(), nodes, new RandomSource(7), trace: null);
        _world.Servers.ForEach(server => Assert.True(server.Start()));
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Group_whose_archive_is_being_written_is_removed_and_its_files_with_it()
    {
        // They were closed at once, and the write that was under way ended the server.
        Create(7);
        Until(() => _world.Servers.TrueForAll(Has));
        Publish(500 << 10);
        Publish(500 << 10);
        SimulatedServer slow = _world.Servers[2];
        Publish(500 << 10);
        slow.Disk.Faults.Slowness = 500;
        Remove();
        Until(() => !_world.Servers.Exists(Has));
        slow.Disk.Faults.Slowness = 1;
        Until(() => _world.Servers.TrueForAll(server => server.Disk.List("groups").Count == 0));
    }

    [Fact]
    public void Group_that_is_removed_while_it_is_being_opened_does_not_stay()
    {
        SimulatedServer slow = _world.Servers[2];
        Create(6);
        Until(() => _world.Servers.TrueForAll(Has));
        Remove();
        Until(() => !_world.Servers.Exists(Has));
        slow.Disk.Faults.Slowness = 300;
        Create(7);
        Remove();
        Create(8);
        Remove();
        slow.Disk.Faults.Slowness = 1;
        _world.RunFor(TimeSpan.FromSeconds(20));
        Assert.DoesNotContain(_world.Servers, Has);
        Assert.All(_world.Servers, server => Assert.Empty(server.Disk.List("groups")));
        Create(9);
        Until(() => _world.Servers.TrueForAll(Has));
    }

    [Fact]
    public void Server_that_comes_back_by_a_checkpoint_has_no_group_that_was_removed_meanwhile()
    {
        Create(7);
        Until(() => _world.Servers.TrueForAll(Has));
        SimulatedServer late = _world.Servers[2];
        late.Stop(powerCut: null);
        Remove();
        for (int i = 0; i < 40; i++)
        {
            Accept((node, now, done) => node.CreateBucket($"b{i}", new Carillon.Storage.Catalogs.BucketSettings(), $"b{i}", now, done));
            if (i == 20)
            {
                _world.RunFor(TimeSpan.FromSeconds(15));
            }
        }

        Until(() => _world.Servers.Take(2).All(server => server.Node!.FeedCollected.Value > 5));
        Assert.True(late.Start());
        Until(() => late.Node!.HasBucket("b39"));
        _world.RunFor(TimeSpan.FromSeconds(5));
        Assert.False(Has(late));
    }

    private static bool Has(SimulatedServer server) => server.Node!.Groups.ContainsKey(Name);

    private void Create(ulong id)
    {
        byte[] record = new GroupRecord(id, new GroupSettings()).Write();
        var manifest = new ObjectManifest { Size = record.Length, Sha256 = Digest.Of(record), Inline = record, VersionsKept = 1 };
        var operation = new Operation(OperationKind.Put, GroupRecord.TargetOf(Name), manifest);
        Accept((node, now, done) => node.Submit([operation], $"create {id}", default, now, done));
    }

    private void Remove()
    {
        string key = $"remove {_counter++}";
        Accept((node, now, done) => node.Submit(
            [new Operation(OperationKind.Delete, GroupRecord.TargetOf(Name), null)], key, default, now, done));
    }

    private void Publish(int bytes)
    {
        var id = new MessageId(new SessionId(1, 1), ++_counter);
        Until(() =>
        {
            PublishEnd? end = null;
            _world.Servers[0].Input((node, now) => node.Publish(Name, id, 0, new byte[bytes], now, (given, _, _) => end = given));
            Until(() => end is not null);
            return end == PublishEnd.Committed;
        });
    }

    private void Accept(Action<INodeUnderTest, Moment, Action<SubmitOutcome>> submit) => Until(() =>
    {
        SubmitOutcome? outcome = null;
        _world.Servers[0].Input((node, now) => submit(node, now, given => outcome = given));
        Until(() => outcome is not null);
        return outcome is SubmitOutcome.Accepted;
    });

    private void Until(Func<bool> isTrue) => Assert.True(_world.RunUntil(isTrue, Bound, Step));
}
