using System.Collections.Immutable;
using Carillon.Node;
using Carillon.Node.Groups;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Simulator.World;

/// <summary>The end of storing a body's chunks at a server.</summary>
/// <param name="Upload">The tag under which they are kept until the submission names them.</param>
/// <param name="Chunks">What the manifest lists; empty where refused.</param>
/// <param name="Refusal">Why not, or null.</param>
internal readonly record struct StoredContent(Tag Upload, ImmutableArray<ChunkReference> Chunks, RejectionReason? Refusal);

/// <summary>
/// The inputs of one server as the simulator drives them: those of <see cref="ServerNode"/>, plus what the checkers look at. The shipping
/// node stands behind it (<see cref="NodeAdapter"/>), or a stand-in in tests of the simulator itself.
/// </summary>
internal interface INodeUnderTest
{
    /// <summary>Name, disk and incarnation, as its disk has them.</summary>
    ServerIdentity Self { get; }

    /// <summary>When it wants <see cref="Advance"/>, on its own monotonic clock.</summary>
    Instant NextDeadline { get; }

    void Advance(Moment now);

    /// <summary>After each batch of inputs: work and messages leave.</summary>
    void Settle(Moment now);

    void TunnelUp(ServerIdentity peer, Moment now);

    void TunnelDown(ServerIdentity peer, Moment now);

    void Receive(ServerIdentity from, TrafficKind kind, ReadOnlySpan<byte> message, Moment now);

    void ReceiveDatagram(ServerIdentity from, ReadOnlySpan<byte> message, Moment now);

    void ReceiveChunk(ServerIdentity from, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body, Moment now);

    void Complete(StorageWork work, StorageException? failure, Moment now);

    void Submit(
        ImmutableArray<Operation> operations, string key, Tag upload, Moment now, Action<SubmitOutcome> done,
        AckWanted ack = AckWanted.Sequenced);

    /// <summary>The greatest number of the catalog's feed that is applied.</summary>
    SequenceNumber FeedApplied { get; }

    /// <summary>Numbers up to this are not kept any more.</summary>
    SequenceNumber FeedCollected { get; }

    /// <summary>What stands at a number that is applied and kept; false where it is not.</summary>
    bool TryFindNumber(SequenceNumber number, out Assignment value, out Submission? submission);

    /// <summary>True if the feed was there with a tag, and its operations have no effect.</summary>
    bool IsWithoutEffect(Tag tag);

    /// <summary>How the feed is there, for messages.</summary>
    string DescribeFeed();

    /// <summary>A digest of all that its catalog says.</summary>
    Digest ContentDigest();

    /// <summary>A primary's effect.</summary>
    void SubmitFenced(ImmutableArray<Operation> operations, string key, Fence fence, Moment now, Action<SubmitOutcome> done);

    /// <summary>The groups that are there.</summary>
    ImmutableSortedDictionary<GroupName, GroupFeed> Groups { get; }

    /// <summary>Why it votes in no group, or not in some; empty where nothing is wrong.</summary>
    string GroupsTrouble { get; }

    /// <summary>How a group is there, for messages.</summary>
    string DescribeGroup(GroupName group);

    /// <summary>A client's message to a group.</summary>
    void Publish(
        GroupName group, MessageId id, ulong settled, ReadOnlyMemory<byte> payload, Moment now,
        Action<PublishEnd, SequenceNumber, string> done);

    /// <summary>News of a service's provider.</summary>
    void NoteService(ServiceNews news, Moment now);

    /// <summary>A user's request to the replica manager.</summary>
    void AskManager(ServiceRequest request, Moment now, Action<ServiceAnswer> done);

    /// <summary>Who is primary of a service, as far as it knows.</summary>
    (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName service);

    /// <summary>True if it has two-way contact with a quorum.</summary>
    bool HasQuorum { get; }

    /// <summary>Until when, by its monotonic clock, its voter gives its bit for a service to no other node than this one.</summary>
    Instant KeptFor(ServiceName service, NodeId node);

