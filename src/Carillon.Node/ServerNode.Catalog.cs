using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>The catalog: what is agreed is applied in batches, one transaction at a time; while one runs the next fills.</content>
public sealed partial class ServerNode
{
    /// <summary>A quiet time after which the log is cut although it is short, so that a server at rest starts fast and holds
    /// little.</summary>
    private static readonly TimeSpan QuietTime = TimeSpan.FromSeconds(10);

    private readonly List<Submission> _accepted = [];
    private readonly List<RejectedTag> _rejected = [];
    private bool _catalogBusy;
    private bool _snapshotDue;

    /// <summary>Outcomes of tags from this stamp on are all kept in the catalog.</summary>
    /// <summary>Outcomes of all decided submissions with this stamp or a later one are remembered here.</summary>
    public Timestamp OutcomesSince => Reader.OutcomesSince;

    /// <summary>Tags decided *no* that the catalog has not taken up yet, with their successors.</summary>
    internal Dictionary<Tag, Tag> Deciding { get; } = [];

    internal void QueueAccepted(Submission submission)
    {
        _accepted.Add(submission);
    }

    internal void QueueRejected(Tag tag, Tag successor, string key = "")
    {
        if (Deciding.TryAdd(tag, successor))
        {
            _rejected.Add(new RejectedTag(tag, key, successor));
            TagRejected(tag, successor);
        }
    }

    private void PumpCatalog()
    {
        if (_catalogBusy || _catalogFailed)
        {
            return;
        }

        if (_snapshotWanted && _snapshot is null)
        {
            _snapshotWanted = false;
            _catalogBusy = true;
            _snapshotDue = true;
            _world.Run(new CatalogDurableWork(_catalog, CatalogIsDurable));
        }
        else if (_accepted.Count > 0 || _rejected.Count > 0)
        {
            _catalogBusy = true;
            int accepted = Math.Min(_accepted.Count, _options.ApplyBatch);
            int rejected = Math.Min(_rejected.Count, _options.ApplyBatch);
            var batch = new CatalogBatch((ulong)Log.Durable.Value, [.. _accepted.Take(accepted)], [.. _rejected.Take(rejected)]);
            _accepted.RemoveRange(0, accepted);
            _rejected.RemoveRange(0, rejected);
            _world.Run(new ApplyWork(_catalog, batch, BatchApplied));
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

        foreach (RejectedTag rejected in batch.Rejected)
        {
            Deciding.Remove(rejected.Tag);
        }

        foreach (Submission submission in batch.Accepted)
        {
            Exchange.Applied(submission.Tag, _now);
            SubmissionApplied(submission);
            ListsApplied(submission);
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
            EndRebuild();
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
    }

    private bool _catalogFailed;

    /// <summary>Noes that the catalog does not hold yet go into the snapshot too.</summary>
    private void WriteUndecidedOutcomes()
    {
        foreach ((Tag tag, Tag successor) in Deciding.OrderBy(d => d.Key))
        {
            Log.Append(VectorExchange.RejectedRecord(tag, successor));
        }
    }
}
