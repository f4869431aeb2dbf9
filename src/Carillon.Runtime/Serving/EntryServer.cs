using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.IO.Pipelines;
using Carillon.Node;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Feeds;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Serving;

/// <summary>What the gateway talks to: each call becomes an item of the node's loop, and its answer a task.</summary>
internal sealed class EntryServer : IEntryServer, IDisposable
{
    /// <summary>Time between two tries of a bucket's creation that met a rival with other settings.</summary>
    private static readonly TimeSpan RivalWait = TimeSpan.FromMilliseconds(100);

    private readonly RealWorld _world;
    private readonly ServerNode _node;
    private readonly CatalogReaders _readers;
    private readonly ObjectUploader _uploader;
    private readonly ChunkFetcher _chunks;
    private readonly ObjectReader _content;
    private readonly CheckpointStream _checkpoints;
    private readonly ConcurrentDictionary<string, (long Version, BucketSettings Settings)> _buckets = new(StringComparer.Ordinal);
    private int _downloads;
    private int _requests;

    public EntryServer(RealWorld world, ServerNode node, ChunkBuffers buffers)
    {
        _world = world;
        _node = node;
        _readers = new CatalogReaders(node.OpenReader);
        Feed = new FeedGate(node.Feed, _readers);
        _uploader = new ObjectUploader(this, buffers, () => node.Configuration.Quorum.Size);
        _chunks = new ChunkFetcher(this, world);
        _content = new ObjectReader(_chunks.FetchAsync, buffers.Scratch);
        _checkpoints = new CheckpointStream(node.OpenReader);
    }

    public NodeId Name => _node.Self.Name;

    public IFeedGate Feed { get; }

    /// <summary>Downloads in progress.</summary>
    public int Downloads => Volatile.Read(ref _downloads);

    /// <summary>Submissions in progress.</summary>
    public int Requests => Volatile.Read(ref _requests);

    public Task<StoreOutcome> StoreAsync(
        string bucket, PipeReader body, long? length, string contentType, ImmutableArray<KeyValuePair<string, string>> metadata, Tag upload,
        CancellationToken cancellation) =>
        _uploader.StoreAsync(bucket, body, length, contentType, metadata, upload, cancellation);

    public void Abandon(Tag upload)
    {
        if (!upload.IsNone)
        {
            _world.Loop.TryPost(LoopWork.Call((node, now) => node.AbandonUpload(upload, now)));
        }
    }

    public async Task<SubmitOutcome> SubmitAsync(SubmitRequest request)
    {
        Interlocked.Increment(ref _requests);
        try
        {
            return await Ask<SubmitOutcome>((node, now, answer) => node.Submit(request, now, answer));
        }
        finally
        {
            Interlocked.Decrement(ref _requests);
        }
    }

    public async Task<ReadOutcome> ReadAsync(ObjectName name, Uid? version, Consistency consistency)
    {
        if (version is null && consistency != Consistency.Local)
        {
            return await Ask<ReadOutcome>((node, now, answer) => node.Read(name, now, answer));
        }

        await CatchUpAsync();
        if (IsBehind)
        {
            return new ReadOutcome.Unavailable(CatalogBehindException.Why);
        }

        if (version is not { } uid)
        {
            return Outcome(_readers.Read(reader => reader.Current(name)));
        }

        ReadOutcome here = Outcome(_readers.Read(reader => reader.Version(name, uid)));
        if (here is ReadOutcome.Found || consistency == Consistency.Local)
        {
            return here;
        }

        // Accepted elsewhere a moment ago, perhaps: then it is the current one, which a quorum tells.
        ReadOutcome current = await Ask<ReadOutcome>((node, now, answer) => node.Read(name, now, answer));
        return current is ReadOutcome.Unavailable || (current is ReadOutcome.Found { Uid: var newest } && newest == uid) ? current : here;
    }

    public async Task WriteContentAsync(
        ObjectManifest manifest, long offset, long length, PipeWriter output, CancellationToken cancellation)
    {
        Interlocked.Increment(ref _downloads);
        try
        {
            await _content.WriteAsync(manifest, offset, length, output, cancellation);
        }
        finally
        {
            Interlocked.Decrement(ref _downloads);
        }
    }

    public async Task<ListPage> ListAsync(ListQuery query)
    {
        await CatchUpAsync();
        return IsBehind ? throw new CatalogBehindException() : _readers.Read(reader => reader.List(query));
    }

    public async Task<BucketSettings?> BucketAsync(string bucket)
    {
        // Read before the catalog is: settings that change meanwhile are kept under a number that is over.
        long version = _node.BucketsVersion;
        if (_buckets.TryGetValue(bucket, out (long Version, BucketSettings Settings) kept) && kept.Version == version)
        {
            return kept.Settings;
        }

        if (_readers.Read(reader => reader.Bucket(bucket)) is { } applied)
        {
            if (_buckets.Count >= MaxKeptBuckets)
            {
                _buckets.Clear();
            }

            _buckets[bucket] = (version, applied);
            return applied;
        }

        (BucketSettings? settings, ReadOutcome.Unavailable? fault) = await Ask<(BucketSettings? Settings, ReadOutcome.Unavailable? Fault)>(
            (node, now, answer) => node.FindBucket(bucket, now, (s, f) => answer((s, f))));
        return fault is null ? settings : throw new TimeoutException(fault.Why);
    }

