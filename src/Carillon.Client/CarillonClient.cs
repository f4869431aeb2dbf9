using System.Net.Http.Headers;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Carillon.Client.Backups;
using Carillon.Client.Feeds;
using Carillon.Client.Folders;
using Carillon.Client.Groups;
using Carillon.Client.Services;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Carillon.Client;

/// <summary>
/// A client of a cluster. Any server will do: each call begins at the one that answered last and goes on to the next when one
/// fails; servers that were not given are learned from those that were. Writes give a <see cref="WriteResult{T}"/>; reads throw a
/// <see cref="CarillonException"/>. All methods may be called from any thread, many at once.
/// </summary>
public sealed class CarillonClient : IDisposable
{
    // Larger bodies wait for "100 Continue", so that a server that refuses says so before gigabytes have been sent to it.
    private const long ExpectContinueBytes = 64 << 10;

    private readonly Transport _transport;

    /// <summary>Makes a client; connections are made when they are needed.</summary>
    /// <exception cref="CarillonException">The options are at fault.</exception>
    public CarillonClient(CarillonClientOptions options)
    {
        if (options.Validate().FirstOrDefault() is { } fault)
        {
            throw new CarillonException(Failure.Usage, fault);
        }

        _transport = new Transport(options);
        Services = new ServiceCalls(_transport);
        Groups = new GroupCalls(_transport);
        Backups = new BackupCalls(_transport);
    }

    /// <summary>How it was made.</summary>
    public CarillonClientOptions Options => _transport.Options;

    /// <summary>Services with exactly one primary.</summary>
    public ServiceCalls Services { get; }

    /// <summary>Atomic multicast groups.</summary>
    public GroupCalls Groups { get; }

    /// <summary>Copies of the whole cluster.</summary>
    public BackupCalls Backups { get; }

    internal Transport Transport => _transport;

    /// <summary>
    /// A fresh idempotency key: the time, then 74 random bits (RFC 9562, version 7). Keys of one time stand together in the servers' index
    /// of keys; wholly random ones would cost a page of it each.
    /// </summary>
    public static string NewKey() => Guid.CreateVersion7().ToString("n");

    /// <summary>Puts an object.</summary>
    public async Task<WriteResult<PutAnswer>> PutAsync(
        ObjectName target, PutSource source, PutOptions? options = null, CancellationToken cancellation = default)
    {
        Check(target);
        options ??= new PutOptions();
        string key = options.Key ?? NewKey();
        string path = Paths.Object(target);
        var call = new WriteCall<PutAnswer>(_transport, key, AnswerReaders.Put)
        {
            Replayable = source.Replayable,
            Direct = source.Bytes is { } small ? DirectRequest.Of(path, key, small, options) : null,
            Build = (server, guard, token) => BuildPutAsync(server, path, source, options, key, guard, token),
        };
        WriteResult<PutAnswer> result = await call.RunAsync(cancellation);
        if (options.Verify && source.Bytes is { } bytes && result.Answer is { } answer)
        {
            VerifyStored(bytes.Span, answer);
        }

        return result;
    }

    /// <summary>Deletes an object; deleting what is not there is accepted, and says so.</summary>
    public Task<WriteResult<DeleteAnswer>> DeleteAsync(
        ObjectName target, PutOptions? options = null, CancellationToken cancellation = default)
    {
        Check(target);
        options ??= new PutOptions();
        return WriteAsync(HttpMethod.Delete, Paths.Object(target), options, null, ClientJson.Default.DeleteAnswer, cancellation);
    }

    /// <summary>Carries out several puts and deletes as one submission, atomically. Of the options key, acknowledgement and fence count:
    /// conditions stand in the changeset, for each name its own.</summary>
    public async Task<WriteResult<ChangesetAnswer>> ChangesetAsync(
        Changeset changeset, PutOptions? options = null, CancellationToken cancellation = default)
    {
        options ??= new PutOptions();
        string key = options.Key ?? NewKey();
        var call = new WriteCall<ChangesetAnswer>(_transport, key, AnswerReaders.Of(ClientJson.Default.ChangesetAnswer))
        {
            Build = (server, _, _) =>
            {
                HttpRequestMessage request = Write(HttpMethod.Post, server, "/v1/changesets", key);
                AddConditions(request, options);
                request.Content = changeset.ToContent();
                return new(request);
            },
        };
        return await call.RunAsync(cancellation);
    }

