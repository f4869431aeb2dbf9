using System.Collections.Concurrent;
using System.Text;
using Carillon.Client;
using Carillon.Client.Services;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Carillon.Gateway.Tests.Services;

/// <summary>Programs of one's own as providers, over three real servers.</summary>
public sealed class RealServiceTests : IAsyncLifetime
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(30);

    private readonly BlockingCollection<(Note Who, string What)> _events = [];
    private RealTrio _trio = null!;
    private CarillonClient _client = null!;

    public async ValueTask InitializeAsync()
    {
        _trio = await RealTrio.StartAsync();
        _client = ClientOf(0, 1, 2);
        await _client.CreateBucketAsync("files", new BucketSettings());
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        await _trio.DisposeAsync();
    }

    [Fact]
    public async Task State_and_role_go_to_the_other_program_and_the_old_epochs_puts_are_refused()
    {
        await _client.Services.AddAsync("note", new ServiceSettings { Providers = ["s1", "s2"], Secondaries = 1 });
        await using var first = new Note(ClientOf(0), _events);
        Assert.Equal((first, "primary"), await NextAsync(first, "primary"));
        ulong old = first.Epoch;
        await using var second = new Note(ClientOf(1), _events);
        await NextAsync(second, "secondary");
        first.Text = "written by the first";
        await NextAsync(second, "applied: written by the first");

        Assert.Equal(Verdict.Accepted, (await PutAsync(old)).Verdict);
        await first.StopAsync();
        await NextAsync(second, "primary");
        Assert.True(second.Epoch > old);
        Assert.Equal("written by the first", second.Text);
        ServicePrimary place = await _client.Services.FindPrimaryAsync("note", Patience);
        Assert.Equal(("s2", second.Epoch), (place.Primary, place.Epoch));

        WriteResult<PutAnswer> late = await PutAsync(old);
        Assert.Equal((Verdict.Rejected, "fenced", 412), (late.Verdict, late.Problem?.Code, late.Problem?.Status));
        Assert.Equal(Verdict.Accepted, (await PutAsync(second.Epoch)).Verdict);
        ServiceInfo info = (await _client.Services.ShowAsync("note")).Value;
        Assert.Equal([second.Epoch, old], info.History.Select(change => change.Epoch));
    }

    [Fact]
    public async Task What_can_not_be_satisfied_is_refused_with_the_reason()
    {
        await _client.Services.AddAsync("a", new ServiceSettings { Providers = ["s1", "s2"] });
        await _client.Services.AddAsync("b", new ServiceSettings { Providers = ["s1", "s2"], With = "a" });
        await RefusedAsync("a", new ServiceSettings { Providers = ["s1"], With = "b" }, replace: true, "a → b → a");
        await RefusedAsync("a", new ServiceSettings { Providers = ["s1"] }, replace: false, "a");
        await RefusedAsync("c", new ServiceSettings { Providers = ["s9"] }, replace: false, "s9");
        CarillonException missing = await Assert.ThrowsAsync<CarillonException>(() => _client.Services.RemoveAsync("nobody"));
        Assert.Equal(Failure.NotFound, missing.Failure);
    }

    private async Task RefusedAsync(string service, ServiceSettings settings, bool replace, string reason)
    {
        CarillonException refused =
            await Assert.ThrowsAsync<CarillonException>(() => _client.Services.AddAsync(service, settings, replace));
        Assert.Equal(("service-refused", Failure.Conflict), (refused.Problem?.Code, refused.Failure));
        Assert.Contains(reason, refused.Message, StringComparison.Ordinal);
    }

    private Task<WriteResult<PutAnswer>> PutAsync(ulong epoch) => _client.PutAsync(
        new ObjectName("files", "note"), PutSource.FromBytes(Encoding.UTF8.GetBytes($"epoch {epoch}")),
        new PutOptions { Fence = new Fence(ServiceName.Parse("note"), new Epoch(epoch)) });

    private CarillonClient ClientOf(params int[] servers) =>
        new(new CarillonClientOptions { Servers = [.. servers.Select(server => _trio.Clients[server].BaseAddress!)] });

    /// <summary>Waits for this to happen to this one; what happens meanwhile is passed over.</summary>
    private Task<(Note Who, string What)> NextAsync(Note who, string what) => Task.Run(() =>
    {
        while (_events.TryTake(out (Note Who, string What) each, Patience))
        {
            if (each == (who, what))
            {
                return each;
            }
        }

        throw new TimeoutException($"waited in vain for: {what}");
    });

    /// <summary>A program with a text for its state.</summary>
    private sealed class Note : IHighlyAvailableService, IAsyncDisposable
    {
        private readonly CarillonClient _client;
        private readonly BlockingCollection<(Note Who, string What)> _events;
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _program;

        public Note(CarillonClient client, BlockingCollection<(Note Who, string What)> events)
        {
            _client = client;
            _events = events;
            var options = new ServiceProgramOptions { CheckpointInterval = TimeSpan.FromMilliseconds(50), Overrun = Say };
            _program = ServiceProgram.RunAsync(client, "note", this, options, _stop.Token);
        }

        public ulong Epoch { get; private set; }

        public string Text { get; set; } = "";

        public async Task StopAsync()
        {
            await _stop.CancelAsync();
            await _program;
        }

        public Task BecomePrimary(Epoch epoch, CancellationToken ended)
        {
            Epoch = epoch.Value;
            Say("primary");
            return Task.CompletedTask;
        }

        public Task BecomeSecondary()
        {
            Say("secondary");
            return Task.CompletedTask;
        }

        public Task BecomeSpare()
        {
            Say("spare");
            return Task.CompletedTask;
        }

        public Task<ReadOnlyMemory<byte>> TakeCheckpoint() => Task.FromResult<ReadOnlyMemory<byte>>(Encoding.UTF8.GetBytes(Text));

        public Task ApplyCheckpoint(ReadOnlyMemory<byte> checkpoint)
        {
            Text = Encoding.UTF8.GetString(checkpoint.Span);
            Say($"applied: {Text}");
            return Task.CompletedTask;
        }

        public async ValueTask DisposeAsync()
        {
            await StopAsync();
            _client.Dispose();
            _stop.Dispose();
        }

        private void Say(string what) => _events.Add((this, what));
    }
}
