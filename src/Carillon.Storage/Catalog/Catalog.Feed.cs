using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <content>
/// Applying in feed order (3-vector-exchange.md, "Superseded in the feed"). What an entry does, and what is forgotten, follows from the
/// entries up to it alone: not from how they were batched, from clocks, or from what this server decided or aborted beside the feed.
/// </content>
public sealed partial class Catalog
{
    private readonly FeedTable _feed;
    private readonly FeedReader _feedReader;

    /// <summary>The greatest number of the feed that is applied; none before the feed.</summary>
    public SequenceNumber AppliedNumber => _facts.Applied;

    /// <summary>Takes up one number. One that was applied before, as after a crash, only tells its outcome again.</summary>
    private FeedOutcome Sequence(SequencedEntry entry)
    {
        var nothing = new FeedOutcome(entry.Number, FeedVerdict.None);
        if (entry.Number <= _facts.Applied)
        {
            return entry.Submission is { } known ? OutcomeOf(known.Tag) ?? nothing : nothing;
        }

        // What was applied before the feed has no number, so another server could not come to say the same.
        Invariant.That(entry.Number == _facts.Applied.Next && (!_facts.Applied.IsNone || _facts.Latest == default));
        _facts.Applied = entry.Number;
        if (entry.Submission is not { } submission)
        {
            _feed.AddNumber(entry.Number, entry.Value, default, 0);
            return nothing;
        }

        if (OutcomeOf(submission.Tag) is { } first)
        {
            Sometimes.Reached("feed-repeats-a-tag");
            AddRecordOf(entry);
            return first;
        }

        if (_facts.Rejected > 0 && _keys.IsRejected(submission.Tag))
        {
            Invariant.That(false, $"{submission.Tag} stands at {entry.Number}, and the catalog has it as rejected");
        }

        Timestamp horizon = CatalogFacts.Horizon(_facts.Latest, _options.OutcomeTtl);
        _facts.Latest = Timestamp.Max(_facts.Latest, submission.Tag.Uid.Stamp);
        FeedOutcome outcome = Judge(submission, nothing, horizon);
        if (outcome.Verdict == FeedVerdict.Applied)
        {
            outcome = TakeEffect(entry, submission, outcome);
        }
        else
        {
            AddRecordOf(entry);
            _facts.Trimmed += _tags.Remember(submission.Tag, _facts.Latest, outcome) ? 1 : 0;
        }

        if (outcome.Verdict is not (FeedVerdict.Stale or FeedVerdict.Repeated))
        {
            _facts.Keys += _keys.AddRecent(submission) ? 1 : 0;
        }

        _feed.Add(outcome, submission.Tag, outcome.IsInEffect ? FeedCodec.Operations(submission.Operations) : []);
        ForgetSurplus(int.MaxValue);
        return outcome;
    }

    private FeedOutcome? OutcomeOf(Tag tag)
    {
        FeedOutcome outcome = _feedReader.Outcome(tag, CatalogFacts.Horizon(_facts.Latest, _options.OutcomeTtl), out bool isPast);
        if (isPast)
        {
            // Rows go some time after their time is over; a tag that comes again must not find one here and none elsewhere.
            _facts.Trimmed -= _tags.Forget(tag);
        }

        return outcome.Number.IsNone ? null : outcome;
    }

    /// <summary>Whether a submission takes effect. The first rule that speaks against it decides; of several names the first in their
    /// order.</summary>
    private FeedOutcome Judge(Submission submission, FeedOutcome outcome, Timestamp horizon)
    {
        Tag first = _keys.FirstRecent(submission.Key, horizon, _options.LeastKeys);
        if (!first.IsNone && !SeededBug.Is("feed-applies-a-key-twice"))
        {
            Sometimes.Reached("feed-repeats-a-key");
            return outcome with { Verdict = FeedVerdict.Repeated, First = first };
        }

        if (submission.IsDecidedByFeed)
        {
            foreach (Operation operation in submission.Operations)
            {
                (Uid greatest, bool isLive) = _versions.Current(operation.Target);
                if (greatest > submission.Tag.Uid && !SeededBug.Is("feed-applies-what-is-stale"))
                {
                    Sometimes.Reached("feed-finds-a-stale-one");
                    return outcome with
                    {
                        Verdict = FeedVerdict.Stale, Target = operation.Target, Winner = greatest, IsWinnerLive = isLive,
                        Key = submission.Key,
                    };
                }
            }
        }

        foreach (Operation operation in submission.Operations)
        {
            if (!operation.Precondition.IsNone)
            {
                (Uid greatest, bool isLive) = _versions.Current(operation.Target);
                if (!operation.Precondition.IsMetBy(greatest, isLive) && !SeededBug.Is("feed-ignores-preconditions"))
                {
                    Sometimes.Reached("feed-refuses-a-precondition");
                    return outcome with
                    {
                        Verdict = FeedVerdict.Refused, Target = operation.Target, Winner = greatest, IsWinnerLive = isLive,
                    };
                }
            }
        }

        return outcome with { Verdict = FeedVerdict.Applied };
    }

    /// <summary>Adds the versions, each where its UID belongs.</summary>
    private FeedOutcome TakeEffect(SequencedEntry entry, Submission submission, FeedOutcome outcome)
    {
        if (!submission.IsDecidedByFeed && _versions.Current(submission.Operations[0].Target).Uid > submission.Tag.Uid)
        {
            Sometimes.Reached("feed-supersedes");
            outcome = outcome with { Verdict = FeedVerdict.Superseded };
        }

        long record = AddRecordOf(entry);
        int count = submission.Operations.Length;
        count -= SeededBug.Is("catalog-applies-changeset-partly") && count > 1 ? 1 : 0;
        int kept = AddVersions(submission, count, record, outcome.Number);
        if (kept > 0)
        {
            _tags.Add(submission.Tag, record, kept, outcome);
            _digests.Add(submission.Tag, TagOutcome.Accepted);
        }
        else
        {
            _facts.Trimmed += _tags.Remember(submission.Tag, _facts.Latest, outcome) ? 1 : 0;
        }

        return outcome;
    }

    /// <summary>Keeps a number's record: for the versions that come of it, and for servers that lag.</summary>
    private long AddRecordOf(SequencedEntry entry)
    {
        long record = _facts.Record++;
        _tags.AddRecord(record, entry.Submission!.Encoded.Span);
        _feed.AddNumber(entry.Number, entry.Value, entry.Submission.Tag, record);
        return record;
    }

    /// <summary>What was collected goes, some of it with each batch; a record of which a version is kept stays.</summary>
    private void CollectNumbers(int limit)
    {
        if (_facts.Collected.IsNone)
        {
            return;
        }

        foreach ((byte[] tag, long record) in _feed.Collect(_facts.Collected, limit))
        {
            if (_tags.RecordOf(tag) != record)
            {
                _tags.DeleteRecord(record);
            }
        }
    }

    /// <summary>What the feed's numbers let go: those below the oldest kept.</summary>
    private void TrimFeed(int limit)
    {
        SequenceNumber oldest = FeedTable.Oldest(_facts.Applied, _options);
        if (oldest.Value > 1)
        {
            _feed.Trim(oldest, limit);
        }
    }
}