    /// <summary>Copies an object within the cluster, by way of this client; an old version named by its UID is brought back so.</summary>
    public async Task<WriteResult<PutAnswer>> CopyAsync(
        ObjectName from, ObjectName to, string? version = null, PutOptions? options = null, CancellationToken cancellation = default)
    {
        Check(to);
        ObjectStat stat = await StatAsync(from, version, cancellation: cancellation);
        var source = PutSource.FromFactory(async token => (await OpenVersionAsync(from, stat.Uid, token), stat.Size));
        options = (options ?? new PutOptions()) with
        {
            ContentType = stat.ContentType.Length > 0 ? stat.ContentType : null, Metadata = [.. stat.Metadata],
        };
        return await PutAsync(to, source, options, cancellation);
    }

    /// <summary>Downloads to a file: resumes, moves between servers, verifies, and only then gives the file its name.</summary>
    /// <exception cref="CarillonException">It could not be read, or its bytes are wrong.</exception>
    public async Task<GetResult> GetToFileAsync(
        ObjectName target, string path, GetOptions? options = null, CancellationToken cancellation = default)
    {
        Check(target);
        using var file = FileTarget.Open(path, target);
        using var download = new Download(_transport, target, options ?? new GetOptions(), file);
        return await download.RunAsync(cancellation);
    }

    /// <summary>
    /// Downloads to a stream. The bytes are verified too, but the stream has them by then: a fault is told by the exception.
    /// </summary>
    /// <exception cref="CarillonException">It could not be read, or its bytes were wrong.</exception>
    public async Task<GetResult> GetToStreamAsync(
        ObjectName target, Stream stream, GetOptions? options = null, CancellationToken cancellation = default)
    {
        Check(target);
        using var download = new Download(_transport, target, options ?? new GetOptions(), new StreamTarget(stream));
        return await download.RunAsync(cancellation);
    }

    /// <summary>Puts a folder's files, links and empty directories below a name; several at once, each a submission of its own.</summary>
    public Task<FolderResult> PutFolderAsync(
        string folder, ObjectName target, FolderOptions? options = null, CancellationToken cancellation = default)
    {
        CheckPrefix(target);
        return Directory.Exists(folder)
            ? new FolderUpload(this, folder, target, options ?? new FolderOptions()).RunAsync(cancellation)
            : throw new CarillonException(Failure.Usage, $"{folder} is not a directory");
    }

    /// <summary>Gets everything below a name into a folder; several files at once. No name leads out of the folder.</summary>
    public Task<FolderResult> GetFolderAsync(
        ObjectName source, string folder, FolderOptions? options = null, CancellationToken cancellation = default)
    {
        CheckPrefix(source);
        return new FolderDownload(this, source, folder, options ?? new FolderOptions()).RunAsync(cancellation);
    }

    /// <summary>Downloads a small object into memory.</summary>
    /// <exception cref="CarillonException">It could not be read, or its bytes are wrong.</exception>
    public async Task<byte[]> GetBytesAsync(ObjectName target, GetOptions? options = null, CancellationToken cancellation = default)
    {
        var memory = new MemoryStream();
        await GetToStreamAsync(target, memory, options, cancellation);
        return memory.ToArray();
    }

    /// <summary>What is known about a version without its bytes.</summary>
    /// <exception cref="CarillonException">There is none, or no server could tell.</exception>
    public async Task<ObjectStat> StatAsync(
        ObjectName target, string? version = null, bool local = false, CancellationToken cancellation = default)
    {
        Check(target);
        string path = Paths.Object(target) + VersionHeaders.Query(version, local);
        try
        {
            return await ReadCall.RunAsync(
                _transport, HttpMethod.Head, path, (response, _) => Task.FromResult(VersionHeaders.Read(response)), cancellation);
        }
        catch (CarillonException fault) when (fault.Problem is { Detail: "", Status: > 0 } problem)
        {
            // An answer without a body says what it is, but not of what.
            throw new CarillonException(problem with { Detail = $"{Shown.Text(target.ToString())}: {problem.Title}" });
        }
    }

