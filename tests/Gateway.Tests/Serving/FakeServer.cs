using System.Buffers;
using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.IO.Pipelines;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Feeds;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Tests.Serving;

/// <summary>An entry server in memory that accepts everything, and can be told to answer otherwise.</summary>
internal sealed class FakeServer : IEntryServer
{
    public const int InlineBytes = 64 << 10;

    private readonly Lock _lock = new();
    private readonly SortedDictionary<string, BucketSettings> _buckets = new(StringComparer.Ordinal) { ["files"] = new() };
    private readonly Dictionary<string, SubmitOutcome.Accepted> _keys = [];
    private int _stores;
    private ulong _stamp = 1_700_000_000_000UL << 16;

    public NodeId Name { get; } = NodeId.Parse("s1");

    /// <summary>Its feed, in which everything that is submitted gets a number at once.</summary>
    public FakeFeed Feed { get; } = new();

    /// <summary>Another feed in its place, which several servers share.</summary>
    public IFeedGate? SharedFeed { get; init; }

    IFeedGate IEntryServer.Feed => SharedFeed ?? Feed;

    /// <summary>All that was submitted, in order.</summary>
    public ConcurrentQueue<SubmitRequest> Submissions { get; } = new();

    /// <summary>Bodies whose storing has begun.</summary>
    public int Stores => Volatile.Read(ref _stores);

    /// <summary>Uploads that were given up by the gateway.</summary>
    public ConcurrentQueue<Tag> Abandoned { get; } = new();

    /// <summary>Bodies whose storing ended with an exception.</summary>
    public ConcurrentQueue<Exception> BrokenBodies { get; } = new();

    /// <summary>Versions of each name, the newest first.</summary>
    public ConcurrentDictionary<ObjectName, ImmutableList<VersionEntry>> Versions { get; } = new();

    public ConcurrentDictionary<ChunkId, byte[]> Chunks { get; } = new();

    public Func<SubmitRequest, Task<SubmitOutcome>>? OnSubmit { get; set; }

    public Func<string, StoreOutcome?>? OnStore { get; set; }

    public Func<ObjectName, Uid?, Consistency, ReadOutcome>? OnRead { get; set; }

    public Func<ObjectManifest, long, long, PipeWriter, CancellationToken, Task>? OnContent { get; set; }

    public Func<SubmitOutcome>? OnBucket { get; set; }

    public Func<string, BucketSettings?>? OnFindBucket { get; set; }

    public Func<Tag, SubmissionReport>? OnShow { get; set; }

    public Func<string, SubmissionReport?>? OnShowKey { get; set; }

    public Func<ListQuery, ListPage>? OnList { get; set; }

    public ImmutableArray<ExplainedVersion> Explained { get; set; } = [];

    public ClusterStatus Cluster { get; set; } = new(
        "test", 1, 2, 3, true,
        [new ServerStatus(NodeId.Parse("s1"), "self", 1, ["entry", "storage"], true, 0.25, null, 0, 0, 1000, "127.0.0.1:7410", "")],
        0, "unicast", "loopback");

    /// <summary>A fresh tag.</summary>
    public Tag NextTag()
    {
        lock (_lock)
        {
            _stamp++;
            return new Tag(new Uid(new Timestamp(_stamp), Name), _stamp * 31);
        }
    }

    /// <summary>Adds a version without asking anybody.</summary>
    public Uid Add(ObjectName target, ReadOnlyMemory<byte> content, ImmutableArray<KeyValuePair<string, string>>? metadata = null,
        string contentType = "")
    {
        Tag tag = NextTag();
        ObjectManifest manifest = Keep(content.ToArray(), contentType, metadata ?? []);
        Apply(tag, new Operation(OperationKind.Put, target, manifest));
        return tag.Uid;
    }

    /// <summary>Adds a tombstone.</summary>
    public Uid Remove(ObjectName target)
    {
        Tag tag = NextTag();
        Apply(tag, new Operation(OperationKind.Delete, target, null));
        return tag.Uid;
    }

    /// <inheritdoc/>
    public async Task<StoreOutcome> StoreAsync(
        string bucket, PipeReader body, long? length, string contentType, ImmutableArray<KeyValuePair<string, string>> metadata, Tag upload,
        CancellationToken cancellation)
    {
        Interlocked.Increment(ref _stores);
        if (OnStore?.Invoke(bucket) is { } other)
        {
            return other;
        }

        if (!_buckets.ContainsKey(bucket))
        {
            return new StoreOutcome.Refused(RejectionReason.BucketNotFound, $"There is no bucket '{bucket}'.");
        }

        var content = new ArrayBufferWriter<byte>();
        try
        {
            while (true)
            {
                ReadResult read = await body.ReadAsync(cancellation);
                foreach (ReadOnlyMemory<byte> segment in read.Buffer)
                {
                    content.Write(segment.Span);
                }

                body.AdvanceTo(read.Buffer.End);
                if (read.IsCompleted)
                {
                    break;
                }
            }
        }
        catch (Exception exception)
        {
            BrokenBodies.Enqueue(exception);
            throw;
        }

        ObjectManifest manifest = Keep(content.WrittenSpan.ToArray(), contentType, metadata);
        bool needsUpload = manifest.Form != ContentForm.Inline && upload.IsNone;
        return new StoreOutcome.Stored(manifest, needsUpload ? NextTag() : upload);
    }

