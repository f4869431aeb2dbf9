using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// Atomic multicast groups: make, look at, remove, take part. Every call may be made of any server, and is made of the next where one is in
/// trouble. All methods may be called from any thread.
/// </summary>
public sealed class GroupCalls
{
    private readonly Transport _transport;

    internal GroupCalls(Transport transport) => _transport = transport;

    /// <summary>All groups.</summary>
    /// <exception cref="CarillonException">No server could tell.</exception>
    public Task<Document<GroupList>> ListAsync(CancellationToken cancellation = default) =>
        ReadAsync("/v1/groups", ClientJson.Default.GroupList, cancellation);

    /// <summary>One group.</summary>
    /// <exception cref="CarillonException">There is none, or no server could tell.</exception>
    public Task<Document<GroupInfo>> ShowAsync(GroupName group, CancellationToken cancellation = default) =>
        ReadAsync(Path(group), ClientJson.Default.GroupInfo, cancellation);

    /// <summary>Makes a group; one that exists with the same settings is ok.</summary>
    public Task<WriteResult<GroupChange>> CreateAsync(
        GroupName group, NewGroup? settings = null, string? key = null, CancellationToken cancellation = default) =>
        WriteAsync(
            HttpMethod.Put, group, JsonSerializer.SerializeToUtf8Bytes(settings ?? new NewGroup(), ClientJson.Default.NewGroup), key,
            cancellation);

    /// <summary>Removes a group with all its messages; removing what is not there is accepted, and says so.</summary>
    public Task<WriteResult<GroupChange>> RemoveAsync(GroupName group, string? key = null, CancellationToken cancellation = default) =>
        WriteAsync(HttpMethod.Delete, group, null, key, cancellation);

    /// <summary>Takes part in a group; nothing is asked of a server until something is sent or delivered.</summary>
    /// <exception cref="CarillonException">The options are at fault.</exception>
    public AtomicGroup Open(GroupName group, AtomicGroupOptions? options = null) =>
        new(_transport, group, options ?? new AtomicGroupOptions());

    internal static string Path(GroupName group) => "/v1/groups/" + group.Name;

    private Task<Document<T>> ReadAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class =>
        ReadCall.DocumentAsync(_transport, HttpMethod.Get, path, type, cancellation);

    private Task<WriteResult<GroupChange>> WriteAsync(
        HttpMethod method, GroupName group, byte[]? json, string? key, CancellationToken cancellation)
    {
        key ??= CarillonClient.NewKey();
        var call = new WriteCall<GroupChange>(_transport, key, AnswerReaders.Of(ClientJson.Default.GroupChange))
        {
            Build = (server, _, _) =>
            {
                HttpRequestMessage request = _transport.Request(method, server, Path(group));
                request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
                // Never without a body: the handler repeats a request that has none by itself when a kept connection breaks.
                request.Content = new ByteArrayContent(json ?? []);
                request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                return new(request);
            },
        };
        return call.RunAsync(cancellation);
    }
}
