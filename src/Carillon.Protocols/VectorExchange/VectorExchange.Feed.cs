using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>
/// What the feed made of what was agreed. This core asks nothing of the feed: it hands over what is agreed
/// (<see cref="IExchangeHost.Agreed"/>), and is told of each number that is applied here.
/// </content>
public sealed partial class VectorExchange
{
    /// <summary>An upload younger than this keeps its tag; an older one takes a fresh one if need be, or the feed would have to remember
    /// every tag behind it.</summary>
    private static readonly TimeSpan UploadHold = TimeSpan.FromSeconds(2);

    // Attempts whose key another tag has, which is accepted: they wait for its number.
    private readonly Dictionary<Tag, List<Attempt>> _followers = [];

    // The greatest that a submission was told: no tag up to there is used any more.
    private ulong _settledTold;

    /// <summary>Clients that wait for a number in the feed.</summary>
    public int AwaitingSequence { get; private set; }

    /// <summary>
    /// A submission has its number, and the catalog has not come to it here. Of a plain one that is all its client waits for: accepted it
    /// is since it was agreed, whatever stands for its names by then. Who reads here waits for the catalog.
    /// </summary>
    public void Numbered(Tag tag, SequenceNumber number)
    {
        if (_book.Find(tag) is { } ballot)
        {
            ballot.Number = number;
            AnswerByNumber(ballot);
        }

        EndFollowers(tag, new FeedOutcome(number, FeedVerdict.None));
    }

    /// <summary>
    /// A submission stands in the feed, and the catalog has made this of it here. Called for every number that holds one, in their order,
    /// and again for those that come again; instead of <see cref="Applied"/>.
    /// </summary>
    public void Sequenced(Submission submission, FeedOutcome outcome, Moment now)
    {
        Invariant.That(_host.HasFeed);
        Tag tag = submission.Tag;
        Attempt? attempt = null;
        if (_book.Find(tag) is { } ballot)
        {
            // What stands in the feed is agreed, whether or not this server saw the bits.
            attempt = ballot.Attempt;
            ballot.State = TagState.Accepted;
            ballot.Attempt = null;
            _book.Remove(ballot);
        }

        if (attempt is { HasAnswered: false })
        {
            EndBySequence(attempt, tag, outcome, now);
        }

        EndFollowers(tag, outcome);
        WakeContended(submission, now);
        if (outcome.Verdict == FeedVerdict.Applied)
        {
            EndDeadTags(submission, now);
        }

        Settle(tag, TagState.Accepted, default, now);
        if (ConfigurationEntry.IsOne(submission))
        {
            EndVoidEntries(now);
        }
    }

    /// <summary>A checkpoint took the catalog past numbers that were not told one by one: what it knows of open tags ends them.</summary>
    public void CaughtUp(Moment now)
    {
        foreach (Ballot ballot in _book.InOrder())
        {
            if (_host.Outcome(ballot.Tag).State != TagState.Accepted)
            {
                continue;
            }

            if (ballot.Submission is { } submission)
            {
                Sequenced(submission, _host.Sequenced(ballot.Tag), now);
            }
            else
            {
                _book.Remove(ballot);
                Settle(ballot.Tag, TagState.Accepted, default, now);
            }
        }

        EndVoidEntries(now);
    }

    private void AnswerByNumber(Ballot ballot)
    {
        if (ballot.Number.IsNone || ballot.Submission is not { } submission || IsSetting(submission)
            || (submission.AwaitsNumber && !SeededBug.Is("answered-before-the-verdict")))
        {
            return;
        }

        if (ballot.Attempt is { HasAnswered: false, Phase: AttemptPhase.Sequencing } attempt)
        {
            AwaitingSequence--;
            Finish(attempt, new SubmitOutcome.Accepted(ballot.Tag, Replayed: false)
            {
                Sequenced = new FeedOutcome(ballot.Number, FeedVerdict.None),
            });
        }
    }

    private void EndBySequence(Attempt attempt, Tag tag, FeedOutcome outcome, Moment now)
    {
        AwaitingSequence -= attempt.Phase == AttemptPhase.Sequencing ? 1 : 0;
        switch (outcome.Verdict)
        {
            case FeedVerdict.Superseded when SeededBug.Is("superseded-is-a-conflict"):
            case FeedVerdict.Refused:
                Finish(attempt, new SubmitOutcome.Refused(tag, outcome));
                break;
            case FeedVerdict.Stale:
                RestampStale(attempt, tag, outcome, now);
                break;
            case FeedVerdict.Repeated:
                (Tag first, Digest fingerprint) = _host.AcceptedKey(attempt.Key);
                EndByAcceptedKey(attempt, outcome.First, first == outcome.First ? fingerprint : attempt.Fingerprint, now);
                break;
            default:
                Finish(attempt, new SubmitOutcome.Accepted(tag, Replayed: false) { Sequenced = outcome });
                break;
        }
    }

