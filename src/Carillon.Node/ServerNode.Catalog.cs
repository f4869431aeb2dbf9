using System.Collections.Immutable;
using System.Runtime.InteropServices;
using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>
/// The catalog: the feed's numbers are applied in batches, one transaction at a time; while one runs the next fills. A batch waits a little
/// to grow, unless somebody waits for a number here, or wants to read what the catalog says.
/// </content>
public sealed partial class ServerNode
{
    /// <summary>A quiet time after which the log is cut although it is short, so that a server at rest starts fast and holds
    /// little.</summary>
    private static readonly TimeSpan QuietTime = TimeSpan.FromSeconds(10);

    /// <summary>So often a batch that met a full disk is tried again.</summary>
    private static readonly TimeSpan RoomInterval = TimeSpan.FromSeconds(1);

    private readonly List<SequencedEntry> _entries = [];
    private readonly Queue<(SequenceNumber Number, ReadOnlyMemory<byte> State)> _sessionStates = new();
    private readonly List<RejectedTag> _rejected = [];
    private readonly Queue<(ulong Number, Action Then)> _awaitingApplied = new();
    private Instant _applyDeadline = Instant.Never;
    private Instant _waitingSince;
    private long _entryBytes;
    private SequenceNumber _durableNumber;
    private ulong _durableWanted;
    private bool _applyNow;
    private bool _isAppliedForSnapshot;
    private bool _catalogBusy;
    private bool _snapshotDue;

    // It met a full or read-only disk, which changed nothing, and is applied again later.
    private CatalogBatch? _batchWithoutRoom;
    private Instant _roomDeadline = Instant.Never;

    /// <summary>Outcomes of all decided submissions with this stamp or a later one are remembered here.</summary>
    public Timestamp OutcomesSince => Reader.OutcomesSince;

    /// <summary>Tags decided *no* that the catalog has not taken up yet, with their successors.</summary>
    internal Dictionary<Tag, Tag> Deciding { get; } = [];

    // The greatest number that was delivered to this server. Volatile, since other threads compare it with what is applied.
    private ulong _deliveredNumber;

    /// <summary>Grows with each applied change of a bucket's record. Any thread may ask.</summary>
    public long BucketsVersion => Applied.BucketsVersion;

    /// <summary>True while nothing is applied, since the catalog has failed or waits for room: what was can be read. Any thread may
    /// ask.</summary>
    public bool IsCatalogStanding => Volatile.Read(ref _catalogFailed) || Volatile.Read(ref _batchWithoutRoom) is not null;

    /// <summary>True if all numbers of the feed that came here are in the catalog. Any thread may ask.</summary>
    public bool IsCaughtUp => Feed.Applied.Value >= Volatile.Read(ref _deliveredNumber);

    /// <summary>True for content that this server's disk should not take any more: the rest of it is for what is agreed elsewhere, and for
    /// deletes.</summary>
    internal bool LacksRoomFor(Submission submission) => submission.Operations.Any(
        o => o.Kind == OperationKind.Put && o.Target.Bucket != ObjectName.SystemBucket)
        && (_batchWithoutRoom is not null || FreeBytes < _options.CatalogReserveBytes);

    /// <summary>Free space on this server's disk, as it was seen last; null before.</summary>
    public long? FreeBytes { get; set; }

    /// <summary>
    /// Calls back, on the loop, once every number that came here before is in the catalog, or that stands. What is only agreed has
    /// none: who lists, or reads locally, sees it once it is sequenced.
    /// </summary>
    public void CatchUp(Moment now, Action then)
    {
        _now = now;
        if (IsCaughtUp || IsCatalogStanding)
        {
            then();
        }
        else
        {
            _awaitingApplied.Enqueue((_deliveredNumber, then));
            _applyNow = true;
        }
    }

