using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;
using Xunit;

namespace Cluster.Tests.Services;

/// <summary>Orders carried out with real commands.</summary>
public sealed class SupervisorTests
{
    private const string Forever = "while :; do sleep 0.02; done";

    [Fact]
    public async Task Primary_starts_with_its_epoch_and_drains_when_demoted()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide($"echo $CARILLON_SERVICE $CARILLON_EPOCH $CARILLON_NODE; {Forever}");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.Lead(7);
        Assert.Equal(7ul, (await house.NewsAsync<ServiceNews.Started>()).Epoch.Value);
        await house.LineAsync("counter: counter 7 s1");
        house.Demote(7);
        Assert.Equal(7ul, (await house.NewsAsync<ServiceNews.Drained>()).Epoch.Value);
    }

    [Fact]
    public async Task Program_that_is_missing_is_told_as_a_provider_that_is_not_there()
    {
        await using var house = new SupervisorUnderTest();
        ServiceDefinition definition = SupervisorUnderTest.Definition("x");
        house.Supervisor.Carry(new ServiceOrder.Provide(
            definition with { Command = definition.Command with { Arguments = ["no-such-program-here"] } }));
        Assert.False((await house.NewsAsync<ServiceNews.ProviderDown>()).IsFailure);
    }

    [Fact]
    public async Task Command_that_ends_is_started_again_and_at_last_told_as_failed()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide("echo run; exit 4");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.Lead(1);
        await house.NewsAsync<ServiceNews.Started>();
        await house.LineAsync("run");
        await house.LineAsync("run");
        await house.LineAsync("run");
        ServiceNews.ProviderDown down = await house.NewsAsync<ServiceNews.ProviderDown>();
        Assert.True(down.IsFailure);
        Assert.Contains("status 4", down.Reason, StringComparison.Ordinal);
        // And after a while it offers itself again.
        await house.NewsAsync<ServiceNews.ProviderUp>();
    }

    [Fact]
    public async Task Lapsed_lease_stops_the_command_and_a_later_end_starts_it_again()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide($"echo up; {Forever}");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.Lead(3, SupervisorUnderTest.Clock.Now + TimeSpan.FromSeconds(1));
        await house.NewsAsync<ServiceNews.Started>();
        await house.LineAsync("has stopped here");
        house.Supervisor.Carry(new ServiceOrder.ExtendLease(SupervisorUnderTest.Service, new Epoch(3), SupervisorUnderTest.Later));
        await house.LineAsync("up");
    }

    [Fact]
    public async Task Newer_epoch_begins_only_after_the_command_of_the_older_has_ended()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide($"mkdir alone || echo TWO; trap 'rmdir alone; exit' TERM; echo epoch $CARILLON_EPOCH; {Forever}");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.Lead(1);
        await house.LineAsync("epoch 1");
        house.Lead(2);
        await house.LineAsync("epoch 2");
    }

    [Fact]
    public async Task Secondary_runs_its_command_until_it_is_promoted()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide($"echo first; {Forever}", secondary: $"echo second $CARILLON_EPOCH; {Forever}");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.StandBy(ServiceRole.Secondary);
        await house.LineAsync("second");
        house.Lead(2);
        await house.LineAsync("first");
        await house.NewsAsync<ServiceNews.Started>();
    }

    [Fact]
    public async Task Checkpoint_file_is_taken_when_it_changes_and_once_more_at_the_end()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide(
            $"trap 'echo last > state.new; mv state.new state; exit' TERM; echo one > state.new; mv state.new state; {Forever}",
            checkpoint: "state");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.Lead(5);
        await house.NewsAsync<ServiceNews.Started>();
        ServiceNews.CheckpointTaken first = await house.NewsAsync<ServiceNews.CheckpointTaken>();
        Assert.Equal(new Freshness(new Epoch(5), 1), first.State);
        Assert.Equal("one\n", Encoding.UTF8.GetString(first.Content.Span));
        house.Demote(5);
        ServiceNews.CheckpointTaken last = await house.NewsAsync<ServiceNews.CheckpointTaken>();
        Assert.Equal(new Freshness(new Epoch(5), 2), last.State);
        Assert.Equal("last\n", Encoding.UTF8.GetString(last.Content.Span));
        await house.NewsAsync<ServiceNews.Drained>();
    }

    [Fact]
    public async Task Applied_checkpoint_is_in_place_and_is_known_after_a_restart()
    {
        var state = new Freshness(new Epoch(4), 9);
        await using var house = new SupervisorUnderTest();
        house.Provide(Forever, checkpoint: "sub/state");
        await house.NewsAsync<ServiceNews.ProviderUp>();
        house.Supervisor.Carry(new ServiceOrder.ApplyCheckpoint(SupervisorUnderTest.Service, state, "abc"u8.ToArray()));
        Assert.Equal(state, (await house.NewsAsync<ServiceNews.CheckpointApplied>()).State);
        Assert.Equal("abc", await File.ReadAllTextAsync(Path.Combine(house.Work, "sub", "state")));
        await house.Supervisor.StopAsync();
        await using var again = new SupervisorUnderTest(house.Folder);
        again.Provide(Forever, checkpoint: "sub/state");
        Assert.Equal(state, (await again.NewsAsync<ServiceNews.ProviderUp>()).State);
    }

    [Fact]
    public async Task Program_of_ones_own_holds_the_role_by_its_session()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide("");
        await house.NewsAsync<ServiceNews.ProviderDown>();
        var state = new Freshness(new Epoch(2), 1);
        (ProviderSession? session, _) = await house.Supervisor.OpenSessionAsync(SupervisorUnderTest.Service, state);
        Assert.Equal(state, (await house.NewsAsync<ServiceNews.ProviderUp>()).State);
        house.Lead(3, SupervisorUnderTest.Clock.Now + TimeSpan.FromSeconds(1));
        Assert.IsType<ServiceOrder.BecomePrimary>(await session!.Orders.ReadAsync());
        Instant asked = SupervisorUnderTest.Clock.Now;
        LeaseLeft left = session.Renew();
        Assert.Equal(3ul, left.Epoch.Value);
        Instant end = asked + left.Remaining;
        // Silent from now on: told as down, but not before the program has stopped by its own clock.
        ServiceNews.ProviderDown down = await house.NewsAsync<ServiceNews.ProviderDown>();
        Assert.True(down.IsFailure);
        Assert.True(SupervisorUnderTest.Clock.Now >= end);
        Assert.Equal(default, session.Renew());
    }

    [Fact]
    public async Task Second_program_gets_no_session()
    {
        await using var house = new SupervisorUnderTest();
        house.Provide("");
        await house.NewsAsync<ServiceNews.ProviderDown>();
        (ProviderSession? first, _) = await house.Supervisor.OpenSessionAsync(SupervisorUnderTest.Service, default);
        (ProviderSession? second, string fault) = await house.Supervisor.OpenSessionAsync(SupervisorUnderTest.Service, default);
        Assert.NotNull(first);
        Assert.Null(second);
        Assert.Contains("another program", fault, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Requesters_wait_while_a_service_changes_hands()
    {
        await using var house = new SupervisorUnderTest();
        ServiceName service = SupervisorUnderTest.Service;
        house.Supervisor.Carry(new ServiceOrder.HoldRequesters(service));
        Task<PrimaryPlace?> asked = house.Supervisor.Directory.FindAsync(service, TimeSpan.FromMinutes(1), CancellationToken.None);
        Assert.False(asked.IsCompleted);
        house.Supervisor.Carry(new ServiceOrder.ReleaseRequesters(service, SupervisorUnderTest.Node, new Epoch(8)));
        Assert.Equal(new PrimaryPlace(SupervisorUnderTest.Node, new Epoch(8)), await asked);
        house.Supervisor.Carry(new ServiceOrder.HoldRequesters(service));
        Assert.Equal(
            default(PrimaryPlace),
            await house.Supervisor.Directory.FindAsync(service, TimeSpan.FromMilliseconds(1), CancellationToken.None));
    }

    [Theory]
    [InlineData("state", true)]
    [InlineData("a/b.json", true)]
    [InlineData("/etc/passwd", false)]
    [InlineData("../x", false)]
    [InlineData("a/../../x", false)]
    [InlineData("a//b", false)]
    public void Checkpoint_file_stays_in_the_services_folder(string file, bool good) =>
        Assert.Equal(good, CheckpointFileName.FaultOf(file) is null);
}
