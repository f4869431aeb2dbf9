using System.Collections.Immutable;
using Carillon.Node.Feeds;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>The catalog's feed: what is agreed is numbered by the group <c>catalog</c>, and applied in the order of the numbers.</content>
public sealed partial class ServerNode
{
    private readonly FeedHost _feed;
    private readonly FeedReads _reads;

    /// <summary>The catalog's feed, for other threads.</summary>
    public CatalogFeed Feed { get; } = new();

    /// <summary>How the feed is here, in a line.</summary>
    public string DescribeFeed() => _identity.IsRebuilding
        ? $"{_feed}, rebuilding: {_rebuild}{(_isJoining ? ", joining" : "")}{(_feed.Member.HasForgotten ? ", without a word in the feed" : "")}"
        : $"{_feed}";

    /// <summary>Linearizable reads that the catalog answered, since the feed's sequencer had told how far to wait.</summary>
    public long ReadsByNumber => _reads.Answered;

    /// <summary>Reads of buckets that allow this which a quorum had to answer all the same.</summary>
    public long ReadsLeftToQuorum => _reads.LeftToQuorum;

    /// <summary>The time of the input that is being handled.</summary>
    internal Instant Now => _now.Now;

    /// <summary>A submission is agreed here: the feed is to give it a number.</summary>
    internal void TakeAgreed(Submission submission)
    {
        LearnTable(submission);
        _feed.Agreed(submission);
    }

    /// <summary>Another server holds a submission as agreed, and it stands at a number.</summary>
    internal void LearnAgreed(Submission submission) => Exchange.Learned(submission, _now);

    internal bool IsNumbered(MessageId id) => _feed.IsNumbered(id);

    internal void CommittedTold(ulong question, SequenceNumber? number) => _reads.Told(question, number);

    private bool ReceiveFeed(ServerIdentity from, ReadOnlySpan<byte> payload) =>

        // Another disk under that name, or a restored backup, has not made that voter's promises.
        !Members.Accepts(from) || _feed.Receive(from.Name, payload.ToArray(), _now.Now);

    /// <summary>Numbers were applied: who waits for them is told.</summary>
    private void EntriesApplied(CatalogBatch batch, ImmutableArray<FeedOutcome> outcomes)
    {
        for (int i = 0; i < batch.Entries.Length; i++)
        {
            if (batch.Entries[i].Submission is not { } submission)
            {
                continue;
            }

            FeedOutcome outcome = outcomes[i];
            if (outcome.IsInEffect)
            {
                SubmissionApplied(submission);
                LearnGroups(submission);
                ListsApplied(submission);
            }
            else if (outcome.Verdict is FeedVerdict.Refused or FeedVerdict.Repeated)
            {
                // Of a stale one the fresh tag takes the intents over.
                SubmissionApplied(submission);
            }

            Exchange.Sequenced(submission, outcome, _now);
        }

        if (batch.Entries.Length > 0)
        {
            _feed.Applied(batch.Entries[^1].Number, _now.Now);
            Feed.HasApplied(batch.Entries[^1].Number);
        }
    }

    /// <summary>What the feed will give no number any more has one: so much of it as is known here ends it.</summary>
    private void EndForgotten()
    {
        while (_feed.Store.TryTakeForgotten(out Submission submission))
        {
            Exchange.Sequenced(submission, Reader.Sequenced(submission.Tag), _now);
        }
    }
}