    /// <summary>Numbers were delivered, in order; and the sessions' state behind the last, if it is time to keep it.</summary>
    internal void QueueEntries(List<SequencedEntry> entries, ReadOnlyMemory<byte>? sessions)
    {
        BeginToWait();
        foreach (SequencedEntry entry in entries)
        {
            _entries.Add(entry);
            _entryBytes += entry.Submission?.Encoded.Length ?? 0;

            // The record of a bucket or group counts once it is applied.
            _applyNow |= entry.Submission is { } submission && submission.Operations[0].Target.Bucket == ObjectName.SystemBucket;
        }

        SequenceNumber last = entries[^1].Number;
        if (sessions is { } state)
        {
            _sessionStates.Enqueue((last, state));
        }

        Volatile.Write(ref _deliveredNumber, last.Value);

        // Behind that, so that who is answered now and reads here waits for the catalog.
        foreach (SequencedEntry entry in entries)
        {
            if (entry.Submission is { } submission)
            {
                Exchange.Numbered(submission.Tag, entry.Number);
            }
        }
    }

    /// <summary>The bucket's record by which none of its writes is answered before it is sequenced, once that is durable in the catalog: it
    /// is made so when it is asked for, since reads wait for it.</summary>
    internal Tag DurablyNumberedBy(string bucket)
    {
        (Tag record, ulong since) = Applied.Numbered(bucket);
        if (record.IsNone || since <= _feed.Store.CommittedDurable.Value)
        {
            return record;
        }

        _durableWanted = Math.Max(_durableWanted, since);
        return default;
    }

    internal void QueueRejected(Tag tag, Tag successor, string key = "")
    {
        if (Deciding.TryAdd(tag, successor))
        {
            BeginToWait();
            _rejected.Add(new RejectedTag(tag, key, successor));
            TagRejected(tag, successor);
        }
    }

    private void PumpCatalog()
    {
        _applyDeadline = Instant.Never;

        // What is agreed and not applied yet is a state of its own: made long, now and then. The next heartbeat ends it.
        if (_catalogBusy || _catalogFailed || Buggify.Here("catalog-late", 0.3))
        {
            return;
        }

        if (BeginLoad())
        {
            return;
        }

        if (IsBehindEntries())
        {
            return;
        }

        if (_delivered.TryPeek(out (SequenceNumber Number, ConfigurationEntry) version) && version.Number <= Feed.Applied)
        {
            // It is waited for, and so rare that it may cost a flush of its own.
            MakeCatalogDurable();
            return;
        }

        _durableWanted = Math.Max(_durableWanted, _feed.Member.DurableWanted);
        if (_durableWanted > _feed.Store.CommittedDurable.Value && _durableWanted <= Feed.Applied.Value)
        {
            MakeCatalogDurable();
            return;
        }

        // Between batches, and where one is asked for once all is applied: the next batch begins behind it.
        TakeSnapshot(Feed.Applied);
        bool isWaiting = _entries.Count > 0 || _rejected.Count > 0;
        if (_snapshotWanted && _snapshot is null && isWaiting && !_isAppliedForSnapshot)
        {
            // What is applied need not be copied forward.
            _isAppliedForSnapshot = true;
            BeginApply();
        }
        else if (_snapshotWanted && _snapshot is null)
        {
            _isAppliedForSnapshot = false;
            _snapshotWanted = false;
            _snapshotDue = true;
            MakeCatalogDurable();
        }
        else if (isWaiting)
        {
            if (_applyNow || Exchange.AwaitingSequence > 0 || _reads.IsWaiting || _entries.Count >= _options.ApplyBatch
                || _rejected.Count >= _options.ApplyBatch || _entryBytes >= _options.ApplyBytes
                || _now.Now >= _waitingSince + _options.ApplyDelay)
            {
                BeginApply();
            }
            else
            {
                _applyDeadline = _waitingSince + _options.ApplyDelay;
            }
        }
    }

    private void MakeCatalogDurable()
    {
        _catalogBusy = true;
        _durableNumber = Feed.Applied;
        _world.Run(new CatalogDurableWork(_catalog, CatalogIsDurable));
    }

