using System.Collections.Immutable;
using Carillon.Node;
using Carillon.Node.Identity;
using Carillon.Node.Requests;
using Carillon.Node.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Workloads;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;

namespace Carillon.Simulator.World;

/// <summary>The node that ships, as the simulator drives it: every call goes straight through.</summary>
internal sealed class NodeAdapter(ServerNode node) : INodeUnderTest, IDisposable
{
    public ServerIdentity Self => node.Self;

    public Instant NextDeadline => node.NextDeadline;

    public Timestamp RemembersSince => node.OutcomesSince;

    public bool Votes => node.MayVote;

    public string NotVotingBecause => node.NotVotingBecause;

    public ulong DurableRecords => node.DurableRecords;

    public bool IsUploading(Tag upload) => node.Exchange.IsUploading(upload);

    public bool HasYesBit(Tag tag) => node.Exchange.HasYesBit(tag);

    public TagState StateOf(Tag tag) => node.Exchange.StateOf(tag);

    public IEnumerable<Tag> OpenTags => node.Exchange.OpenTagList();

    public IEnumerable<ChunkId> StoredChunks => node.Chunks.From(default, node.Chunks.Count);

    public bool IsChunkBad(ChunkId chunk) =>
        node.Chunks.TryLocate(chunk, out ChunkLocation location)
        && node.Chunks.Read(location, new byte[location.Length]) is not (ChunkRead.Ok or ChunkRead.Gone);

    public int OpenSubmissions => node.Exchange.OpenTags;

    public void Settle(Moment now) => node.Settle(now);

    public void Advance(Moment now) => node.Advance(now);

    public void TunnelUp(ServerIdentity peer, Moment now) => node.TunnelUp(peer, now);

    public void TunnelDown(ServerIdentity peer, Moment now) => node.TunnelDown(peer, now);

    public void Receive(ServerIdentity from, TrafficKind kind, ReadOnlySpan<byte> message, Moment now) =>
        node.Receive(from, kind, message, now);

    public void ReceiveDatagram(ServerIdentity from, ReadOnlySpan<byte> message, Moment now) => node.ReceiveDatagram(from, message, now);

    // As in the runtime's pool: once nobody uses it any more, it holds something else.
    private static ChunkBuffer Own(ReadOnlyMemory<byte> bytes)
    {
        byte[] own = bytes.ToArray();
        return new ChunkBuffer(own, _ => Array.Fill(own, (byte)0xDD));
    }

    public void ReceiveChunk(ServerIdentity from, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body, Moment now)
    {
        // As the runtime does: nothing reaches the node that is not what its header says.
        if (ChunkTransfer.TryRead(header.Span, out ChunkTransfer transfer) && transfer.Verify(body.Span))
        {
            node.ChunkArrived(from, header, Own(body), now);
        }
        else
        {
            node.ChunkRefused(from, header, now);
        }
    }

    public void Complete(StorageWork work, StorageException? failure, Moment now) => node.Complete(work, failure, now);

    public void Submit(
        ImmutableArray<Operation> operations, string key, Tag upload, Moment now, Action<SubmitOutcome> done,
        AckWanted ack = AckWanted.Sequenced) =>
        node.Submit(new SubmitRequest(operations, key, upload) { Ack = ack }, now, done);

    public SequenceNumber FeedApplied => node.Reader.AppliedNumber;

    public SequenceNumber FeedCollected => node.Reader.Collected;

    public bool TryFindNumber(SequenceNumber number, out Assignment value, out Submission? submission)
    {
        submission = null;
        if (!node.Reader.TryFindNumber(number, out value, out byte[]? record))
        {
            return false;
        }

        submission = record is not null && Submission.TryRead(record, out Submission read) ? read : null;
        return true;
    }

    public bool IsWithoutEffect(Tag tag) => node.Reader.Sequenced(tag) is { Verdict: not FeedVerdict.None, IsInEffect: false };

    public string DescribeFeed() => node.DescribeFeed();

    public Digest ContentDigest() => node.Reader.ContentDigest();

    public void SubmitFenced(ImmutableArray<Operation> operations, string key, Fence fence, Moment now, Action<SubmitOutcome> done) =>
        node.Submit(new SubmitRequest(operations, key, default, fence), now, done);

    public ImmutableSortedDictionary<GroupName, GroupFeed> Groups => node.Groups;