    /// <inheritdoc/>
    public void Abandon(Tag upload) => Abandoned.Enqueue(upload);

    /// <inheritdoc/>
    public async Task<SubmitOutcome> SubmitAsync(SubmitRequest request)
    {
        Submissions.Enqueue(request);
        if (OnSubmit is not null)
        {
            return await OnSubmit(request);
        }

        lock (_lock)
        {
            if (_keys.TryGetValue(request.Key, out SubmitOutcome.Accepted? known))
            {
                return known with { Replayed = true };
            }
        }

        Tag tag = NextTag();
        SequenceNumber number = Feed.Applied.Next;
        if (request.Operations.FirstOrDefault(o => !IsMet(o)) is { } against)
        {
            Feed.Add();
            Uid winner = Versions.TryGetValue(against.Target, out var versions) ? versions[0].Uid : default;
            return new SubmitOutcome.Refused(tag, new FeedOutcome(number, FeedVerdict.Refused)
            {
                Target = against.Target, Winner = winner, IsWinnerLive = versions?[0].Manifest is not null,
            });
        }

        foreach (Operation operation in request.Operations)
        {
            Apply(tag, operation, number);
        }

        Feed.Add(tag, FeedVerdict.Applied, request.Operations);
        bool isOnlyAgreed = request.Ack == AckWanted.Agreed && request.Operations.Length == 1 && request.Operations[0].Precondition.IsNone;
        var accepted = new SubmitOutcome.Accepted(tag, false)
        {
            Sequenced = isOnlyAgreed ? default : new FeedOutcome(number, FeedVerdict.Applied),
        };
        lock (_lock)
        {
            _keys[request.Key] = accepted;
        }

        return accepted;
    }

    /// <inheritdoc/>
    public Task<ReadOutcome> ReadAsync(ObjectName name, Uid? version, Consistency consistency)
    {
        if (OnRead is { } other)
        {
            return Task.FromResult(other(name, version, consistency));
        }

        VersionEntry? entry = Versions.TryGetValue(name, out var versions)
            ? versions.Find(one => version is null || one.Uid == version) : null;
        return Task.FromResult<ReadOutcome>(entry switch
        {
            null => new ReadOutcome.Absent(default),
            { Manifest: null } => new ReadOutcome.Absent(entry.Uid) { Number = entry.Number },
            _ => new ReadOutcome.Found(entry.Uid, entry.Tag, entry.Manifest) { Number = entry.Number },
        });
    }

    /// <inheritdoc/>
    public Protocols.Cluster.ClusterConfiguration Configuration() => throw new NotSupportedException("The fake has no cluster.");

    public Task<Node.ClusterChangeOutcome> ChangeClusterAsync(Protocols.Cluster.ClusterChange change) =>
        throw new NotSupportedException("The fake has no cluster.");

    public Task WriteCheckpointAsync(IReadOnlySet<ChunkId> known, PipeWriter output, CancellationToken cancellation) =>
        throw new NotSupportedException("The fake has no catalog.");

    public async Task WriteChunkAsync(ChunkId id, PipeWriter output, CancellationToken cancellation)
    {
        if (!Chunks.TryGetValue(id, out byte[]? bytes))
        {
            throw new ContentUnavailableException($"No server that can be reached has a good copy of chunk {id}.");
        }

        await output.WriteAsync(bytes, cancellation);
    }

    public async Task WriteContentAsync(
        ObjectManifest manifest, long offset, long length, PipeWriter output, CancellationToken cancellation)
    {
        if (OnContent is not null)
        {
            await OnContent(manifest, offset, length, output, cancellation);
            return;
        }

        foreach (ChunkReference chunk in manifest.Chunks)
        {
            if (offset < chunk.Length && length > 0)
            {
                int part = (int)Math.Min(chunk.Length - offset, length);
                await output.WriteAsync(Chunks[chunk.Id].AsMemory((int)offset, part), cancellation);
                length -= part;
                offset = 0;
            }
            else
            {
                offset -= chunk.Length;
            }
        }
    }

    /// <inheritdoc/>
    public Task CatchUpAsync() => Task.CompletedTask;

    public Task<ListPage> ListAsync(ListQuery query) => Task.FromResult(List(query));