    /// <summary>What a submission may say: all own tags with stamps up to this stand in the feed, or never will. Those that are open,
    /// agreed and without a number, or given up without knowing their outcome stand above.</summary>
    private ulong SettledBelow(Timestamp stamp, Moment now)
    {
        ulong least = stamp.Value;
        least = _book.LeastOwn is { IsNone: false } open ? Math.Min(least, open.Uid.Stamp.Value) : least;
        foreach (Tag tag in _givenUp.Undecided)
        {
            least = IsOwn(tag) ? Math.Min(least, tag.Uid.Stamp.Value) : least;
        }

        long young = now.Wall.Milliseconds - (long)UploadHold.TotalMilliseconds;
        foreach (Tag tag in _uploads)
        {
            if (tag.Uid.Stamp.Milliseconds >= young)
            {
                least = Math.Min(least, tag.Uid.Stamp.Value);
                break;
            }
        }

        ulong settled = least == 0 ? 0 : least - 1;
        _settledTold = Math.Max(_settledTold, settled);
        return settled;
    }

    /// <summary>The feed found it stale: the key is free, so a fresh tag takes its place, which names it (not as an abort).</summary>
    private void RestampStale(Attempt attempt, Tag stale, FeedOutcome outcome, Moment now)
    {
        Sometimes.Reached("stale-in-the-feed");
        attempt.Phase = AttemptPhase.Reserving;
        attempt.Ballot = null;
        attempt.Replaces = stale;
        attempt.ReplacesStale = true;
        attempt.Floor = Timestamp.Max(attempt.Floor, outcome.Winner.Stamp);
        if (++attempt.Restamps > _options.MaxRestamps)
        {
            Reject(attempt, RejectionReason.PushTimeout, "other writers of this name were always ahead; try again");
            return;
        }

        Figures.Restamps++;
        TakeTag(attempt, now);
    }

    /// <summary>True if agreement is not the answer: the feed decides it, or the client wants its number, or it changes a bucket.</summary>
    private bool WaitsForFeed(Attempt attempt, Submission submission) => _host.HasFeed
        && (attempt.UntilSequenced || attempt.MustBeSequenced || submission.AwaitsNumber || IsSetting(submission));

    /// <summary>A tag's place in the feed, as far as it is known here: what the catalog made of it, or its number alone.</summary>
    private FeedOutcome SequencedHere(Tag tag) => _book.Find(tag) is { Number: { IsNone: false } number }
        ? new FeedOutcome(number, FeedVerdict.None)
        : _host.Sequenced(tag);

    /// <summary>True for the record of a bucket or a group: it counts once it is applied. The replica manager's table counts once it is
    /// agreed: it must not wait for a sequencer.</summary>
    private static bool IsSetting(Submission submission) => submission.Operations[0].Target is var target
        && target.Bucket == ObjectName.SystemBucket && target != ObjectName.ServiceTable;

    /// <summary>Agreed; its number is waited for.</summary>
    private void AwaitSequence(Attempt attempt, Moment now)
    {
        attempt.Phase = AttemptPhase.Sequencing;
        AwaitingSequence++;
        attempt.Deadline = now.Now + _options.ExchangeTimeout;
        Schedule(attempt.Id, attempt.Deadline);
        AnswerByNumber(attempt.Ballot!);
    }

    /// <summary>No number in time. A plain one is accepted all the same; what became of another one nobody knows yet.</summary>
    private void EndUnsequenced(Attempt attempt)
    {
        AwaitingSequence--;
        Submission submission = attempt.Ballot!.Submission!;
        bool isKnown = !submission.AwaitsNumber && !IsSetting(submission) && !attempt.MustBeSequenced;
        Finish(attempt, isKnown
            ? new SubmitOutcome.Accepted(submission.Tag, Replayed: false)
            : new SubmitOutcome.Unknown(submission.Tag));
    }

    /// <summary>Ends as another tag of the key does, once that is known here.</summary>
    private void FollowTag(Attempt attempt, Tag other, Moment now)
    {
        attempt.Followed = other;
        attempt.Deadline = now.Now + _options.ExchangeTimeout;
        Schedule(attempt.Id, attempt.Deadline);
        InquireTag(other, attempt.Deadline, now, report => EndByReport(
            attempt, report, "another request with this key was ahead and was given up; try again"));
    }

    private void EndByReport(Attempt attempt, SubmissionReport report, string detail)
    {
        switch (report.State)
        {
            case SubmissionState.Accepted when MayBeNumberedSoon(attempt, report):
                AwaitFollowed(attempt, report.Id);
                break;
            case SubmissionState.Accepted:
                Finish(attempt, new SubmitOutcome.Accepted(report.Id, Replayed: true) { Sequenced = report.Sequenced });
                break;
            case SubmissionState.Rejected when report.Sequenced.Verdict == FeedVerdict.Refused:
                Finish(attempt, new SubmitOutcome.Refused(report.Id, report.Sequenced));
                break;
            case SubmissionState.Rejected:
                Reject(attempt, RejectionReason.Resolved, detail);
                break;
            default:
                Finish(attempt, new SubmitOutcome.Unknown(attempt.Followed));
                break;
        }
    }