    public IReadOnlyList<KeyValuePair<string, BucketSettings>> Buckets() => _readers.Read(reader => reader.Buckets());

    public async Task<SubmitOutcome> PutBucketAsync(string bucket, BucketSettings settings, bool replace, string key)
    {
        SubmitRequest request = BucketRecords.Put(bucket, settings, replace, key);
        for (int tries = 0; ; tries++)
        {
            SubmitOutcome outcome = await SubmitAsync(request);
            if (outcome is not SubmitOutcome.Rejected { Reason: RejectionReason.BucketExists } || tries == MaxRivalTries)
            {
                return outcome;
            }

            // Refused by a record with other settings: it counts only once that record is agreed; an open rival may still fail.
            ReadOutcome record = await ReadAsync(new ObjectName(ObjectName.SystemBucket, bucket), null, Consistency.Linearizable);
            if (record is ReadOutcome.Found)
            {
                return outcome;
            }

            await Task.Delay(RivalWait * (0.5 + Random.Shared.NextDouble()));
        }
    }

    public Task<SubmitOutcome> DeleteBucketAsync(string bucket, string key) => SubmitAsync(BucketRecords.Delete(bucket, key));

    public async Task<SubmissionReport> ShowAsync(Tag tag)
    {
        await CatchUpAsync();
        return await Ask<SubmissionReport>((node, now, answer) => node.Show(tag, now, answer));
    }

    public async Task<SubmissionReport?> ShowAsync(string key)
    {
        await CatchUpAsync();
        return await Ask<SubmissionReport?>((node, now, answer) => node.Show(key, now, answer));
    }

    public async Task<ImmutableArray<ExplainedVersion>> ExplainAsync(ObjectName name)
    {
        await CatchUpAsync();
        return await Ask<ImmutableArray<ExplainedVersion>>((node, now, answer) => node.Explain(name, now, answer));
    }

    public async Task WriteCheckpointAsync(IReadOnlySet<ChunkId> known, PipeWriter output, CancellationToken cancellation)
    {
        await CatchUpAsync();
        await _checkpoints.WriteAsync(known, output, cancellation);
    }

    public async Task WriteChunkAsync(ChunkId id, PipeWriter output, CancellationToken cancellation)
    {
        ChunkBuffer stored = await _chunks.FetchAsync(id, cancellation);
        try
        {
            await output.WriteAsync(stored.Memory, cancellation);
        }
        finally
        {
            stored.Release();
        }
    }

    public ClusterStatus Status() =>
        Ask<ClusterStatus>((node, now, answer) => answer(StatusReport.Of(node, now))).GetAwaiter().GetResult();

    public ClusterConfiguration Configuration() =>
        Ask<ClusterConfiguration>((node, _, answer) => answer(node.NewestConfiguration)).GetAwaiter().GetResult();

    public Task<ClusterChangeOutcome> ChangeClusterAsync(ClusterChange change) =>
        Ask<ClusterChangeOutcome>((node, now, answer) => node.ChangeCluster(change, now, answer));

    /// <summary>Runs a call on the node's loop and gives its answer; continuations don't run on the loop.</summary>
    internal async Task<T> Ask<T>(Action<ServerNode, Moment, Action<T>> call)
    {
        var result = new TaskCompletionSource<T>(TaskCreationOptions.RunContinuationsAsynchronously);
        LoopWork work = LoopWork.Call(
            (node, now) => call(node, now, answer => result.TrySetResult(answer)), defect => result.TrySetException(defect));
        if (!_world.Loop.TryRun(work) && !await _world.Loop.PostAsync(work))
        {
            throw new OperationCanceledException("The server is stopping.");
        }

        return await result.Task;
    }

    public void Dispose()
    {
        _readers.Dispose();
        _checkpoints.Dispose();
    }

    private const int MaxRivalTries = 20;

    private const int MaxKeptBuckets = 1024;

    /// <summary>Whoever looks into the catalog sees all that this server has answered as accepted before.</summary>
    // Its catalog stands, and what came since is not in it.
    private bool IsBehind => _node.IsCatalogStanding && !_node.IsCaughtUp;

    public Task CatchUpAsync() => _node.IsCaughtUp
        ? Task.CompletedTask
        : Ask<bool>((node, now, answer) => node.CatchUp(now, () => answer(true)));

    private static ReadOutcome Outcome(VersionEntry? entry) => entry switch
    {
        null => new ReadOutcome.Absent(default),
        { Manifest: { } manifest } => new ReadOutcome.Found(entry.Uid, entry.Tag, manifest) { Number = entry.Number },
        _ => new ReadOutcome.Absent(entry.Uid) { Number = entry.Number },
    };
}
