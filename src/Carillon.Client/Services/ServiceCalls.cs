using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;

namespace Carillon.Client.Services;

/// <summary>
/// Services with exactly one primary: add, look at, move, remove. Every call may be made of any server, and is made of the next where
/// one is in trouble; each may be repeated. All methods may be called from any thread and throw a <see cref="CarillonException"/>.
/// </summary>
public sealed class ServiceCalls
{
    private readonly Transport _transport;

    internal ServiceCalls(Transport transport) => _transport = transport;

    /// <summary>All services.</summary>
    public Task<Document<ServiceList>> ListAsync(CancellationToken cancellation = default) =>
        RunAsync(HttpMethod.Get, "/v1/services", null, ClientJson.Default.ServiceList, cancellation);

    /// <summary>One service, with its history.</summary>
    public Task<Document<ServiceInfo>> ShowAsync(string service, CancellationToken cancellation = default) =>
        RunAsync(HttpMethod.Get, Path(service), null, ClientJson.Default.ServiceInfo, cancellation);

    /// <summary>Adds a service, or changes one (<paramref name="replace"/>).</summary>
    public Task<Document<ServiceAnswer>> AddAsync(
        string service, ServiceSettings settings, bool replace = false, CancellationToken cancellation = default) =>
        RunAsync(
            HttpMethod.Put, Path(service) + (replace ? "?replace=true" : ""),
            JsonSerializer.SerializeToUtf8Bytes(settings, ClientJson.Default.ServiceSettings), ClientJson.Default.ServiceAnswer,
            cancellation);

    /// <summary>Stops and removes a service.</summary>
    public Task<Document<ServiceAnswer>> RemoveAsync(string service, CancellationToken cancellation = default) =>
        RunAsync(HttpMethod.Delete, Path(service), null, ClientJson.Default.ServiceAnswer, cancellation);

    /// <summary>Moves its primary to a server; null: to the best of the others.</summary>
    public Task<Document<ServiceAnswer>> MoveAsync(string service, string? target = null, CancellationToken cancellation = default) =>
        RunAsync(
            HttpMethod.Post, Path(service) + "/move",
            JsonSerializer.SerializeToUtf8Bytes(new ServiceTarget(target), ClientJson.Default.ServiceTarget),
            ClientJson.Default.ServiceAnswer, cancellation);

    /// <summary>Lets a server provide it too, or no longer.</summary>
    public Task<Document<ServiceAnswer>> SetProviderAsync(
        string service, string node, bool provides, CancellationToken cancellation = default) =>
        RunAsync(
            provides ? HttpMethod.Put : HttpMethod.Delete, $"{Path(service)}/providers/{Uri.EscapeDataString(node)}", null,
            ClientJson.Default.ServiceAnswer, cancellation);

    /// <summary>Where its primary is; while the service changes hands this waits so long.</summary>
    public async Task<ServicePrimary> FindPrimaryAsync(string service, TimeSpan wait, CancellationToken cancellation = default)
    {
        string path = string.Create(CultureInfo.InvariantCulture, $"{Path(service)}/primary?wait={wait.TotalSeconds:0.###}");
        return (await RunAsync(HttpMethod.Get, path, null, ClientJson.Default.ServicePrimary, cancellation)).Value;
    }

    internal static string Path(string service) => "/v1/services/" + Uri.EscapeDataString(service);

    private Task<Document<T>> RunAsync<T>(
        HttpMethod method, string path, byte[]? json, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class =>
        ReadCall.DocumentAsync(_transport, method, path, type, cancellation, json);
}
