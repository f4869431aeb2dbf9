using System.Collections.Concurrent;
using System.Text;
using Carillon.Client;
using Carillon.Client.Services;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime;
using Xunit;

namespace Carillon.Gateway.Tests.Services;

/// <summary>A program of one's own as a provider, by the client library and a real gateway; orders are the test's.</summary>
public sealed class ServiceProgramTests : IAsyncLifetime
{
    private static readonly ServiceName Counter = ServiceName.Parse("counter");

    private readonly FakeServices _services = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly RecordedService _service;
    private readonly BlockingCollection<string> _overruns = [];
    private GatewayHouse _house = null!;
    private CarillonClient _client = null!;
    private Task _program = Task.CompletedTask;

    public ServiceProgramTests() => _service = new RecordedService(_services.Clock);

    public async ValueTask InitializeAsync()
    {
        _house = await GatewayHouse.StartAsync(services: _services);
        _client = new CarillonClient(new CarillonClientOptions { Servers = [_house.Gateway.Address] });
        _services.Supervisor.Carry(new ServiceOrder.Provide(
            new ServiceDefinition { Name = Counter, Providers = [NodeId.Parse("s1"), NodeId.Parse("s2")] }));
        await _services.NewsAsync<ServiceNews.ProviderDown>();
        var options = new ServiceProgramOptions
        {
            CheckpointInterval = TimeSpan.FromMilliseconds(50), LeaseInterval = TimeSpan.FromMilliseconds(50),
            ReopenDelay = TimeSpan.FromMilliseconds(50), Overrun = _overruns.Add,
        };
        _program = ServiceProgram.RunAsync(_client, "counter", _service, options, _stop.Token);
        await _services.NewsAsync<ServiceNews.ProviderUp>();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _program;
        _client.Dispose();
        await _house.DisposeAsync();
        await _services.DisposeAsync();
        _stop.Dispose();
    }

    [Fact]
    public async Task Program_becomes_primary_with_its_epoch_and_hands_its_state_over_when_demoted()
    {
        _service.State = "one";
        Lead(5, TimeSpan.FromMinutes(1));
        await _services.NewsAsync<ServiceNews.Started>();
        Assert.Equal("primary 5", await _service.CallAsync());
        ServiceNews.CheckpointTaken first = await _services.NewsAsync<ServiceNews.CheckpointTaken>();
        Assert.Equal((new Freshness(new Epoch(5), 1), "one"), (first.State, Encoding.UTF8.GetString(first.Content.Span)));
        _service.AtStop = "last";
        _services.Supervisor.Carry(new ServiceOrder.Demote(Counter, new Epoch(5), Later(TimeSpan.FromSeconds(20)), DemotionReason.Moved));
        ServiceNews.CheckpointTaken last = await _services.NewsAsync<ServiceNews.CheckpointTaken>();
        Assert.Equal((new Freshness(new Epoch(5), 2), "last"), (last.State, Encoding.UTF8.GetString(last.Content.Span)));
        Assert.Equal(new ServiceNews.Drained(Counter, new Epoch(5)), await _services.NewsAsync<ServiceNews.Drained>());
        Assert.Equal("spare", await _service.CallAsync());
        Assert.Empty(_overruns);
    }

    [Fact]
    public async Task Secondary_applies_what_the_primary_took()
    {
        var state = new Freshness(new Epoch(2), 7);
        _services.Supervisor.Carry(new ServiceOrder.BecomeStandby(Counter, ServiceRole.Secondary));
        _services.Supervisor.Carry(new ServiceOrder.ApplyCheckpoint(Counter, state, "abc"u8.ToArray()));
        Assert.Equal(new ServiceNews.CheckpointApplied(Counter, state), await _services.NewsAsync<ServiceNews.CheckpointApplied>());
        Assert.Equal("secondary", await _service.CallAsync());
        Assert.Equal("abc", _service.State);
    }

