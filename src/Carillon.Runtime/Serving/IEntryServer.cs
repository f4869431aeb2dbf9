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

/// <summary>How fresh a read is.</summary>
public enum Consistency
{
    /// <summary>A quorum is asked.</summary>
    Linearizable,

    /// <summary>What this server has applied.</summary>
    Local,
}

/// <summary>The end of storing a body: a manifest to submit, or why there is none.</summary>
public abstract record StoreOutcome
{
    private StoreOutcome()
    {
    }

    /// <summary>Every chunk is acknowledged by the bucket's <c>minimum</c> of servers.</summary>
    /// <param name="Manifest">What to put into the operation.</param>
    /// <param name="Upload">The tag that the chunks' put-intents name: the upload that was joined or opened; none where the content is
    /// inline and none was joined.</param>
    public sealed record Stored(ObjectManifest Manifest, Tag Upload) : StoreOutcome;

    /// <summary>The chunks could not be stored; nothing will be kept of them.</summary>
    public sealed record Refused(RejectionReason Reason, string Detail) : StoreOutcome;
}

/// <summary>Everything that the gateway asks of the server that it belongs to. All members may be called from any thread.</summary>
public interface IEntryServer
{
    /// <summary>This server's name.</summary>
    NodeId Name { get; }

    /// <summary>The catalog's feed.</summary>
    IFeedGate Feed { get; }

    /// <summary>
    /// Reads a body to its end: hashed as it comes, kept inline if small, else cut into chunks that are stored and replicated while the
    /// rest still arrives. Memory in use does not grow with the body. If the caller gives up, or the body's reader throws, the whole upload
    /// is abandoned and its chunks are collected. The reader is not completed here.
    /// </summary>
    /// <param name="bucket">The bucket, whose settings decide about chunks.</param>
    /// <param name="body">The content, to its end.</param>
    /// <param name="length">Its length if the sender said it.</param>
    /// <param name="contentType">Media type, or empty.</param>
    /// <param name="metadata">In ordinal order of the keys, each once.</param>
    /// <param name="upload">The upload to join (<see cref="StoreOutcome.Stored.Upload"/> of a changeset's earlier file), or none to open
    /// one where needed.</param>
    /// <param name="cancellation">The caller gave up.</param>
    /// <exception cref="OperationCanceledException">The caller gave up.</exception>
    Task<StoreOutcome> StoreAsync(
        string bucket, PipeReader body, long? length, string contentType, ImmutableArray<KeyValuePair<string, string>> metadata, Tag upload,
        CancellationToken cancellation);

    /// <summary>What was stored under this upload will not be submitted: its chunks may be collected. Nothing for none.</summary>
    void Abandon(Tag upload);

    /// <summary>Runs a submission to its outcome.</summary>
    Task<SubmitOutcome> SubmitAsync(SubmitRequest request);

    /// <summary>Finds a name's current version, or the one asked for.</summary>
    Task<ReadOutcome> ReadAsync(ObjectName name, Uid? version, Consistency consistency);

    /// <summary>
    /// Writes a run of an object's bytes: from this server's chunks, or from another's where this one has none or a damaged one.
    /// The writer is not completed here.
    /// </summary>
    /// <exception cref="ContentUnavailableException">No server that can be reached has a good copy of some chunk.</exception>
    Task WriteContentAsync(ObjectManifest manifest, long offset, long length, PipeWriter output, CancellationToken cancellation);

    /// <summary>Waits until the catalog has all that came here before.</summary>
    Task CatchUpAsync();

    /// <summary>One page of a listing: what this server knows as agreed.</summary>
    /// <exception cref="CatalogBehindException">The catalog has failed.</exception>
    Task<ListPage> ListAsync(ListQuery query);

    /// <summary>A bucket's settings: as applied here, else asked of a quorum; null if there is no such bucket.</summary>
    /// <exception cref="TimeoutException">No quorum answered.</exception>
    Task<BucketSettings?> BucketAsync(string bucket);

    /// <summary>All buckets that this server has applied, in order of their names.</summary>
    IReadOnlyList<KeyValuePair<string, BucketSettings>> Buckets();

    /// <summary>Creates a bucket or changes its settings (<paramref name="replace"/>); waits out rivals with other settings.</summary>
    Task<SubmitOutcome> PutBucketAsync(string bucket, BucketSettings settings, bool replace, string key);

    /// <summary>Removes an empty bucket.</summary>
    Task<SubmitOutcome> DeleteBucketAsync(string bucket, string key);

    /// <summary>A submission's outcome by id; resolves it where its accepting server is down.</summary>
    Task<SubmissionReport> ShowAsync(Tag tag);

    /// <summary>A key's outcome; fences the key where nobody holds a submission of it. Null if no quorum answered.</summary>
    Task<SubmissionReport?> ShowAsync(string key);

    /// <summary>Everything known about a name: versions, open submissions, vectors, chunk holders.</summary>
    Task<ImmutableArray<ExplainedVersion>> ExplainAsync(ObjectName name);

    /// <summary>
    /// Writes a checkpoint of the catalog for a backup: what this server has applied at one moment, everything that it answered as
    /// accepted before included. Blocks come first, then the list (docs/formats/http.md). One at a time; the next one waits. The writer is
    /// not completed here.
    /// </summary>
    /// <param name="known">Blocks that the asker has already; they are named in the list only.</param>
    /// <param name="output">Where it goes.</param>
    /// <param name="cancellation">The asker gave up.</param>
    Task WriteCheckpointAsync(IReadOnlySet<ChunkId> known, PipeWriter output, CancellationToken cancellation);

    /// <summary>Writes the stored bytes of one chunk, verified: this server's copy or another one's. The writer is not completed here.
    /// </summary>
    /// <exception cref="ContentUnavailableException">No server that can be reached has a good copy.</exception>
    Task WriteChunkAsync(ChunkId id, PipeWriter output, CancellationToken cancellation);

    /// <summary>This server's picture of the cluster.</summary>
    ClusterStatus Status();

    /// <summary>The version of the configuration that is in force here.</summary>
    ClusterConfiguration Configuration();

    /// <summary>Changes one server of the configuration; ends once the next version is in force here, or with the reason why not.</summary>
    Task<ClusterChangeOutcome> ChangeClusterAsync(ClusterChange change);
}

/// <summary>No good copy of some chunk can be had now.</summary>
public sealed class ContentUnavailableException : Exception
{
    public ContentUnavailableException()
    {
    }

    public ContentUnavailableException(string message) : base(message)
    {
    }

    public ContentUnavailableException(string message, Exception inner) : base(message, inner)
    {
    }
}
