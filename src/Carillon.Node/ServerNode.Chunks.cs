using System.Collections.Immutable;
using Carillon.Node.Requests;
using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage;
using Carillon.Storage.Chunks;

namespace Carillon.Node;

/// <content>Chunks: the store's batches, transfers in and out, and what agreement means for put-intents.</content>
public sealed partial class ServerNode
{
    private readonly Dictionary<ulong, ChunkBuffer> _putBuffers = [];
    private readonly Dictionary<ulong, Action<ChunkBuffer>> _fetching = [];
    private readonly Queue<(ChunkTicket Ticket, Action<bool> Then)> _awaitingChunks = new();
    private readonly HashSet<Tag> _resolvingIntents = [];
    private bool _chunksBusy;
    private bool _compacting;

    /// <summary>Copies that are not known to be in their place.</summary>
    public long UnderReplicatedChunks => Replication.UnderReplicated;

    /// <summary>Where chunks go, and how they stay there.</summary>
    public ChunkReplication Replication { get; private set; } = null!;

    /// <summary>Collection waits for a recent merge with a quorum; and while what a list names is not in the catalog yet.</summary>
    internal bool MayCollect => MergedRecently && Reader.NextUnreadList() is null;

    private Instant ChunksDeadline => Replication.NextDeadline;

    /// <summary>Puts a chunk under an upload's tag; the buffer is the node's from here on.</summary>
    public void PutChunk(Tag tag, ChunkId chunk, ChunkBuffer stored, int replicas, int minimum, Moment now, Action<ChunkPutOutcome> answer)
    {
        _now = now;
        ulong put = Replication.Put(
            chunk, (uint)stored.Memory.Length, tag, replicas, minimum, now, result => answer(OutcomeOf(result, minimum)));
        _putBuffers.Add(put, stored);
        Replication.StartPut(put, now);
    }

    /// <summary>Finds a chunk: on this disk, else from a server that has it.</summary>
    public void FindChunk(ChunkId chunk, Moment now, Action<ChunkFound> answer)
    {
        _now = now;
        if (Chunks.TryLocate(chunk, out ChunkLocation location))
        {
            answer(new ChunkFound(location, null));
            return;
        }

        ChunkBuffer? arrived = null;
        bool hasEnded = false;
        ulong number = 0;
        number = Replication.Get(chunk, 0, default, now, came =>
        {
            hasEnded = true;
            _fetching.Remove(number);
            answer(new ChunkFound(null, came ? arrived : null));
        });
        if (!hasEnded)
        {
            _fetching.Add(number, buffer => arrived = buffer.Retain());
        }
    }

    /// <summary>A chunk came on the bulk stream; length and hash are verified. The buffer is the node's from here on.</summary>
    public void ChunkArrived(ServerIdentity from, ReadOnlyMemory<byte> header, ChunkBuffer body, Moment now)
    {
        _now = now;
        if (!ChunkTransfer.TryRead(header.Span, out ChunkTransfer transfer))
        {
            body.Release();
            return;
        }

        if (transfer.Purpose == TransferPurpose.Put)
        {
            StoreFor(from.Name, transfer, body);
            return;
        }

        Action<ChunkBuffer>? take = null;
        bool isRead = Replication.Awaits(transfer.Transfer, transfer.Chunk) && _fetching.TryGetValue(transfer.Transfer, out take);
        take?.Invoke(body);

        if (ShouldHold(transfer.Chunk, transfer.Replicas) && !Chunks.Contains(transfer.Chunk)
            && Chunks.TryAppend(transfer.Chunk, body.Memory, default, out ChunkTicket ticket, transfer.Replicas))
        {
            body.Retain();
            ulong number = transfer.Transfer;
            if (isRead)
            {
                Replication.Arrived(number, transfer.Chunk);
            }

            WhenStored(ticket, stored =>
            {
                body.Release();
                if (!isRead)
                {
                    Replication.Arrived(number, transfer.Chunk);
                }
            });
        }
        else
        {
            Replication.Arrived(transfer.Transfer, transfer.Chunk);
        }

        body.Release();
    }

    /// <summary>Bytes came that were not those that the header speaks of.</summary>
    public void ChunkRefused(ServerIdentity from, ReadOnlyMemory<byte> header, Moment now)
    {
        _now = now;
        Sometimes.Reached("chunk-damaged-on-its-way");
        Tell(NodeEventKind.ChunkDamaged, from.Name, "a transfer's bytes were not the chunk's; it is asked for again");
        if (!ChunkTransfer.TryRead(header.Span, out ChunkTransfer transfer))
        {
            return;
        }

        if (transfer.Purpose == TransferPurpose.Put)
        {
            Answer(from.Name, new ChunkMessage(ChunkMessageType.PayloadNak, transfer.Transfer) { Reason = NakReason.Corrupt });
        }
        else
        {
            Replication.ArrivedDamaged(transfer.Transfer, now);
        }
    }