    private ListPage List(ListQuery query)
    {
        if (OnList is not null)
        {
            return OnList(query);
        }

        IEnumerable<ListedVersion> objects = Versions.OrderBy(entry => entry.Key)
            .Where(entry => entry.Key.Bucket == query.Bucket && entry.Key.Name.StartsWith(query.Prefix, StringComparison.Ordinal))
            .Where(entry => string.CompareOrdinal(entry.Key.Name, query.After) > 0)
            .SelectMany(entry => query.Versions ? entry.Value : entry.Value.Take(1).ToImmutableList())
            .Where(entry => query.Versions || entry.Manifest is not null)
            .Select(entry => new ListedVersion(
                entry.Target, entry.Uid, entry.Tag, entry.Kind, entry.Manifest?.Size ?? 0, entry.Manifest?.Sha256 ?? default, true,
                entry.Manifest?.ContentType ?? "", entry.Manifest?.Metadata ?? []));
        ImmutableArray<ListedVersion> page = [.. objects.Take(query.Limit + 1)];
        return page.Length <= query.Limit
            ? new ListPage(page, [], "") : new ListPage(page[..query.Limit], [], page[query.Limit - 1].Target.Name);
    }

    /// <inheritdoc/>
    public Task<BucketSettings?> BucketAsync(string bucket) =>
        Task.FromResult(OnFindBucket is not null ? OnFindBucket(bucket) : _buckets.GetValueOrDefault(bucket));

    /// <inheritdoc/>
    public IReadOnlyList<KeyValuePair<string, BucketSettings>> Buckets() => [.. _buckets];

    /// <inheritdoc/>
    public Task<SubmitOutcome> PutBucketAsync(string bucket, BucketSettings settings, bool replace, string key)
    {
        if (OnBucket is not null)
        {
            return Task.FromResult(OnBucket());
        }

        if (!replace && _buckets.TryGetValue(bucket, out BucketSettings? known) && known != settings)
        {
            return Task.FromResult<SubmitOutcome>(
                new SubmitOutcome.Rejected(RejectionReason.BucketExists, "The bucket exists with other settings."));
        }

        _buckets[bucket] = settings;
        return Task.FromResult<SubmitOutcome>(Accepted());
    }

    /// <inheritdoc/>
    public Task<SubmitOutcome> DeleteBucketAsync(string bucket, string key)
    {
        if (OnBucket is not null)
        {
            return Task.FromResult(OnBucket());
        }

        _buckets.Remove(bucket);
        return Task.FromResult<SubmitOutcome>(Accepted());
    }

    /// <inheritdoc/>
    public Task<SubmissionReport> ShowAsync(Tag tag) =>
        Task.FromResult(
            OnShow?.Invoke(tag) ?? new SubmissionReport(tag, SubmissionState.Accepted, [(Name, true), (NodeId.Parse("s2"), false)]));

    /// <inheritdoc/>
    public Task<SubmissionReport?> ShowAsync(string key) => Task.FromResult(OnShowKey?.Invoke(key));

    /// <inheritdoc/>
    public Task<ImmutableArray<ExplainedVersion>> ExplainAsync(ObjectName name) => Task.FromResult(Explained);

    /// <inheritdoc/>
    public ClusterStatus Status() => Cluster;

    private ObjectManifest Keep(byte[] content, string contentType, ImmutableArray<KeyValuePair<string, string>> metadata)
    {
        var manifest = new ObjectManifest
        {
            Size = content.Length, Sha256 = Digest.Of(content), ContentType = contentType, Metadata = metadata, VersionsKept = 10,
        };
        if (content.Length <= InlineBytes)
        {
            return manifest with { Inline = content };
        }

        var chunks = ImmutableArray.CreateBuilder<ChunkReference>();
        foreach (byte[] chunk in content.Chunk(1 << 20))
        {
            var id = ChunkId.Of(chunk);
            Chunks[id] = chunk;
            chunks.Add(new ChunkReference(id, (uint)chunk.Length, (uint)chunk.Length, Compression.None));
        }

        return manifest with { Form = ContentForm.Chunks, Chunks = chunks.DrainToImmutable() };
    }

    private bool IsMet(Operation operation) => Versions.TryGetValue(operation.Target, out var versions)
        ? operation.Precondition.IsMetBy(versions[0].Uid, versions[0].Manifest is not null)
        : operation.Precondition.IsMetBy(default, false);

    private SubmitOutcome.Accepted Accepted() => new(NextTag(), false) { Sequenced = new FeedOutcome(Feed.Add(), FeedVerdict.Applied) };

    private void Apply(Tag tag, Operation operation, SequenceNumber number = default)
    {
        var entry = new VersionEntry(operation.Target, tag.Uid, tag, operation.Kind, operation.Manifest) { Number = number };
        Versions.AddOrUpdate(operation.Target, [entry], (_, before) => before.Insert(0, entry));
    }
}
