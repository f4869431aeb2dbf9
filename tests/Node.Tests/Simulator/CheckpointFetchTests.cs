using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>A server was away until others collected what it lacks of the feed, and fetches a checkpoint.</summary>
public sealed class CheckpointFetchTests : IDisposable
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(20);

    private readonly SimulatedWorld _world;

    public CheckpointFetchTests()
    {
        var options = new NodeOptions { Feed = new GroupOptions { CheckpointEvery = 5, RetainNumbers = 0 } };
        var nodes = new NodeFactory(options, SimulatedCluster.Of(3));
        _world = new SimulatedWorld(new WorldOptions(), nodes, new RandomSource(7), trace: null);
    }

    public void Dispose() => _world.Dispose();

    [Fact]
    public void Disk_that_takes_no_checkpoint_is_trouble_and_not_the_end_of_the_server()
    {
        _world.Servers.ForEach(server => Assert.True(server.Start()));
        Accept("first");
        SimulatedServer late = _world.Servers[2];
        late.Stop(powerCut: null);
        for (int i = 0; i < 40; i++)
        {
            Accept($"b{i}");
            if (i == 20)
            {
                // Catalogs are flushed when it is quiet, and only what is durable is collected.
                _world.RunFor(TimeSpan.FromSeconds(15));
            }
        }

        Until(() => _world.Servers.Take(2).All(server => server.Node!.FeedCollected.Value > 5));
        bool isRefused = false;
        _world.Reported = (server, told) =>
            isRefused |= server == late && told.Detail.StartsWith("a checkpoint can't be stored", StringComparison.Ordinal);
        Assert.True(late.Start());
        late.Disk.Faults.ReadOnly = true;
        Until(() => isRefused);
        _world.RunFor(TimeSpan.FromSeconds(5));
        late.Disk.Faults.ReadOnly = false;

        // Its log has failed meanwhile, too.
        late.Stop(powerCut: null);
        Assert.True(late.Start());
        Until(() => late.Node!.HasBucket("b39"));
    }

    private void Until(Func<bool> isTrue) => Assert.True(_world.RunUntil(isTrue, Bound, Step));

    private void Accept(string bucket) => Until(() =>
    {
        SubmitOutcome? outcome = null;
        _world.Servers[0].Input((node, now) => node.CreateBucket(bucket, new BucketSettings(), bucket, now, given => outcome = given));
        Until(() => outcome is not null);
        return outcome is SubmitOutcome.Accepted;
    });
}