    /// <summary>A copy on this disk is not what its name says: it is dropped, and healed from another server.</summary>
    public void ChunkDamaged(ChunkLocation location, Moment now)
    {
        _now = now;
        Sometimes.Reached("chunk-damaged-on-disk");
        Tell(NodeEventKind.ChunkDamaged, Self.Name, $"chunk {location.Id} is damaged on this disk; a good copy is fetched");
        Chunks.DropDamaged(location);
        Replication.Scrubbed(location.Id, isGood: false, now);
    }

    /// <summary>A stored chunk that a peer asked for could not be sent after all: it need not wait for it any longer.</summary>
    public void ChunkNotSent(NodeId peer, ReadOnlySpan<byte> header, Moment now)
    {
        _now = now;
        if (ChunkTransfer.TryRead(header, out ChunkTransfer transfer) && transfer.Purpose == TransferPurpose.Get)
        {
            Answer(peer, new ChunkMessage(ChunkMessageType.NotHere, transfer.Transfer));
        }
    }

    /// <summary>A scrub read a chunk and found it good.</summary>
    public void ChunkScrubbed(ChunkId chunk, Moment now)
    {
        _now = now;
        Replication.Scrubbed(chunk, isGood: true, now);
    }

    /// <summary>What <see cref="IWorld.Read"/> was asked for is here.</summary>
    public void ChunkWasRead(ReadOnlyMemory<byte> bytes, Action<ReadOnlyMemory<byte>> then, Moment now)
    {
        _now = now;
        then(bytes);
    }

    internal ChunkBuffer? BufferOf(ulong put) => _putBuffers.GetValueOrDefault(put);

    internal void ReleasePut(ulong put)
    {
        if (_putBuffers.Remove(put, out ChunkBuffer? buffer))
        {
            buffer.Release();
        }
    }

    internal void StorePutHere(ulong put)
    {
        // The put's own numbers are in the replication core; what the store needs comes back with the call.
        if (!Replication.TryDescribePut(put, out ChunkTransfer transfer) || _putBuffers.GetValueOrDefault(put) is not { } buffer)
        {
            return;
        }

        Store(transfer, buffer.Retain(), refusal => Later(() => Replication.StoredHere(put, refusal, _now)));
    }

    internal bool IsReferenced(ChunkId chunk) => Reader.IsReferenced(chunk) || Exchange.Refers(chunk);

    /// <summary>Put-intents whose lease is over: their submissions' outcomes are asked for, a few at a time.</summary>
    internal void ResolveIntents()
    {
        foreach (Tag tag in Chunks.OpenIntents.ToArray())
        {
            bool isOld = _now.Wall.Milliseconds - tag.Uid.Stamp.Milliseconds > (long)_options.Replication.IntentLease.TotalMilliseconds;
            if (isOld && !Exchange.IsUploading(tag) && _resolvingIntents.Count < 64 && _resolvingIntents.Add(tag))
            {
                Exchange.Show(tag, _now, report =>
                {
                    _resolvingIntents.Remove(tag);
                    IntentResolved(tag, report);
                });
            }
        }
    }

    // Rule R1: an intent ends when its submission is applied here, not already when it is known to be accepted.
    private void IntentResolved(Tag tag, SubmissionReport report)
    {
        bool isApplied = report.State == SubmissionState.Accepted && Reader.Outcome(report.Id) == TagOutcome.Accepted;
        if (isApplied || report.State is SubmissionState.Rejected or SubmissionState.Forgotten)
        {
            Chunks.EndIntents(tag);
        }
        else if (report.State == SubmissionState.Accepted && report.Id != tag)
        {
            Chunks.MoveIntents(tag, report.Id);
        }
    }

    private readonly Queue<Action> _later = new();

    private void Later(Action action) => _later.Enqueue(action);

    private void OpenChunks(IStorageDevice device)
    {
        var host = new ChunkHost(this, _world);
        Replication = new ChunkReplication(Configuration, Self.Name, _options.Replication, _random.Fork(), Chunks, host, _now);
        if (Chunks.Health is not ChunkStoreHealth.Good)
        {
            Tell(NodeEventKind.StorageTrouble, Self.Name, Chunks.Trouble);
        }
    }

    private void AdvanceChunks(Moment now) => Replication.Advance(now);

    private void DrainChunks()
    {
        while (_later.TryDequeue(out Action? action))
        {
            action();
        }

        while (Chunks.TryTakeLost(out ChunkDamage damage))
        {
            Tell(NodeEventKind.ChunkDamaged, Self.Name, damage.What);
            if (damage.Id is { } lost)
            {
                Replication.Lost(lost, _now);
            }
        }
    }

    private void PumpChunks()
    {
        if (!_chunksBusy && Chunks.TryBeginBatch(out ChunkBatch batch))
        {
            _chunksBusy = true;
            _world.Run(new ChunkWork(batch, ChunksStored));
        }

        if (!_compacting && Chunks.TryBeginCompaction(out ChunkCompaction compaction))
        {
            _compacting = true;
            _world.Run(new CompactionWork(compaction, (work, failure) =>
            {
                _compacting = false;
                Chunks.Complete(work, failure);
            }));
        }
    }