    /// <summary>The last step of an orderly stop: which leases were given is written down.</summary>
    void RecordStop(Moment now);

    /// <summary>The greatest epoch of a service that its voter knows of.</summary>
    Epoch FenceOf(ServiceName service);

    void StoreContent(string bucket, ImmutableArray<ReadOnlyMemory<byte>> chunks, Moment now, Action<StoredContent> done);

    void Read(ObjectName name, Moment now, Action<ReadOutcome> done);

    ListPage List(ListQuery query);

    /// <summary>Calls back once all that is agreed there is in its catalog.</summary>
    void CatchUp(Moment now, Action then);

    void Show(Tag tag, Moment now, Action<SubmissionReport> done);

    void Show(string key, Moment now, Action<SubmissionReport?> done);

    /// <summary>Linearizable reads that were answered at the sequencer's number, and those that a quorum answered instead.</summary>
    (long ByNumber, long LeftToQuorum) Reads { get; }

    void CreateBucket(
        string bucket, BucketSettings settings, string key, Moment now, Action<SubmitOutcome> done, bool replace = false);

    void RemoveBucket(string bucket, string key, Moment now, Action<SubmitOutcome> done);

    /// <summary>Reads a chunk's stored bytes here; null if it is not here, or does not match its name, which the node is told.</summary>
    byte[]? ReadChunk(ChunkId chunk, Moment now);

    /// <summary>The same for the node itself, which asked for it.</summary>
    void ReadChunk(ChunkId chunk, Action<ReadOnlyMemory<byte>> then, Moment now);

    /// <summary>Reads a chunk back and tells the node how it was.</summary>
    void ScrubChunk(ChunkId chunk, Moment now);

    /// <summary>Gets a chunk, from here or from another server; null if none has it that can be reached.</summary>
    void FetchChunk(ChunkId chunk, Moment now, Action<byte[]?> done);

    /// <summary>True if the chunk store met a failing flush: it stores nothing until it is opened again.</summary>
    bool HasFailedChunkStore { get; }

    /// <summary>True if the chunk is on its disk.</summary>
    bool HasChunk(ChunkId chunk);

    /// <summary>True if its catalog has this bucket.</summary>
    bool HasBucket(string bucket);

    /// <summary>Outcomes of all decided submissions with this stamp or a later one are remembered; older keys may be forgotten.</summary>
    Timestamp RemembersSince { get; }

    /// <summary>True if it takes part in agreement.</summary>
    bool Votes { get; }

    /// <summary>The version of the configuration that is in force there.</summary>
    ulong ConfigurationVersion { get; }

    /// <summary>True if it has closed the version in force, and sets no bits under it.</summary>
    bool IsVersionClosed { get; }

    /// <summary>The configuration that is in force there.</summary>
    ClusterConfiguration Configuration { get; }

    /// <summary>Begins another version, of the same servers.</summary>
    void RenewConfiguration(Moment now);

    /// <summary>Changes one server of the configuration.</summary>
    void ChangeCluster(ClusterChange change, Moment now, Action<ClusterChangeOutcome> answer);

    /// <summary>Why it takes no part in agreement, or empty.</summary>
    string NotVotingBecause { get; }

    /// <summary>Records of its log that are durable; after a start, all that it read back.</summary>
    ulong DurableRecords { get; }

    /// <summary>True if the upload was begun in this life, and is not over.</summary>
    bool IsUploading(Tag upload);

    /// <summary>True if a tag is open there, and its greatest own bit for it is a yes.</summary>
    bool HasYesBit(Tag tag);

    /// <summary>What it knows of a tag by itself.</summary>
    TagState StateOf(Tag tag);

    /// <summary>The tags that are not decided, as far as it knows.</summary>
    IEnumerable<Tag> OpenTags { get; }

    /// <summary>The chunks that it says it has.</summary>
    IEnumerable<ChunkId> StoredChunks { get; }

