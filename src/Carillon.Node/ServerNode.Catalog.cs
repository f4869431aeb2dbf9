using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>
/// The catalog: what is agreed is applied in batches, one transaction at a time; while one runs the next fills. Clients are answered before
/// that, so a batch waits a little to grow, unless somebody wants to read what the catalog says.
/// </content>
public sealed partial class ServerNode
{
    /// <summary>A quiet time after which the log is cut although it is short, so that a server at rest starts fast and holds
    /// little.</summary>
    private static readonly TimeSpan QuietTime = TimeSpan.FromSeconds(10);

    private readonly List<Submission> _accepted = [];
    private readonly List<RejectedTag> _rejected = [];
    private readonly Queue<(long Count, Action Then)> _awaitingApplied = new();
    private Instant _applyDeadline = Instant.Never;
    private Instant _waitingSince;
    private long _acceptedBytes;
    private bool _applyNow;
    private bool _isAppliedForSnapshot;
    private bool _catalogBusy;
    private bool _snapshotDue;

    /// <summary>Outcomes of tags from this stamp on are all kept in the catalog.</summary>
    /// <summary>Outcomes of all decided submissions with this stamp or a later one are remembered here.</summary>
    public Timestamp OutcomesSince => Reader.OutcomesSince;

    /// <summary>Tags decided *no* that the catalog has not taken up yet, with their successors.</summary>
    internal Dictionary<Tag, Tag> Deciding { get; } = [];

    // Numbers of submissions agreed and applied in this life. Volatile, since other threads compare them: who was answered that a
    // submission is accepted finds the first one raised.
    private long _agreedCount;
    private long _appliedCount;

    /// <summary>Grows with each applied change of a bucket's record. Any thread may ask.</summary>
    public long BucketsVersion => Applied.BucketsVersion;

    /// <summary>True if all that is agreed here is in the catalog. Any thread may ask.</summary>
    public bool IsCaughtUp => Volatile.Read(ref _appliedCount) >= Volatile.Read(ref _agreedCount);

    /// <summary>
    /// Calls back, on the loop, once everything that was agreed here before is in the catalog: so who lists, or reads locally, sees what
    /// this server has answered before.
    /// </summary>
    public void CatchUp(Moment now, Action then)
    {
        _now = now;
        if (IsCaughtUp || _catalogFailed)
        {
            then();
        }
        else
        {
            _awaitingApplied.Enqueue((_agreedCount, then));
            _applyNow = true;
        }
    }

    internal void QueueAccepted(Submission submission)
    {
        BeginToWait();
        _accepted.Add(submission);
        _acceptedBytes += submission.Encoded.Length;
        LearnTable(submission);

        // A bucket's record is answered once it is applied: its settings count from then on.
        _applyNow |= submission.Operations[0].Target.Bucket == ObjectName.SystemBucket;
        Volatile.Write(ref _agreedCount, _agreedCount + 1);
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

        bool isWaiting = _accepted.Count > 0 || _rejected.Count > 0;
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
            _catalogBusy = true;
            _snapshotDue = true;
            _world.Run(new CatalogDurableWork(_catalog, CatalogIsDurable));
        }
        else if (isWaiting)
        {
            if (_applyNow || _accepted.Count >= _options.ApplyBatch || _rejected.Count >= _options.ApplyBatch
                || _acceptedBytes >= _options.ApplyBytes || _now.Now >= _waitingSince + _options.ApplyDelay)
            {
                BeginApply();
            }
            else
            {
                _applyDeadline = _waitingSince + _options.ApplyDelay;
            }
        }
    }

    private void BeginApply()
    {
        _catalogBusy = true;
        int most = Buggify.Here("catalog-batch-of-one", 0.3) ? 1 : _options.ApplyBatch;
        int accepted = Math.Min(_accepted.Count, most);
        int rejected = Math.Min(_rejected.Count, most);
        var batch = new CatalogBatch((ulong)Log.Durable.Value, [.. _accepted.Take(accepted)], [.. _rejected.Take(rejected)]);
        _accepted.RemoveRange(0, accepted);
        _rejected.RemoveRange(0, rejected);
        _acceptedBytes -= batch.Bytes;
        _waitingSince = _now.Now;
        _applyNow &= _accepted.Count > 0;
        _world.Run(new ApplyWork(_catalog, batch, BatchApplied));
    }

    private void BeginToWait()
    {
        if (_accepted.Count == 0 && _rejected.Count == 0)
        {
            _waitingSince = _now.Now;
        }
    }

    private void BatchApplied(CatalogBatch batch, StorageException? failure)
    {
        _catalogBusy = false;
        if (failure is not null)
        {
            CatalogFailed(failure);
            return;
        }

        Applied.Applied(batch);
        foreach (RejectedTag rejected in batch.Rejected)
        {
            Deciding.Remove(rejected.Tag);
        }

        foreach (Submission submission in batch.Accepted)
        {
            Exchange.Applied(submission.Tag, _now);
            SubmissionApplied(submission);
            LearnGroups(submission);
            ListsApplied(submission);
        }

        Volatile.Write(ref _appliedCount, _appliedCount + batch.Accepted.Length);
        while (_awaitingApplied.TryPeek(out (long Count, Action Then) next) && next.Count <= _appliedCount)
        {
            _awaitingApplied.Dequeue();
            next.Then();
        }

        if (_snapshotDeadline == Instant.Never)
        {
            _snapshotDeadline = _now.Now + QuietTime;
        }
    }

    private void CatalogIsDurable(StorageException? failure)
    {
        _catalogBusy = false;
        if (failure is not null)
        {
            CatalogFailed(failure);
        }
        else if (_snapshotDue)
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
        Tell(NodeEventKind.StorageTrouble, Self.Name, _notVotingBecause);
        Members.SetVotes(votes: false, _now);
        while (_awaitingApplied.TryDequeue(out (long Count, Action Then) waiting))
        {
            waiting.Then();
        }
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
