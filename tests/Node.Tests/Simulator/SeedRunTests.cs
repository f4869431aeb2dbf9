using Carillon.Simulator;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>Whole runs of the simulator: what they must show that no part of it can.</summary>
public sealed class SeedRunTests
{
    [Fact]
    public void Cluster_with_a_server_of_a_newer_build_keeps_every_guarantee_INT15()
    {
        for (ulong seed = 5; seed <= 15; seed += 5)
        {
            SeedOptions options = SeedOptions.Draw(seed);
            Assert.True(options.World.NewerBuildPlace >= 0);
            SeedResult result = SeedRun.Run(options, trace: null);
            Assert.Null(result.Failure);
            Assert.True(result.Successes > 0);
        }
    }

    [Fact]
    public void Client_learns_every_outcome_where_nothing_fails_VE51()
    {
        SeedOptions options = Enumerable.Range(1, 200).Select(seed => SeedOptions.Draw((ulong)seed)).First(o => o.Faults.IsCalm);
        SeedResult result = SeedRun.Run(options, trace: null);
        Assert.Null(result.Failure);
        Assert.True(result.FalseNegatives.Writes > 0);
        Assert.Equal(0, result.FalseNegatives.Unknown);
    }

    [Fact]
    public void Number_is_seen_by_the_checkers_before_it_is_collected()
    {
        SeedOptions options = SeedOptions.Draw(630);
        Assert.True(options.Faults.IsCalm);
        options = options with
        {
            Node = options.Node with { Feed = options.Node.Feed with { CheckpointEvery = 5, RetainNumbers = 0 } },
        };
        Assert.Null(SeedRun.Run(options, trace: null).Failure);
    }

    [Fact]
    public void Client_seldom_misses_that_its_write_was_taken_though_much_fails_VE51()
    {
        var sum = default(FalseNegatives);
        for (ulong seed = 1; seed <= 8; seed++)
        {
            SeedResult result = SeedRun.Run(SeedOptions.Draw(seed), trace: null);
            Assert.Null(result.Failure);
            sum += result.FalseNegatives;
        }

        // Requests and answers are lost on purpose here, and servers killed every few seconds.
        Assert.True(sum.Writes > 100);
        Assert.InRange(sum.Accepted, 0, sum.Writes / 50);
    }
}
