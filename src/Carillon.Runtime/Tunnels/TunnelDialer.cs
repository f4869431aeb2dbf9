using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Carillon.Node;
using Carillon.Runtime.Security;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tunnels;

/// <summary>Keeps the tunnel to one server up: dials, runs the link, and dials again after a random pause that grows to its
/// limit.</summary>
internal sealed class TunnelDialer(
    Tunnel tunnel, TunnelTarget target, Keyring keyring, TunnelAdmission admission, TunnelContext context, ILogger logger)
{
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _hurry = new(0, 1);

    /// <summary>Whom it dials.</summary>
    public TunnelTarget Target => target;

    /// <summary>Ends the loop, and with it the link.</summary>
    public void Stop() => _stop.Cancel();

    /// <summary>Ends a pause between two calls.</summary>
    public void Hurry()
    {
        if (_hurry.CurrentCount == 0)
        {
            try
            {
                _hurry.Release();
            }
            catch (SemaphoreFullException)
            {
                return; // two threads had the same idea
            }
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