    public string GroupsTrouble => node.GroupsTrouble;

    public string DescribeGroup(GroupName group) => node.DescribeGroup(group);

    public void Publish(
        GroupName group, MessageId id, ulong settled, ReadOnlyMemory<byte> payload, Moment now,
        Action<PublishEnd, SequenceNumber, string> done) =>
        node.Publish(group, id, settled, null, payload, new PublishAnswerTo(done), now);

    public void NoteService(ServiceNews news, Moment now) => node.NoteService(news, now);

    public void AskManager(ServiceRequest request, Moment now, Action<ServiceAnswer> done) => node.AskManager(request, now, done);

    public (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName service) => node.PrimaryOf(service);

    public bool HasQuorum => node.Members.HasQuorum;

    public Instant KeptFor(ServiceName service, NodeId holder) => node.Selection.Voter.KeptFor(service, holder);

    public void RecordStop(Moment now) => node.RecordStop(now);

    public Epoch FenceOf(ServiceName service) => node.Selection.Voter.FenceOf(service);

    public void StoreContent(string bucket, ImmutableArray<ReadOnlyMemory<byte>> chunks, Moment now, Action<StoredContent> done) =>
        node.BeginUpload(now, (tag, reason) =>
        {
            if (tag is { } upload)
            {
                PutChunks(upload, chunks, now, done);
            }
            else
            {
                done(new StoredContent(default, [], reason));
            }
        });

    public void Read(ObjectName name, Moment now, Action<ReadOutcome> done) => node.Read(name, now, done);

    public ListPage List(ListQuery query) => node.Reader.List(query);

    public void CatchUp(Moment now, Action then) => node.CatchUp(now, then);

    public void Show(Tag tag, Moment now, Action<SubmissionReport> done) => node.Show(tag, now, done);

    public void Show(string key, Moment now, Action<SubmissionReport?> done) => node.Show(key, now, done);

    public (long ByNumber, long LeftToQuorum) Reads => (node.ReadsByNumber, node.ReadsLeftToQuorum);

    public void CreateBucket(
        string bucket, BucketSettings settings, string key, Moment now, Action<SubmitOutcome> done, bool replace = false)
    {
        byte[] content = settings.Write();
        var manifest = new ObjectManifest
        {
            Size = content.Length, Sha256 = Digest.Of(content), Inline = content,
            Metadata = replace ? [new(BucketRecordKeys.Replace, "true")] : [],
        };
        Submit([new Operation(OperationKind.Put, new ObjectName(ObjectName.SystemBucket, bucket), manifest)], key, default, now, done);
    }

    public void RemoveBucket(string bucket, string key, Moment now, Action<SubmitOutcome> done) =>
        Submit([new Operation(OperationKind.Delete, new ObjectName(ObjectName.SystemBucket, bucket), null)], key, default, now, done);

    public byte[]? ReadChunk(ChunkId chunk, Moment now)
    {
        if (!node.Chunks.TryLocate(chunk, out ChunkLocation location))
        {
            return null;
        }

        byte[] bytes = new byte[location.Length];
        ChunkRead read = node.Chunks.Read(location, bytes);
        if (read == ChunkRead.Corrupt)
        {
            node.ChunkDamaged(location, now);
        }

        return read == ChunkRead.Ok ? bytes : null;
    }

    public void ReadChunk(ChunkId chunk, Action<ReadOnlyMemory<byte>> then, Moment now) =>
        node.ChunkWasRead(ReadChunk(chunk, now), then, now);

    public void ScrubChunk(ChunkId chunk, Moment now)
    {
        if (ReadChunk(chunk, now) is not null)
        {
            node.ChunkScrubbed(chunk, now);
        }
    }

    public void FetchChunk(ChunkId chunk, Moment now, Action<byte[]?> done) => node.FindChunk(chunk, now, found =>
    {
        done(found.Location is not null ? ReadChunk(chunk, now) : found.Fetched?.Memory.ToArray());
        found.Fetched?.Release();
    });

    public bool HasFailedChunkStore => node.Chunks.Health is ChunkStoreHealth.Failed;

    public bool HasChunk(ChunkId chunk) => node.Chunks.Contains(chunk);

    public bool HasBucket(string bucket) => node.Reader.Bucket(bucket) is not null;

