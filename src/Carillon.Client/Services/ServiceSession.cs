using System.Security.Cryptography;
using System.Text.Json;
using Carillon.Protocols.Primacy;

namespace Carillon.Client.Services;

/// <summary>
/// One session of a program with a server: carries out its orders one after the other, and asks for the lease beside them, so that a
/// service that takes its time to start or stop loses nothing by it.
/// </summary>
internal sealed class ServiceSession(
    Transport transport, int server, string path, IHighlyAvailableService service, ServiceProgramOptions options, KeptCheckpoint kept,
    StateNumber state) : IAsyncDisposable
{
    private readonly SemaphoreSlim _turn = new(1);
    private readonly CancellationTokenSource _ending = new();
    private volatile HeldLease? _lease;
    private Task _asking = Task.CompletedTask;
    private Task _checkpoints = Task.CompletedTask;
    private byte[] _hash = [];

    /// <summary>How fresh the service's state is.</summary>
    public StateNumber State { get; private set; } = state;

    /// <summary>Runs until the server ends it, it is lost, or it is cancelled.</summary>
    public async Task RunAsync(StreamReader orders, CancellationToken cancellation)
    {
        using CancellationTokenRegistration ended = cancellation.Register(_ending.Cancel);
        _asking = AskAsync();
        _checkpoints = CheckpointsAsync();
        try
        {
            while (await ReadAsync(orders) is { } line)
            {
                SessionOrder order = ServiceProgram.Order(line);
                await InTurnAsync(() => CarryAsync(order));
            }
        }
        catch (OperationCanceledException) when (_ending.IsCancellationRequested)
        {
            // The program ends, or the lease was lost.
        }
    }

    /// <summary>The role is given up: whatever acts is stopped, and the state is kept.</summary>
    public async ValueTask DisposeAsync()
    {
        await _ending.CancelAsync();
        await Task.WhenAll(_asking, _checkpoints);
        if (_lease is { } lease)
        {
            await StepDownAsync(service.BecomeSpare);
            // So that another becomes primary at once, and not when the lease is over.
            await TellAsync(new SessionNews { News = "drained", Epoch = lease.Epoch.Value });
        }

        _turn.Dispose();
        _ending.Dispose();
    }

    // A read that is cancelled breaks its connection, and with it the session; that is to last until the service has stopped.
    private async Task<string?> ReadAsync(StreamReader orders) => await orders.ReadLineAsync().WaitAsync(_ending.Token);

    private async Task InTurnAsync(Func<Task> work)
    {
        await _turn.WaitAsync();
        try
        {
            await work();
        }
        finally
        {
            _turn.Release();
        }
    }

    private async Task CarryAsync(SessionOrder order)
    {
        switch (order.Order)
        {
            case "become-primary":
                await LeadAsync(new Epoch(order.Epoch));
                break;
            case "demote":
                await StepDownAsync(service.BecomeSpare);
                await TellAsync(new SessionNews { News = "drained", Epoch = order.Epoch });
                break;
            case "become-standby":
                Func<Task> stop = order.Role == "secondary" ? service.BecomeSecondary : service.BecomeSpare;
                await StepDownAsync(stop);
                break;
            case "apply-checkpoint" when _lease is null && order is { State: { } fresh, Content: { } content }:
                await service.ApplyCheckpoint(content);
                kept.Write(fresh, content);
                State = fresh;
                await TellAsync(new SessionNews { News = "checkpoint-applied", State = fresh });
                break;
        }
    }

    private async Task LeadAsync(Epoch epoch)
    {
        if (_lease is not null)
        {
            await StepDownAsync(service.BecomeSpare);
        }

        (ulong held, TimeSpan end) = await RenewAsync();
        if (held != epoch.Value)
        {
            return;
        }

        _lease = new HeldLease(options, epoch, end);
        State = new StateNumber { Epoch = epoch.Value };
        _hash = [];
        try
        {
            await service.BecomePrimary(epoch, _lease.Ended);
        }
        catch (Exception fault) when (fault is not OutOfMemoryException)
        {
            await StepDownAsync(service.BecomeSpare);
            await TellAsync(new SessionNews { News = "failed", Reason = fault.Message });
            return;
        }

        await TellAsync(new SessionNews { News = "started", Epoch = epoch.Value });
    }

    /// <summary>Stops what acts, in the time that the lease leaves, and takes the last state.</summary>
    private async Task StepDownAsync(Func<Task> stop)
    {
        HeldLease? lease = _lease;
        lease?.Stop();
        await stop();
        if (lease is null)
        {
            return;
        }

        _lease = null;
        await lease.DisposeAsync();
        try
        {
            await TakeCheckpointAsync();
        }
        catch (Exception fault) when (fault is not OutOfMemoryException)
        {
            // The secondaries go on with the one before.
            options.Observer?.Invoke($"its last state can't be taken: {fault.Message}");
        }
    }

    private async Task TakeCheckpointAsync()
    {
        ReadOnlyMemory<byte> content = await service.TakeCheckpoint();
        byte[] hash = SHA256.HashData(content.Span);
        if (hash.AsSpan().SequenceEqual(_hash))
        {
            return;
        }

        _hash = hash;
        State = State with { Number = State.Number + 1 };
        kept.Write(State, content.Span);
        await TellAsync(new SessionNews { News = "checkpoint-taken", State = State, Content = content.ToArray() });
    }

    private async Task CheckpointsAsync()
    {
        using var timer = new PeriodicTimer(options.CheckpointInterval);
        try
        {
            while (await timer.WaitForNextTickAsync(_ending.Token))
            {
                await InTurnAsync(() => _lease is null ? Task.CompletedTask : TakeCheckpointAsync());
            }
        }
        catch (OperationCanceledException)
        {
            // The session ends.
            return;
        }
        catch (Exception fault) when (fault is not OutOfMemoryException)
        {
            options.Observer?.Invoke($"its state can't be taken: {fault.Message}");
            await _ending.CancelAsync();
        }
    }

    /// <summary>Asks how long the lease goes on, and lives as long as the session: an answer that says "no primary", or none in time, ends
    /// it.</summary>
    private async Task AskAsync()
    {
        using var timer = new PeriodicTimer(options.LeaseInterval);
        try
        {
            while (await timer.WaitForNextTickAsync(_ending.Token))
            {
                (ulong epoch, TimeSpan end) = await RenewAsync();
                if (_lease is { } lease && lease.Epoch.Value == epoch)
                {
                    lease.Extend(end);
                }

                if (_lease is { IsLapsing: true })
                {
                    // The lease runs out: give up the role, and the session with it.
                    break;
                }
            }
        }
        catch (Exception end) when (Transport.IsTransportFault(end) || end is CarillonException)
        {
            options.Observer?.Invoke($"the session is lost: {end.Message}");
        }

        await _ending.CancelAsync();
    }

    private async Task<(ulong Epoch, TimeSpan End)> RenewAsync()
    {
        TimeSpan asked = LeaseClock.Now;
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(_ending.Token);
        patience.CancelAfter(TimeSpan.FromSeconds(1));
        using HttpRequestMessage request = transport.Request(HttpMethod.Post, server, path + "/lease");
        request.Content = ServiceProgram.Json([]);
        using HttpResponseMessage response = await transport.SendAsync(request, patience.Token);
        if (!response.IsSuccessStatusCode)
        {
            throw new CarillonException(await transport.ReadProblemAsync(response, server, patience.Token));
        }

        LeaseAnswer answer = Transport.Parse(await Transport.ReadWholeAsync(response, patience.Token), ClientJson.Default.LeaseAnswer);
        return (answer.Epoch, asked + TimeSpan.FromMilliseconds(answer.RemainingMs));
    }

    private async Task TellAsync(SessionNews news)
    {
        using var patience = new CancellationTokenSource(transport.Options.AttemptTimeout);
        using HttpRequestMessage request = transport.Request(HttpMethod.Post, server, path + "/news");
        request.Content = ServiceProgram.Json(JsonSerializer.SerializeToUtf8Bytes(news, ClientJson.Default.SessionNews));
        try
        {
            using HttpResponseMessage response = await transport.SendAsync(request, patience.Token);
            await Transport.ReadWholeAsync(response, patience.Token);
        }
        catch (Exception lost) when (Transport.IsTransportFault(lost))
        {
            // The session is lost with it; that is found out by the lease.
            return;
        }
    }
}
