using System.Collections.Concurrent;
using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Serving;

namespace Carillon.Runtime.Services;

/// <summary>Services as the gateway asks for them: wishes go to the node's loop, sessions and requesters to the supervisor.</summary>
internal sealed class ServiceGate(EntryServer server, ServiceSupervisor supervisor) : IServiceGate
{
    private readonly ConcurrentDictionary<string, ProviderSession> _sessions = new(StringComparer.Ordinal);

    public Task<ServiceAnswer> RequestAsync(ServiceRequest request) =>
        server.Ask<ServiceAnswer>((node, now, answer) => node.AskManager(request, now, answer));

    public Task<ImmutableArray<ServiceStatus>> ListAsync() =>
        server.Ask<ImmutableArray<ServiceStatus>>((node, now, answer) => answer(node.Services(now)));

    public async Task<PrimaryPlace?> FindPrimaryAsync(ServiceName service, TimeSpan patience, CancellationToken cancellation)
    {
        if (await supervisor.Directory.FindAsync(service, patience, cancellation) is { } told)
        {
            return told.Primary.IsNone ? null : told;
        }

        // What no change of hands has told since this server started, it may know by the primary's own statements.
        (NodeId primary, Epoch epoch) = await server.Ask<(NodeId, Epoch)>((node, _, answer) => answer(node.PrimaryOf(service)));
        return primary.IsNone ? null : new PrimaryPlace(primary, epoch);
    }

    public async Task<(ProviderSession? Session, string Fault)> OpenSessionAsync(ServiceName service, Freshness state)
    {
        (ProviderSession? session, string fault) = await supervisor.OpenSessionAsync(service, state);
        if (session is not null)
        {
            _sessions[session.Id] = session;
            _ = session.Over.ContinueWith(
                _ => _sessions.TryRemove(session.Id, out ProviderSession? _), CancellationToken.None,
                TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }

        return (session, fault);
    }

    public ProviderSession? FindSession(string id) => _sessions.GetValueOrDefault(id);
}