    private void BeginApply()
    {
        _catalogBusy = true;
        int most = Buggify.Here("catalog-batch-of-one", 0.3) ? 1 : _options.ApplyBatch;
        int entries = Math.Min(_entries.Count, most);
        int rejected = Math.Min(_rejected.Count, most);
        if (entries > 0 && _checkpointsDue.TryPeek(out ulong due) && due >= _entries[0].Number.Value)
        {
            entries = (int)Math.Min((ulong)entries, due - _entries[0].Number.Value + 1);
        }

        ReadOnlyMemory<byte>? sessions = null;
        while (entries > 0 && _sessionStates.TryPeek(out (SequenceNumber Number, ReadOnlyMemory<byte> State) next)
            && next.Number <= _entries[entries - 1].Number)
        {
            sessions = next.State;
            _sessionStates.Dequeue();
        }

        var batch = new CatalogBatch((ulong)Log.Durable.Value, [], [.. _rejected.Take(rejected)])
        {
            Entries = [.. CollectionsMarshal.AsSpan(_entries)[..entries]], Sessions = sessions, CollectUpTo = _feed.Store.Trimmed,
        };
        _entries.RemoveRange(0, entries);
        _rejected.RemoveRange(0, rejected);
        _entryBytes -= batch.Bytes;
        _waitingSince = _now.Now;
        _applyNow &= _entries.Count > 0;
        _world.Run(new ApplyWork(_catalog, batch, BatchApplied));
    }

    private void BeginToWait()
    {
        if (_entries.Count == 0 && _rejected.Count == 0)
        {
            _waitingSince = _now.Now;
        }
    }

    private void BatchApplied(CatalogBatch batch, ImmutableArray<FeedOutcome> outcomes, StorageException? failure)
    {
        if (failure is { Fault: StorageFault.Full or StorageFault.ReadOnly })
        {
            AwaitRoom(batch, failure);
            return;
        }

        _catalogBusy = false;
        _batchWithoutRoom = null;
        if (failure is not null)
        {
            CatalogFailed(failure);
            return;
        }

        Applied.Applied(batch, outcomes);
        foreach (RejectedTag rejected in batch.Rejected)
        {
            Deciding.Remove(rejected.Tag);
        }

        EntriesApplied(batch, outcomes);
        while (_awaitingApplied.TryPeek(out (ulong Number, Action Then) next) && next.Number <= Feed.Applied.Value)
        {
            _awaitingApplied.Dequeue();
            next.Then();
        }

        if (_snapshotDeadline == Instant.Never)
        {
            _snapshotDeadline = _now.Now + QuietTime;
        }
    }

    private void AwaitRoom(CatalogBatch batch, StorageException failure)
    {
        if (_batchWithoutRoom is null)
        {
            Tell(NodeEventKind.StorageTrouble, Self.Name, $"the catalog waits for room: {failure.Message}");
        }

        _batchWithoutRoom = batch;
        _roomDeadline = _now.Now + RoomInterval;
        ReleaseWaiting();
    }

    // Who waits for the catalog finds that it stands.
    private void ReleaseWaiting()
    {
        while (_awaitingApplied.TryDequeue(out (ulong Number, Action Then) waiting))
        {
            waiting.Then();
        }
    }

    private void AdvanceCatalog(Moment now)
    {
        if (now.Now >= _roomDeadline)
        {
            _roomDeadline = Instant.Never;
            _world.Run(new ApplyWork(_catalog, _batchWithoutRoom!, BatchApplied));
        }
    }

    private void CatalogIsDurable(StorageException? failure)
    {
        _catalogBusy = false;
        if (failure is not null)
        {
            CatalogFailed(failure);
            return;
        }

        _feed.Store.MadeDurable(_durableNumber);
        _feed.IsDirty |= _feed.Member.HasForgotten;
        ApplyConfigurations();
        if (_snapshotDue)
        {
            _snapshotDue = false;
            WriteSnapshot();
            if (_rebuilt)
            {
                EndRebuild();
            }
        }
    }

    /// <summary>A catalog that failed is not trusted again in this life: the log keeps everything, and the server neither votes nor
    /// accepts.</summary>
    private void CatalogFailed(StorageException failure)
    {
        _catalogFailed = true;
        _notVotingBecause = $"the catalog failed: {failure.Message}";
        bool isDamaged = failure.InnerException is CatalogDamagedException;
        Tell(isDamaged ? NodeEventKind.CatalogDamaged : NodeEventKind.StorageTrouble, Self.Name, _notVotingBecause);
        Members.SetVotes(votes: false, _now);
        ReleaseWaiting();
    }

    private bool _catalogFailed;

    /// <summary>Noes that the catalog does not hold yet go into the snapshot too.</summary>
    private void WriteUndecidedOutcomes()
    {
        foreach ((Tag tag, Tag successor) in Deciding.OrderBy(d => d.Key))
        {
            AppendToLog(VectorExchange.RejectedRecord(tag, successor));
        }
    }
}
