using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Services;

/// <summary>
/// Carries out what primacy orders on this server, and tells what became of it: one <see cref="Provider"/> for each service, a command's
/// or a session's. Orders come from the node's loop and are only passed on here; nothing blocks it.
/// </summary>
internal sealed class ServiceSupervisor
{
    private readonly ProviderSurroundings _around;
    private readonly Lock _gate = new();
    private readonly Dictionary<ServiceName, Provider> _providers = [];
    private readonly Dictionary<ServiceName, Task> _ended = [];
    private bool _stopped;

    /// <summary>Runs nothing until it is ordered to.</summary>
    /// <param name="node">This server.</param>
    /// <param name="folder">Where the services' folders are.</param>
    /// <param name="hosting">How they are run.</param>
    /// <param name="clock">The clock that leases are told by.</param>
    /// <param name="news">Takes news, from any thread; never blocks.</param>
    /// <param name="loggers">Where commands' lines go.</param>
    public ServiceSupervisor(
        NodeId node, string folder, ServiceOptions hosting, SystemClock clock, Action<ServiceNews> news, ILoggerFactory loggers) =>
        _around = new ProviderSurroundings(node, folder, hosting, clock, news, loggers.CreateLogger("Carillon.Services"));

    /// <summary>Requesters here.</summary>
    public ServiceDirectory Directory { get; } = new();

    /// <summary>Takes an order; never blocks.</summary>
    public void Carry(ServiceOrder order)
    {
        switch (order)
        {
            case ServiceOrder.HoldRequesters:
                Directory.Hold(order.Service);
                return;
            case ServiceOrder.ReleaseRequesters release:
                Directory.Release(release.Service, new PrimaryPlace(release.Primary, release.Epoch));
                return;
            case ServiceOrder.Provide provide:
                Provide(provide);
                return;
            case ServiceOrder.Leave:
                Leave(order);
                return;
        }

        lock (_gate)
        {
            if (_providers.TryGetValue(order.Service, out Provider? provider))
            {
                provider.Take(order);
            }
        }
    }

    /// <summary>A program of a user's own wants to provide a service here; null with the reason if it can't.</summary>
    public async Task<(ProviderSession? Session, string Fault)> OpenSessionAsync(ServiceName service, Freshness state)
    {
        SessionProvider? provider;
        lock (_gate)
        {
            provider = _providers.GetValueOrDefault(service) as SessionProvider;
            if (provider is null)
            {
                return (null, _providers.ContainsKey(service)
                    ? "the service runs a command: no program of one's own can provide it"
                    : "this server is not a provider of it");
            }
        }

        var session = new ProviderSession(service, state, _around.Clock, provider.Hear);
        return await provider.OpenAsync(session) ? (session, "") : (null, "another program has its session with this server, or its provider here has ended");
    }

    /// <summary>Stops all that runs, in good order, within its leases.</summary>
    public async Task StopAsync()
    {
        Task[] ends;
        lock (_gate)
        {
            _stopped = true;
            ends = [.. _providers.Values.Select(provider => provider.StopAsync()), .. _ended.Values];
            _providers.Clear();
        }

        await Task.WhenAll(ends);
    }

    private void Provide(ServiceOrder.Provide provide)
    {
        lock (_gate)
        {
            if (_stopped)
            {
                return;
            }

            ServiceDefinition definition = provide.Definition;
            if (_providers.TryGetValue(definition.Name, out Provider? known))
            {
                if (known is CommandProvider != definition.Command.IsNone && known.Take(provide))
                {
                    return;
                }

                // From a command to a program of one's own, or back: the one ends before the other begins. Or it has ended, by a defect.
                _ended[definition.Name] = known.StopAsync();
            }

            Provider provider = definition.Command.IsNone
                ? new SessionProvider(definition, _around) : new CommandProvider(definition, _around);
            provider.Start(_ended.GetValueOrDefault(definition.Name, Task.CompletedTask));
            provider.Take(provide);
            _providers[definition.Name] = provider;
        }
    }

    private void Leave(ServiceOrder leave)
    {
        lock (_gate)
        {
            if (_providers.Remove(leave.Service, out Provider? provider))
            {
                provider.Take(leave);
                _ended[leave.Service] = provider.StopAsync();
            }
        }
    }
}