    /// <summary>One page of a listing.</summary>
    public Task<Document<ObjectPage>> ListPageAsync(
        string bucket, ListOptions options, string? after, CancellationToken cancellation = default)
    {
        CheckBucket(bucket);
        string path = Paths.Listing(bucket, options.Prefix, options.Delimiter, after, options.PageSize, options.Versions);
        return ReadJsonAsync(path, ClientJson.Default.ObjectPage, cancellation);
    }

    /// <summary>A whole listing, page by page; each page is one server's snapshot.</summary>
    public async IAsyncEnumerable<ObjectPage> ListAsync(
        string bucket, ListOptions? options = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        options ??= new ListOptions();
        string? after = options.After;
        do
        {
            ObjectPage page = (await ListPageAsync(bucket, options, after, cancellation)).Value;
            yield return page;
            if (page.Next is not null && page.Next == after)
            {
                throw new CarillonException(Failure.Failed, "the server's listing does not advance");
            }

            after = page.Next;
        }
        while (after is not null);
    }

    /// <summary>
    /// The feed: every change of the catalog from a number on, in the order of the numbers, and then each as it is applied, none missing
    /// and none twice. Goes on at another server where one dies; ends only by cancellation or an exception.
    /// </summary>
    /// <exception cref="CarillonException">No server answers, or (code <c>feed-too-old</c>, with the first number that is kept and a
    /// checkpoint) the entries from there on are gone: list what is there, and go on behind the checkpoint.</exception>
    public async IAsyncEnumerable<FeedEntry> WatchAsync(
        WatchOptions? options = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        using var delivery = new FeedDelivery(_transport, options ?? new WatchOptions());
        while (true)
        {
            await delivery.NextAsync(cancellation);
            for (int i = 0; i < delivery.Run.Count; i++)
            {
                yield return delivery.Run[i];
            }
        }
    }

    /// <summary>Makes a bucket; one that exists with the same settings is ok.</summary>
    public Task<WriteResult<BucketSettings>> CreateBucketAsync(
        string bucket, BucketSettings settings, string? key = null, CancellationToken cancellation = default) =>
        PutBucketAsync(bucket, settings, change: false, key, cancellation);

    /// <summary>Changes those settings of a bucket that are given.</summary>
    public Task<WriteResult<BucketSettings>> SetBucketAsync(
        string bucket, BucketSettings settings, string? key = null, CancellationToken cancellation = default) =>
        PutBucketAsync(bucket, settings, change: true, key, cancellation);

    /// <summary>A bucket's settings.</summary>
    public Task<Document<BucketSettings>> BucketAsync(string bucket, CancellationToken cancellation = default)
    {
        CheckBucket(bucket);
        return ReadJsonAsync(Paths.Bucket(bucket), ClientJson.Default.BucketSettings, cancellation);
    }

    /// <summary>All buckets.</summary>
    public Task<Document<BucketList>> BucketsAsync(CancellationToken cancellation = default) =>
        ReadJsonAsync("/v1/buckets", ClientJson.Default.BucketList, cancellation);

    /// <summary>Removes an empty bucket.</summary>
    public Task<WriteResult<DeleteAnswer>> DeleteBucketAsync(string bucket, string? key = null, CancellationToken cancellation = default)
    {
        CheckBucket(bucket);
        var options = new PutOptions { Key = key };
        return WriteAsync(HttpMethod.Delete, Paths.Bucket(bucket), options, null, ClientJson.Default.DeleteAnswer, cancellation);
    }

    /// <summary>What became of a submission, by its id.</summary>
    public Task<Document<SubmissionStatus>> SubmissionAsync(string id, CancellationToken cancellation = default) =>
        ReadJsonAsync("/v1/submissions/" + Uri.EscapeDataString(id), ClientJson.Default.SubmissionStatus, cancellation);

