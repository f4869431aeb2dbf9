using System.Collections.Immutable;
using Carillon.Protocols.Primacy;

namespace Carillon.Runtime.Services;

/// <summary>Everything about services that the gateway asks of the server that it belongs to. All members may be called from any
/// thread.</summary>
public interface IServiceGate
{
    /// <summary>Passes a wish on to the replica manager's primary, wherever that is.</summary>
    Task<ServiceAnswer> RequestAsync(ServiceRequest request);

    /// <summary>All services as this server knows them, in order of their names.</summary>
    Task<ImmutableArray<ServiceStatus>> ListAsync();

    /// <summary>Where a service's primary is; waits while it changes hands. Null if that is not known in time.</summary>
    Task<PrimaryPlace?> FindPrimaryAsync(ServiceName service, TimeSpan patience, CancellationToken cancellation);

    /// <summary>A program of a user's own wants to provide a service by a session with this server; null with the reason if it
    /// can't.</summary>
    Task<(ProviderSession? Session, string Fault)> OpenSessionAsync(ServiceName service, Freshness state);

    /// <summary>A session that is open here, or null.</summary>
    ProviderSession? FindSession(string id);
}