    /// <summary>True if a chunk that it has can't be read, or is not what its name says; the node is told nothing.</summary>
    bool IsChunkBad(ChunkId chunk);

    /// <summary>Submissions that are not decided, as far as it knows.</summary>
    int OpenSubmissions { get; }

    /// <summary>The submissions of a name that are not decided, as far as it knows, for messages.</summary>
    string DescribeOpen();

    /// <summary>What the node knows of the ranks that it told for a service.</summary>
    FrozenRanks RanksFrozen(ServiceName service);

    /// <summary>A digest of the tags of all versions that its catalog keeps, and of those that it remembers as rejected.</summary>
    MergeDigest CatalogDigest();

    /// <summary>The accepted tags of which its catalog keeps a version or tombstone.</summary>
    IEnumerable<Tag> KeptTags();

    /// <summary>True if its catalog keeps a version or tombstone of this tag.</summary>
    bool Keeps(Tag tag);

    /// <summary>When its last index merge with a peer began that came to an end in this life; null if none did.</summary>
    Instant? MergedWith(NodeId peer);
}

/// <summary>What a node is started with.</summary>
/// <param name="Self">Its name.</param>
/// <param name="Disk">Its log and chunks.</param>
/// <param name="Catalog">Its catalog's disk.</param>
/// <param name="Random">Its randomness.</param>
/// <param name="Now">The time.</param>
internal readonly record struct NodeStart(NodeId Self, SimulatedDisk Disk, CatalogMemory Catalog, RandomSource Random, Moment Now);

/// <summary>Starts nodes, the same way each time within one run.</summary>
internal interface INodeFactory
{
    /// <summary>The cluster that they are nodes of.</summary>
    ClusterConfiguration Configuration { get; }

    /// <summary>Opens the stores, recovers, and joins the world.</summary>
    /// <exception cref="StorageException">The disk does not let it; it may be tried again.</exception>
    /// <exception cref="NodeRefusedException">The disk's content does not let it.</exception>
    INodeUnderTest Start(NodeStart start, IWorld world);

    /// <summary>Opens what a power cut at this instant would leave of a server's disks for certain, to be looked at.</summary>
    IDurableImage OpenDurable(NodeId self, SimulatedDisk disk, CatalogMemory catalog);
}

/// <summary>A server's stores as they would be found after a power cut.</summary>
internal interface IDurableImage : IDisposable
{
    /// <summary>True if its log can be relied upon.</summary>
    bool IsLogWhole { get; }

    /// <summary>True if the submission of this tag is there, or its tag is known as accepted.</summary>
    bool Holds(Tag tag);

    /// <summary>True if the tag is known as accepted or rejected.</summary>
    bool KnowsOutcome(Tag tag);

    /// <summary>Outcomes of tags with this stamp or a later one are all kept.</summary>
    Timestamp OutcomesSince { get; }

    /// <summary>True if the own bit of this round, or of a later one, is there.</summary>
    bool HasBit(Tag tag, uint round);

    /// <summary>True if a promise of this round, or of a later one, is there.</summary>
    bool HasPromised(Tag tag, uint round);

    /// <summary>True if some key is fenced.</summary>
    bool HasAnyFence { get; }

    /// <summary>The greatest epoch of a service that is promised there, and to which life of which node; default if none is.</summary>
    (Epoch Epoch, NodeId Node, Incarnation Incarnation) PromiseOf(ServiceName service);

    /// <summary>Stamps up to this one are reserved.</summary>
    Timestamp ReservedStamps { get; }

    /// <summary>True if the chunk is there and matches its name.</summary>
    bool Holds(ChunkId chunk);
}

/// <summary>A server says that it can't start from what its disk holds, and why: not a crash, and no use to try again.</summary>
internal sealed class NodeRefusedException : Exception
{
    public NodeRefusedException()
    {
    }

    public NodeRefusedException(string message) : base(message)
    {
    }

    public NodeRefusedException(string message, Exception inner) : base(message, inner)
    {
    }
}
