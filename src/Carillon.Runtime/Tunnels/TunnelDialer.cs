using System.Diagnostics;
using Carillon.Runtime.Security;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tunnels;

/// <summary>Keeps the tunnel to one server up: dials, runs the link, and dials again after a random pause that grows to a limit.</summary>
internal sealed class TunnelDialer(
    Tunnel tunnel, TunnelTarget target, Keyring keyring, TunnelAdmission admission, TunnelContext context, ILogger logger)
{
    // A peer that is heard but can't be reached must not be dialled at each of its heartbeats.
    private static readonly TimeSpan HurryInterval = TimeSpan.FromSeconds(1);

    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _hurry = new(0, 1);
    private long _hurried;

    /// <summary>Whom it dials.</summary>
    public TunnelTarget Target => target;

    /// <summary>Ends the loop, and with it the link.</summary>
    public void Stop() => _stop.Cancel();

    /// <summary>Ends a pause between two calls, once a second at most. One thread at a time.</summary>
    public void Hurry()
    {
        if (_hurry.CurrentCount == 0 && (_hurried == 0 || Stopwatch.GetElapsedTime(_hurried) > HurryInterval))
        {
            _hurried = Stopwatch.GetTimestamp();
            _hurry.Release();
        }
    }

    /// <summary>Dials until <see cref="Stop"/>.</summary>
    public async Task RunAsync()
    {
        TimeSpan limit = context.Options.ReconnectMinimum;
        string? lastReason = null;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                await using DialledConnection connection = new(tunnel, target, keyring, admission, context, logger);
                TunnelLink link = await connection.OpenAsync(_stop.Token).ConfigureAwait(false);
                limit = context.Options.ReconnectMinimum;
                lastReason = null;
                await tunnel.RunLinkAsync(link).ConfigureAwait(false);
            }
            catch (Exception failure) when (TunnelFailure.IsOfConnection(failure))
            {
                string reason = TunnelFailure.Describe(failure);
                if (reason != lastReason && !_stop.IsCancellationRequested)
                {
                    TunnelLog.NotReached(logger, target.Name, target.Host, target.Port, reason);
                    lastReason = reason; // said once, until it changes
                }
            }

            await PauseAsync(limit).ConfigureAwait(false);
            limit = limit * 2 < context.Options.ReconnectMaximum ? limit * 2 : context.Options.ReconnectMaximum;
        }
    }

    // Random between half and whole, so that servers that lost each other together do not all call at once.
    private async Task PauseAsync(TimeSpan limit)
    {
        try
        {
            await _hurry.WaitAsync(limit * (0.5 + (Random.Shared.NextDouble() / 2)), _stop.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return; // the loop's condition sees it
        }
    }
}