    /// <summary>What became of a write, by its idempotency key. <c>rejected</c> is told only once the key is fenced.</summary>
    public Task<Document<SubmissionStatus>> SubmissionByKeyAsync(string key, CancellationToken cancellation = default) =>
        ReadJsonAsync("/v1/submissions?key=" + Uri.EscapeDataString(key), ClientJson.Default.SubmissionStatus, cancellation);

    /// <summary>Everything that one server knows about a name, as JSON.</summary>
    public Task<byte[]> ExplainAsync(ObjectName target, CancellationToken cancellation = default)
    {
        Check(target);
        return ReadBytesAsync(Paths.Explain(target), cancellation);
    }

    /// <summary>The cluster as one server sees it.</summary>
    public Task<Document<ClusterStatus>> ClusterStatusAsync(CancellationToken cancellation = default) =>
        ReadJsonAsync("/v1/cluster", ClientJson.Default.ClusterStatus, cancellation);

    /// <summary>The version of the cluster's configuration that is in force at one server, as JSON.</summary>
    public Task<byte[]> ClusterConfigurationAsync(CancellationToken cancellation = default) =>
        ReadBytesAsync("/v1/cluster/configuration", cancellation);

    /// <summary>Changes one server of the cluster; gives the version that it made, as JSON. Where the outcome is unknown, the configuration
    /// tells whether it was made.</summary>
    /// <param name="change">The change, as JSON (docs/formats/http.md).</param>
    /// <param name="cancellation">The caller gives up.</param>
    public Task<byte[]> ChangeClusterAsync(byte[] change, CancellationToken cancellation = default) =>
        ReadCall.RunAsync(_transport, HttpMethod.Post, "/v1/cluster/changes", Transport.ReadWholeAsync, cancellation, change);

    /// <summary>A path's whole answer: health and metrics pages.</summary>
    public Task<byte[]> ReadBytesAsync(string path, CancellationToken cancellation = default) =>
        ReadCall.RunAsync(_transport, HttpMethod.Get, path, Transport.ReadWholeAsync, cancellation);

    /// <inheritdoc/>
    public void Dispose() => _transport.Dispose();

    internal static void Check(ObjectName target)
    {
        CheckBucket(target.Bucket);
        if (ObjectName.FaultOfName(target.Name) is { } fault)
        {
            throw new CarillonException(Failure.Usage, $"'{Shown.Text(target.Name)}': {fault}");
        }
    }

    private static void CheckPrefix(ObjectName target)
    {
        CheckBucket(target.Bucket);
        if (target.Name.Length > 0)
        {
            Check(target);
        }
    }

    private static void CheckBucket(string bucket)
    {
        // The system's own bucket may be looked at.
        if (bucket != ObjectName.SystemBucket && ObjectName.FaultOfBucket(bucket) is { } fault)
        {
            throw new CarillonException(Failure.Usage, $"'{bucket}': {fault}");
        }
    }

    private static void VerifyStored(ReadOnlySpan<byte> sent, PutAnswer answer)
    {
        string digest = Convert.ToHexStringLower(SHA256.HashData(sent));
        if (!string.Equals(digest, answer.Sha256, StringComparison.OrdinalIgnoreCase))
        {
            throw new CarillonException(
                Failure.Integrity, $"the server stored other bytes ({answer.Sha256}) than were sent ({digest}) as version {answer.Uid}");
        }
    }

    private Task<WriteResult<BucketSettings>> PutBucketAsync(
        string bucket, BucketSettings settings, bool change, string? key, CancellationToken cancellation)
    {
        CheckBucket(bucket);
        string path = Paths.Bucket(bucket) + (change ? "?change=true" : "");
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(settings with { Name = null }, ClientJson.Default.BucketSettings);
        return WriteAsync(HttpMethod.Put, path, new PutOptions { Key = key }, body, ClientJson.Default.BucketSettings, cancellation);
    }