    public FrozenRanks RanksFrozen(ServiceName service) =>
        node.Selection.SelectionOf(service) is { } selection ? new FrozenRanks(selection, selection.TimesFrozen) : default;

    public ulong ConfigurationVersion => node.Configuration.Version;

    public bool IsVersionClosed => node.IsClosed;

    public ClusterConfiguration Configuration => node.Configuration;

    public void ChangeCluster(ClusterChange change, Moment now, Action<ClusterChangeOutcome> answer) =>
        node.ChangeCluster(change, now, answer);

    public void RenewConfiguration(Moment now) => node.ChangeCluster(new ClusterChange(ClusterChangeKind.Renew, null), now, _ => { });

    public string DescribeOpen() => string.Join("; ", node.Exchange.DescribeOpen().Take(5));

    public MergeDigest CatalogDigest() => node.Reader.DigestOf(MergeRange.Root);

    public IEnumerable<Tag> KeptTags() => node.Reader.ItemsIn(MergeRange.Root, default, int.MaxValue)
        .Where(item => item.Outcome == TagOutcome.Accepted).Select(item => item.Tag);

    public bool Keeps(Tag tag) => node.Reader.Submission(tag) is not null;

    public Instant? MergedWith(NodeId peer) => node.MergedWith(peer);

    public void Dispose() => node.Dispose();

    private void PutChunks(Tag upload, ImmutableArray<ReadOnlyMemory<byte>> chunks, Moment now, Action<StoredContent> done)
    {
        int minimum = node.Configuration.Quorum.Size;
        int waiting = chunks.Length;
        RejectionReason? refusal = null;
        var references = ImmutableArray.CreateBuilder<ChunkReference>(chunks.Length);
        foreach (ReadOnlyMemory<byte> chunk in chunks)
        {
            references.Add(new ChunkReference(ChunkId.Of(chunk.Span), (uint)chunk.Length, (uint)chunk.Length, Compression.None));
        }

        ImmutableArray<ChunkReference> all = references.DrainToImmutable();
        for (int i = 0; i < chunks.Length; i++)
        {
            node.PutChunk(upload, all[i].Id, Own(chunks[i]), Workload.Replicas, minimum, now, outcome =>
            {
                refusal ??= outcome.Reason;
                if (--waiting > 0)
                {
                    return;
                }

                if (refusal is not null)
                {
                    node.AbandonUpload(upload, now);
                }

                done(new StoredContent(upload, all, refusal));
            });
        }
    }
}

/// <summary>A client that waits for a message's number.</summary>
internal sealed class PublishAnswerTo(Action<PublishEnd, SequenceNumber, string> done) : IPublishCall
{
    void IPublishCall.Ended(PublishEnd end, SequenceNumber number, string why) => done(end, number, why);
}

/// <summary>Starts the node that ships, with the run's options.</summary>
internal sealed class NodeFactory(NodeOptions options, ClusterConfiguration configuration) : INodeFactory
{
    private readonly SortedDictionary<NodeId, ClusterConfiguration> _joined = [];

    /// <inheritdoc/>
    public ClusterConfiguration Configuration => configuration;

    /// <summary>From now on a server starts as one that joins under a version, on an empty disk.</summary>
    public void Join(NodeId server, ClusterConfiguration version) => _joined[server] = version;

    /// <inheritdoc/>
    public INodeUnderTest Start(NodeStart start, IWorld world)
    {
        Catalog catalog = Catalog.Open(CatalogLocation.InMemory(start.Catalog), options.Catalog);
        try
        {
            var stores = new NodeStores(start.Disk, catalog, IsCatalogLost: false);
            bool isJoined = _joined.TryGetValue(start.Self, out ClusterConfiguration? version);
            NodeOptions own = isJoined ? options with { Joins = true } : options;
            return new NodeAdapter(
                new ServerNode(own, version ?? configuration, start.Self, stores, world, start.Random, start.Now));
        }
        catch (WrongDiskException refusal)
        {
            catalog.Dispose();
            throw new NodeRefusedException(refusal.Message, refusal);
        }
        catch
        {
            catalog.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public IDurableImage OpenDurable(NodeId self, SimulatedDisk disk, CatalogMemory catalog) =>
        new DurableImage(options, (_joined.GetValueOrDefault(self) ?? configuration).Find(self)!.Disk, disk, catalog);
}