    [Fact]
    public async Task Lease_that_is_not_made_longer_stops_the_service_before_it_ends()
    {
        // Long enough that a busy machine does not use it up before the service begins.
        Instant end = Later(TimeSpan.FromSeconds(4));
        _services.Supervisor.Carry(new ServiceOrder.BecomePrimary(Counter, new Epoch(1), end, default));
        Assert.Equal("primary 1", await _service.CallAsync());
        Assert.Equal("spare", await _service.CallAsync());
        Assert.True(_service.SpareAt < end);
        Assert.Empty(_overruns);
    }

    [Fact]
    public async Task Service_that_does_not_stop_in_time_is_ended_by_force()
    {
        _service.HangsAtStop = true;
        Lead(1, TimeSpan.FromSeconds(1));
        Assert.Equal("primary 1", await _service.CallAsync());
        string why = await Task.Run(() => _overruns.TryTake(out string? text, TimeSpan.FromSeconds(20)) ? text : "nothing");
        Assert.Contains("epoch 1 is over", why, StringComparison.Ordinal);
        _service.Release();
    }

    [Fact]
    public async Task Service_that_can_not_start_is_told_as_failed()
    {
        _service.FailsAtStart = true;
        Lead(1, TimeSpan.FromMinutes(1));
        ServiceNews.ProviderDown down;
        do
        {
            ServiceNews news = await _services.NewsAsync();
            down = news as ServiceNews.ProviderDown ?? new ServiceNews.ProviderDown(Counter, "", IsFailure: false);
        }
        while (down.Reason.Length == 0);

        Assert.True(down.IsFailure);
        Assert.Equal("no disk", down.Reason);
    }

    [Fact]
    public async Task Program_that_ends_in_good_order_gives_the_role_up_at_once()
    {
        Lead(1, TimeSpan.FromMinutes(10));
        await _services.NewsAsync<ServiceNews.Started>();
        await _services.NewsAsync<ServiceNews.CheckpointTaken>();
        await _stop.CancelAsync();
        ServiceNews.ProviderDown down = await _services.NewsAsync<ServiceNews.ProviderDown>();
        Assert.False(down.IsFailure);
    }

    private Instant Later(TimeSpan time) => _services.Clock.Now + time;

    private void Lead(ulong epoch, TimeSpan lease) =>
        _services.Supervisor.Carry(new ServiceOrder.BecomePrimary(Counter, new Epoch(epoch), Later(lease), default));

    /// <summary>A service that notes what is asked of it.</summary>
    private sealed class RecordedService(SystemClock clock) : IHighlyAvailableService
    {
        private readonly BlockingCollection<string> _calls = [];
        private readonly TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string State { get; set; } = "";

        public string? AtStop { get; set; }

        public bool HangsAtStop { get; set; }

        /// <summary>When it became a spare, by the clock of leases.</summary>
        public Instant SpareAt { get; private set; }

        public bool FailsAtStart { get; set; }

        public void Release() => _released.TrySetResult();

        public Task<string> CallAsync() => Task.Run(
            () => _calls.TryTake(out string? call, TimeSpan.FromSeconds(20)) ? call : throw new TimeoutException("no call"));

        public Task BecomePrimary(Epoch epoch, CancellationToken ended)
        {
            _calls.Add($"primary {epoch}", CancellationToken.None);
            return FailsAtStart ? throw new IOException("no disk") : Task.CompletedTask;
        }

        public Task BecomeSecondary()
        {
            _calls.Add("secondary");
            return Task.CompletedTask;
        }

        public async Task BecomeSpare()
        {
            if (HangsAtStop)
            {
                await _released.Task;
            }

            SpareAt = clock.Now;
            State = AtStop ?? State;
            _calls.Add("spare");
        }

        public Task<ReadOnlyMemory<byte>> TakeCheckpoint() => Task.FromResult<ReadOnlyMemory<byte>>(Encoding.UTF8.GetBytes(State));

        public Task ApplyCheckpoint(ReadOnlyMemory<byte> checkpoint)
        {
            State = Encoding.UTF8.GetString(checkpoint.Span);
            return Task.CompletedTask;
        }
    }
}
