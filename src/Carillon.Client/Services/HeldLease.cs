using Carillon.Protocols.Primacy;

namespace Carillon.Client.Services;

/// <summary>
/// The lease as a provider process may believe in it: what a server said remained, counted from when it was asked. A watch tells the
/// service to stop some time before the end, and at the end makes sure that it has.
/// </summary>
internal sealed class HeldLease : IAsyncDisposable
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    private readonly ServiceProgramOptions _options;
    private readonly CancellationTokenSource _ended = new();
    private readonly CancellationTokenSource _over = new();
    private readonly Lock _gate = new();
    private readonly Task _watch;
    private TimeSpan _end;

    public HeldLease(ServiceProgramOptions options, Epoch epoch, TimeSpan end)
    {
        _options = options;
        Epoch = epoch;
        _end = end;
        _watch = WatchAsync();
    }

    public Epoch Epoch { get; }

    /// <summary>Signalled when the service must stop.</summary>
    public CancellationToken Ended => _ended.Token;

    /// <summary>True once its end is near: it was not made longer in time.</summary>
    public bool IsLapsing { get; private set; }

    /// <summary>A later end; an earlier one can't come from a later question.</summary>
    public void Extend(TimeSpan end)
    {
        lock (_gate)
        {
            _end = end > _end ? end : _end;
        }
    }

    /// <summary>The service is to stop now, whatever is left.</summary>
    public void Stop() => _ended.Cancel();

    /// <summary>The service has stopped: the watch ends.</summary>
    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync();
        await _over.CancelAsync();
        await _watch;
        _ended.Dispose();
        _over.Dispose();
    }

    private async Task WatchAsync()
    {
        // Looked at again and again, and not waited for in one piece: a timer stands still while the machine sleeps.
        using var timer = new PeriodicTimer(Look);
        try
        {
            while (await timer.WaitForNextTickAsync(_over.Token))
            {
                TimeSpan left = Left();
                if (left <= _options.StopTime && !_ended.IsCancellationRequested)
                {
                    IsLapsing = true;
                    await _ended.CancelAsync();
                }

                if (left <= TimeSpan.Zero)
                {
                    _options.Overrun($"the lease of epoch {Epoch} is over, and the service has not stopped");
                    return;
                }
            }
        }
        catch (OperationCanceledException)
        {
            // It has stopped in time.
        }
    }

    private TimeSpan Left()
    {
        lock (_gate)
        {
            return _end - LeaseClock.Now;
        }
    }
}