    private bool MayBeNumberedSoon(Attempt attempt, SubmissionReport report) => attempt is { UntilSequenced: true, HasAnswered: false }
        && report.Sequenced.Number.IsNone && _host.HasFeed && _book.Find(report.Id) is not null;

    private void AwaitFollowed(Attempt attempt, Tag other)
    {
        attempt.Followed = other;
        attempt.AwaitsFollowed = true;
        if (!_followers.TryGetValue(other, out List<Attempt>? followers))
        {
            _followers.Add(other, followers = []);
        }

        followers.Add(attempt);
    }

    private void EndFollowers(Tag tag, FeedOutcome outcome)
    {
        if (_followers.Count > 0 && _followers.Remove(tag, out List<Attempt>? followers))
        {
            foreach (Attempt attempt in followers)
            {
                Finish(attempt, new SubmitOutcome.Accepted(tag, Replayed: true) { Sequenced = outcome });
            }
        }
    }

    // No number came in time: it is accepted all the same.
    private void EndFollowing(Attempt attempt)
    {
        if (!attempt.AwaitsFollowed)
        {
            Finish(attempt, new SubmitOutcome.Unknown(attempt.Followed));
            return;
        }

        if (_followers.TryGetValue(attempt.Followed, out List<Attempt>? followers) && followers.Remove(attempt) && followers.Count == 0)
        {
            _followers.Remove(attempt.Followed);
        }

        Finish(attempt, new SubmitOutcome.Accepted(attempt.Followed, Replayed: true) { Sequenced = SequencedHere(attempt.Followed) });
    }

    /// <summary>True for a tag whose agreement does not tell yet what becomes of it, or is told to nobody; one whose record is not known
    /// may be such a one.</summary>
    private bool IsUndecidedByFeed(Ballot ballot) =>
        _host.HasFeed && ballot.State == TagState.Accepted && ballot.Submission is not { AwaitsNumber: false };

    /// <summary>What became of a tag, for those who want to know whether its operations are in effect: a refused one is rejected.</summary>
    private TagState FateOf(Tag tag)
    {
        if (_book.Find(tag) is { } ballot)
        {
            return IsUndecidedByFeed(ballot) ? TagState.Open : ballot.State;
        }

        TagState state = OutcomeOf(tag).State;
        return state == TagState.Accepted && _host.HasFeed
            && _host.Sequenced(tag).Verdict is FeedVerdict.Stale or FeedVerdict.Refused or FeedVerdict.Repeated
            ? TagState.Rejected
            : state;
    }

    /// <summary>
    /// A question about a tag that is agreed. A repeated one goes on with the first of its key; a stale one with its key, which a fresh tag
    /// may have: only a fence tells that none has or will.
    /// </summary>
    private void AnswerByFeed(TagInquiry inquiry, Moment now)
    {
        if (_book.Find(inquiry.Tag) is null && OutcomeOf(inquiry.Tag).State == TagState.Unknown)
        {
            // A peer's word. Whether the feed has a say depends on the record, which is fetched.
            Decide(_book.Add(new Ballot(inquiry.Tag, now.Now)), TagState.Accepted, default, now);
        }

        FeedOutcome outcome = _host.Sequenced(inquiry.Tag);
        switch (FateOf(inquiry.Tag))
        {
            case TagState.Accepted:
                EndInquiry(inquiry, TagState.Accepted);
                break;
            case TagState.Rejected when outcome.Verdict == FeedVerdict.Repeated && inquiry.GoesOnWith(outcome.First):
                AskForTag(inquiry, now);
                break;
            case TagState.Rejected when outcome.Verdict == FeedVerdict.Stale:
                _tagInquiries.Remove(inquiry.Id);
                InquireKey(outcome.Key!, fence: true, inquiry.Deadline, now, (answer, at) => GoOnWithKey(inquiry, answer, at));
                break;
            case TagState.Rejected:
                EndInquiry(inquiry, TagState.Rejected);
                break;
        }
    }

    private void GoOnWithKey(TagInquiry inquiry, KeyAnswer answer, Moment now)
    {
        _tagInquiries.Add(inquiry.Id, inquiry);
        switch (answer.State)
        {
            case TagState.Accepted when inquiry.GoesOnWith(answer.Tag):
                AskForTag(inquiry, now);
                break;
            case TagState.Fenced:
                EndInquiry(inquiry, TagState.Rejected);
                break;
            default:
                EndInquiry(inquiry, TagState.Open);
                break;
        }
    }
}
