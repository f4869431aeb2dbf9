using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.World;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Node.Tests.Simulator;

/// <summary>
/// A server missed a version of the configuration, and of those that have it in force one has lost what its catalog had not flushed: it
/// knows the version, and not how far the feed goes. The quorum that is left must come to one version.
/// </summary>
public sealed class VersionBehindTests : IDisposable
{
    private static readonly TimeSpan Bound = TimeSpan.FromSeconds(60);
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    private SimulatedWorld? _world;

    public void Dispose() => _world?.Dispose();

    [Fact]
    public void Server_that_missed_a_version_asks_everybody_who_has_it()
    {
        // s1 misses version 2; s4 and s5 stay down, so that neither version has a quorum without s1.
        Begin(5);
        Stop(1);
        ChangeVersion(2, 3, 4, 5);
        SetBack(2);
        Stop(4);
        Stop(5);
        Start(1);
        Start(2);
        ReachVersion(1, 2, 3);
        Accept(1, "other");
    }

    [Fact]
    public void Server_that_missed_a_version_gets_it_from_one_whose_power_was_cut_while_the_third_is_away()
    {
        // s3 stays down: of the feed behind what s1 has nobody knows what is committed before the two have one version.
        Begin(3);
        Stop(1);
        ChangeVersion(2, 3);
        SetBack(2);
        Stop(3);
        Start(1);
        Start(2);
        ReachVersion(1, 2);
        Accept(1, "other");
    }

    [Fact]
    public void Closed_version_stays_closed_over_a_power_cut()
    {
        // What a server reported when it closed the version would not be all otherwise.
        Begin(3);
        Server(1).Input((node, now) => node.RenewConfiguration(now));
        Until(() => Server(2).Node!.IsVersionClosed || Server(3).Node!.IsVersionClosed, step: TimeSpan.FromMicroseconds(100));
        int[] closed = [.. new[] { 1, 2, 3 }.Where(number => Server(number).Node!.IsVersionClosed)];
        Assert.Contains(1, closed);
        for (int number = 1; number <= 3; number++)
        {
            SetBack(number);
        }

        foreach (int number in closed)
        {
            Start(number);
            Assert.True(Server(number).Node!.IsVersionClosed, $"s{number}");
        }
    }

    [Fact]
    public void Power_cut_between_a_version_and_the_log_takes_none_of_the_epochs_that_it_carries()
    {
        Begin(3);
        Server(1).Input((node, now) => node.RenewConfiguration(now));
        Until(() => Server(2).Node!.ConfigurationVersion == 2, step: TimeSpan.FromMicroseconds(20));
        Assert.True(Server(2).Node!.FenceOf(ServiceName.CatalogSequencer) > new Epoch(1000));
        SetBack(2);
        Start(2);
        Assert.Equal(2UL, Server(2).Node!.ConfigurationVersion);
        Assert.True(Server(2).Node!.FenceOf(ServiceName.CatalogSequencer) > new Epoch(1000));
    }

    [Fact]
    public void Version_takes_no_effect_behind_the_record_of_an_orderly_stop()
    {
        // The record has the leases as they are under the version before: a new disk's would be taken for the one's that it replaces.
        Begin(3);
        Server(1).Input((node, now) => node.RenewConfiguration(now));
        Until(() => Server(2).Node!.IsVersionClosed, step: TimeSpan.FromMicroseconds(100));
        Server(2).Input((node, now) => node.RecordStop(now));
        ReachVersion(1, 3);
        _world!.RunFor(TimeSpan.FromSeconds(2));
        Assert.Equal(1UL, Server(2).Node!.ConfigurationVersion);
        Stop(2);
        Start(2);
        ReachVersion(2);
    }

    [Fact]
    public void Change_that_was_overtaken_ends_when_the_other_version_comes()
    {
        // It would go on to close that version, which nobody asked it for, or end only with its patience.
        Begin(3);
        Until(() => _world!.Servers.TrueForAll(s => s.Node!.HasQuorum));
        Cut(2, cut: true);
        ClusterChangeOutcome? outcome = null;
        Server(2).Input((node, now) => node.ChangeCluster(
            new ClusterChange(ClusterChangeKind.Renew, null), now, given => outcome = given));
        Server(1).Input((node, now) => node.RenewConfiguration(now));
        ReachVersion(1, 3);
        Assert.Null(outcome);
        Cut(2, cut: false);
        ReachVersion(2);
        Assert.Equal(0UL, outcome!.Value.Version);
        Assert.Contains("another change", outcome.Value.Fault, StringComparison.Ordinal);
    }

    private void Cut(int number, bool cut)
    {
        foreach (int other in new[] { 1, 2, 3 }.Where(other => other != number))
        {
            foreach ((int from, int to) in new[] { (number, other), (other, number) })
            {
                if (cut)
                {
                    _world!.Network.Cut(from - 1, to - 1);
                }
                else
                {
                    _world!.Network.Heal(from - 1, to - 1);
                }
            }
        }
    }

    private SimulatedServer Server(int number) => _world!.Servers[number - 1];

    private void Begin(int servers)
    {
        var nodes = new NodeFactory(new NodeOptions(), SimulatedCluster.Of(servers));
        _world = new SimulatedWorld(new WorldOptions { Servers = servers }, nodes, new RandomSource(7), trace: null);
        for (int number = 1; number <= servers; number++)
        {
            Start(number);
        }

        Accept(1, "files");
        Until(() => _world.Servers.TrueForAll(s => s.Node!.HasBucket("files")));
    }

    private void Start(int number) => Assert.True(Server(number).Start());

    private void Stop(int number) => Server(number).Stop(powerCut: null);

    /// <summary>The power is cut: the log is as it was, and the catalog as it was flushed last.</summary>
    private void SetBack(int number) => Server(number).Stop(CrashStyle.LoseAll);

    private void ChangeVersion(params int[] running)
    {
        Server(running[0]).Input((node, now) => node.RenewConfiguration(now));
        ReachVersion(running);
    }

    private void ReachVersion(params int[] running) => Until(() =>
        running.All(number => Server(number).Node!.ConfigurationVersion == 2 && Server(number).Node!.FeedApplied.Value > 1));

    private void Until(Func<bool> isTrue, TimeSpan? step = null) => Assert.True(_world!.RunUntil(isTrue, Bound, step ?? Step));

    private void Accept(int number, string bucket) => Until(() =>
    {
        SubmitOutcome? outcome = null;
        Server(number).Input((node, now) => node.CreateBucket(bucket, new BucketSettings(), bucket, now, given => outcome = given));
        Until(() => outcome is not null);
        return outcome is SubmitOutcome.Accepted;
    });
}