    private void ChunksStored(ChunkBatch batch, StorageException? failure)
    {
        _chunksBusy = false;
        Chunks.Complete(batch, failure);
        if (failure is not null)
        {
            Tell(NodeEventKind.StorageTrouble, Self.Name, $"the chunk store: {failure.Message}");
        }

        while (_awaitingChunks.TryPeek(out (ChunkTicket Ticket, Action<bool> Then) next)
            && (failure is not null || batch.Covers(next.Ticket)))
        {
            _awaitingChunks.Dequeue();
            next.Then(failure is null);
        }
    }

    /// <summary>Tickets are handed out in order, but for those that are durable already.</summary>
    private void WhenStored(ChunkTicket ticket, Action<bool> then)
    {
        if (ticket.IsDurable || SeededBug.Is("chunk-ack-before-flush"))
        {
            Later(() => then(true));
        }
        else
        {
            _awaitingChunks.Enqueue((ticket, then));
        }
    }

    private void StoreFor(NodeId from, ChunkTransfer transfer, ChunkBuffer body) => Store(transfer, body, refusal => Answer(
        from,
        refusal is { } reason
            ? new ChunkMessage(ChunkMessageType.PayloadNak, transfer.Transfer) { Reason = reason }
            : new ChunkMessage(ChunkMessageType.PayloadAck, transfer.Transfer)));

    /// <summary>
    /// Stores a put's chunk under its put-intent and says when that is durable, or why it will not be. A chunk that is here already is
    /// read back first: "already stored" means that it can be read (REP-146). The buffer is released.
    /// </summary>
    private void Store(ChunkTransfer transfer, ChunkBuffer body, Action<NakReason?> then)
    {
        if (Chunks.Contains(transfer.Chunk))
        {
            // A copy found bad was dropped, and is replaced by these bytes; one that could not be read in time vouches for nothing.
            Replication.Verify(transfer.Chunk, _now, isGood => Append(transfer, body, isGood || !Chunks.Contains(transfer.Chunk), then));
        }
        else
        {
            Append(transfer, body, mayStore: true, then);
        }
    }

    private void Append(ChunkTransfer transfer, ChunkBuffer body, bool mayStore, Action<NakReason?> then)
    {
        if (_stopping || !mayStore
            || !Chunks.TryAppend(transfer.Chunk, body.Memory, transfer.Intent, out ChunkTicket ticket, transfer.Replicas))
        {
            body.Release();
            then(Refusal());
            return;
        }

        WhenStored(ticket, stored =>
        {
            body.Release();
            then(stored ? null : NakReason.Refused);
        });
    }

    private NakReason Refusal() => Chunks.Health == ChunkStoreHealth.Full ? NakReason.Full : NakReason.Refused;

    private void Answer(NodeId to, ChunkMessage message) => Post(to, TrafficKind.Agreement, Protocol.Chunks, message.Encode(), 0);

    private bool ShouldHold(ChunkId chunk, int replicas) =>
        Replication.Table.RankOf(HashAllocationTable.RowOf(chunk), Self.Name) is var rank && rank >= 0 && rank < replicas;

    private bool ReceiveChunks(ServerIdentity from, ReadOnlySpan<byte> payload) => Replication.Receive(from.Name, payload, _now);

    private void PeerRestarted(NodeId peer) => Replication.PeerDown(peer, _now);

    private void SubmissionApplied(Submission submission)
    {
        Chunks.EndIntents(submission.Tag);
        if (!submission.Replaces.IsNone)
        {
            Chunks.EndIntents(submission.Replaces);
        }
    }

    internal void MoveIntents(Tag tag, Tag successor) => Chunks?.MoveIntents(tag, successor);

    private void TagRejected(Tag tag, Tag successor)
    {
        if (Chunks is null)
        {
            // The log is still being replayed: what it says is in the catalog before anything is collected.
            return;
        }

        if (successor.IsNone)
        {
            Chunks.EndIntents(tag);
        }
        else
        {
            Sometimes.Reached("intents-follow-a-successor");
            Chunks.MoveIntents(tag, successor);
        }
    }

    private static ChunkPutOutcome OutcomeOf(ChunkPutResult result, int minimum) => result switch
    {
        ChunkPutResult.Stored => default,
        ChunkPutResult.Full => new ChunkPutOutcome(
            RejectionReason.Full, $"fewer than {minimum} servers have space for the content; free some, or add servers"),
        ChunkPutResult.TimedOut => new ChunkPutOutcome(
            RejectionReason.PushTimeout, $"fewer than {minimum} servers stored the content in time"),
        ChunkPutResult.Busy => new ChunkPutOutcome(RejectionReason.PushTimeout, "this server has too many puts under way; try again"),
        _ => new ChunkPutOutcome(RejectionReason.NoQuorum, $"fewer than {minimum} storage servers are connected"),
    };
}