    private Task<WriteResult<T>> WriteAsync<T>(
        HttpMethod method, string path, PutOptions options, byte[]? json, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class
    {
        string key = options.Key ?? NewKey();
        var call = new WriteCall<T>(_transport, key, AnswerReaders.Of(type))
        {
            Build = (server, _, _) =>
            {
                HttpRequestMessage request = Write(method, server, path, key);
                AddConditions(request, options);
                // Never without a body: the handler repeats a request that has none by itself when a kept connection breaks.
                request.Content = new ByteArrayContent(json ?? []);
                if (json is not null)
                {
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/json");
                }

                return new(request);
            },
        };
        return call.RunAsync(cancellation);
    }

    private async ValueTask<HttpRequestMessage> BuildPutAsync(
        int server, string path, PutSource source, PutOptions options, string key, StallGuard guard, CancellationToken cancellation)
    {
        HttpRequestMessage request = Write(HttpMethod.Put, server, path, key);
        AddConditions(request, options);
        if (source.Bytes is { } bytes)
        {
            request.Content = new ReadOnlyMemoryContent(bytes);
        }
        else
        {
            (Stream stream, long? length) = await OpenSourceAsync(source, cancellation);
            request.Content = new SourceContent(stream, length, _transport.Options.BufferBytes, guard, options.Observer);
            request.Headers.ExpectContinue = length is null or > ExpectContinueBytes;
        }

        if (options.ContentType is not null)
        {
            request.Content.Headers.TryAddWithoutValidation("Content-Type", options.ContentType);
        }

        foreach ((string name, string value) in options.Metadata)
        {
            request.Headers.TryAddWithoutValidation(VersionHeaders.MetadataPrefix + name, Uri.EscapeDataString(value));
        }

        return request;
    }

    private static async ValueTask<(Stream Stream, long? Length)> OpenSourceAsync(PutSource source, CancellationToken cancellation)
    {
        try
        {
            return await source.OpenAsync(cancellation);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new CarillonException(Failure.Failed, fault.Message, fault);
        }
    }

    private static void AddConditions(HttpRequestMessage request, PutOptions options)
    {
        if (options.IfMatch is not null)
        {
            request.Headers.TryAddWithoutValidation("If-Match", $"\"{options.IfMatch}\"");
        }

        if (options.IfNoneMatch)
        {
            request.Headers.TryAddWithoutValidation("If-None-Match", "*");
        }

        AddFence(request, options.Fence);
        if (options.Ack is not null)
        {
            request.Headers.TryAddWithoutValidation("Carillon-Ack", options.Ack);
        }
    }

    private static void AddFence(HttpRequestMessage request, Fence fence)
    {
        if (FenceHeader.Of(fence) is { } value)
        {
            request.Headers.TryAddWithoutValidation(FenceHeader.Name, value);
        }
    }

    private HttpRequestMessage Write(HttpMethod method, int server, string path, string key)
    {
        HttpRequestMessage request = _transport.Request(method, server, path);
        request.Headers.TryAddWithoutValidation("Idempotency-Key", key);
        return request;
    }

    private async Task<Stream> OpenVersionAsync(ObjectName from, string uid, CancellationToken cancellation)
    {
        // The answer is disposed with the stream that is handed out: SocketsHttpHandler's stream ends its connection's use.
        string path = Paths.Object(from) + VersionHeaders.Query(uid, local: false);
        Problem? problem = null;
        _transport.CallBegins();
        var rotation = new Rotation(_transport);
        while (await rotation.NextAsync(cancellation) is var server && server >= 0)
        {
            using var guard = new StallGuard(_transport.Options.AttemptTimeout, cancellation);
            using HttpRequestMessage request = _transport.Request(HttpMethod.Get, server, path);
            try
            {
                HttpResponseMessage response = await _transport.SendAsync(request, guard.Token);
                if (response.IsSuccessStatusCode)
                {
                    return await response.Content.ReadAsStreamAsync(guard.Token);
                }

                problem = await _transport.ReadProblemAsync(response, server, guard.Token);
                response.Dispose();
            }
            catch (Exception fault) when (Transport.IsTransportFault(fault) && !cancellation.IsCancellationRequested)
            {
                problem = _transport.ProblemOf(fault, server, guard);
            }
        }

        throw new CarillonException(problem!);
    }

    private Task<Document<T>> ReadJsonAsync<T>(string path, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class =>
        ReadCall.DocumentAsync(_transport, HttpMethod.Get, path, type, cancellation);
}
