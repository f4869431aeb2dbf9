using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>Every server's side of a push: what it is checked for, and the record that makes it held (steps 206 and 304).</content>
public sealed partial class VectorExchange
{
    private bool OnPush(int from, WallTime clock, ulong version, ReadOnlySpan<byte> record, Moment now)
    {
        if (!Submission.TryRead(record, out Submission submission)
            || submission.Tag.Uid.Server != _configuration.Voters[from]
            || submission.AcceptingDisk != _configuration.Find(_configuration.Voters[from])!.Disk)
        {
            return false;
        }

        PushAnswer answer = version != _configuration.Version
            ? Refusal(submission.Tag, PushVerdict.NotVoting)
            : ConsiderPush(from, clock, submission, now);
        if (submission is { Replaces.IsNone: false, ReplacesStale: false } && answer.Verdict != PushVerdict.Held)
        {
            Replace(submission, now);
        }

        // A held push is answered once its record is durable; a refusal promises nothing and may leave at once.
        ulong after = answer.Verdict == PushVerdict.Held
            && !SeededBug.Is("push-ack-before-flush") ? _book.Find(submission.Tag)?.StoredAt ?? 0 : 0;
        Send(from, answer, after);
        return true;
    }

    /// <summary>
    /// Stores a pushed submission as pending, or says why not. Everything that can speak against a submission is looked at here, and only
    /// here: once a vector is out, a refusal could leave the tag undecidable.
    /// </summary>
    private PushAnswer ConsiderPush(int from, WallTime clock, Submission submission, Moment now)
    {
        Tag tag = submission.Tag;
        if (!_host.MayVote)
        {
            return Refusal(tag, PushVerdict.NotVoting);
        }

        if (LacksCarried && !ConfigurationEntry.IsOne(submission))
        {
            // Names and keys of what may have been accepted are not known yet ◆: it comes again.
            Sometimes.Reached("push-waits-for-carried-records");
            return Refusal(tag, PushVerdict.Contended);
        }

        if (_book.Find(tag) is { } known)
        {
            if (known.File != FileState.Missing)
            {
                return Refusal(tag, IsWithdrawn(known, now) ? PushVerdict.Contended : PushVerdict.Held);
            }

            if (known.State == TagState.Accepted)
            {
                TakeAgreedRecord(known, submission, now);
                return Refusal(tag, PushVerdict.Held);
            }

            if (known.Promised > 0)
            {
                Sometimes.Reached("push-meets-a-promise");
                return Refusal(tag, PushVerdict.Resolving);
            }
        }

        switch (OutcomeOf(tag).State)
        {
            case TagState.Accepted:
                return Refusal(tag, PushVerdict.Held);
            case TagState.Rejected:
                return Refusal(tag, PushVerdict.Rejected);
            case TagState.TooOld:
                return Refusal(tag, PushVerdict.Resolving);
        }

        if (IsCutOffItsChain(submission) || IsPast(submission.Operations[0].Target))
        {
            return Refusal(tag, PushVerdict.Rejected);
        }

        if (from != _bit && (clock - now.Wall > _options.MaxSkew || !_host.IsClockGood(_configuration.Voters[from])))
        {
            return Refusal(tag, PushVerdict.ClockSkew);
        }

        if (_book.Count >= _options.MaxOpenTags || !_host.CanAppend(submission.Encoded.Length + 1, urgent: false)
            || (from != _bit && Buggify.Here("push-refused", 0.1)))
        {
            return Refusal(tag, PushVerdict.Full);
        }

        return MeetsRulesOfKey(submission, now) ?? MeetsRulesOfNames(submission, now) ?? Store(submission, now);
    }

    /// <summary>
    /// True if the tag that it replaces is decided *no* on its own, or gets this server's bit for that: its put-intents may have ended, and
    /// who asked about it was told *rejected* ◆. Any quorum that decides so shares a server with any that takes the push, and that one met
    /// either the push first, and then gives no such bit, or its own bit.
    /// </summary>
    private bool IsCutOffItsChain(Submission submission) =>
        !submission.Replaces.IsNone && !submission.ReplacesStale
        && (_book.Find(submission.Replaces) is { OwnBit: { Value: false } }
            || OutcomeOf(submission.Replaces) is { State: TagState.Rejected, Successor.IsNone: true });

    private PushAnswer? MeetsRulesOfKey(Submission submission, Moment now)
    {
        if (!SeededBug.Is("key-not-answered") && !SeededBug.Is("two-bits-per-key"))
        {
            (Tag accepted, Digest fingerprint) = _host.AcceptedKey(submission.Key);
            if (!accepted.IsNone && accepted != submission.Tag)
            {
                return new PushAnswer(submission.Tag, PushVerdict.KeyHeld, default, accepted, TagState.Accepted, fingerprint);
            }

            foreach (Ballot other in _book.OfKey(submission.Key))
            {
                if (other.Tag != submission.Tag && other.Tag != submission.Replaces)
                {
                    if (!IsAcceptorConnected(other.Tag))
                    {
                        Contest(other, now);
                    }

                    return new PushAnswer(
                        submission.Tag, PushVerdict.KeyHeld, default, other.Tag, other.State, other.Submission!.Fingerprint);
                }
            }
        }

        if (!IsFenced(submission.Key, now) || SeededBug.Is("key-fence-ignored"))
        {
            return null;
        }

        Sometimes.Reached("push-meets-a-fence");
        return Refusal(submission.Tag, PushVerdict.KeyFenced);
    }

    private PushAnswer? MeetsRulesOfNames(Submission submission, Moment now)
    {
        if (_host.RefusePush(submission) is { } verdict)
        {
            return Refusal(submission.Tag, verdict);
        }

        Uid greatest = default;
        foreach (Operation operation in submission.Operations)
        {
            greatest = Uid.Max(greatest, GreatestKnown(operation.Target));
        }

        if (greatest < submission.Tag.Uid || SeededBug.Is("stale-push-taken"))
        {
            if (ContendedBy(submission) is not { } plain)
            {
                return null;
            }

            Sometimes.Reached("push-contended");
            Figures.ContendedPushes++;
            if (plain.IsOpen && !IsAcceptorConnected(plain.Tag))
            {
                Contest(plain, now);
            }

            return Refusal(submission.Tag, PushVerdict.Contended);
        }

        Sometimes.Reached("push-is-stale");
        Figures.StalePushes++;
        return new PushAnswer(submission.Tag, PushVerdict.Stale, greatest, default, TagState.Unknown, default);
    }

    private PushAnswer Store(Submission submission, Moment now)
    {
        Ballot ballot = _book.Find(submission.Tag) ?? _book.Add(new Ballot(submission.Tag, now.Now));
        StoreRecord(ballot, submission, now);
        Replace(submission, now);
        return Refusal(submission.Tag, PushVerdict.Held);
    }

    private void StoreRecord(Ballot ballot, Submission submission, Moment now)
    {
        if (ballot.Submission is null)
        {
            _book.SetSubmission(ballot, submission);
        }

        ballot.File = FileState.Storing;
        ballot.StoredAt = PersistPending(submission);
        WhenDurable(ballot.StoredAt, later =>
        {
            ballot.File = FileState.Held;
            if (_book.Find(ballot.Tag) != ballot)
            {
                return;
            }

            if (ballot.Attempt is { Phase: AttemptPhase.Pushing } attempt && attempt.Ballot == ballot)
            {
                attempt.IsHeldHere(!IsWithdrawn(ballot, later), _bit);
                Evaluate(attempt, later);
            }

            if (ballot.WantedRound is { } round)
            {
                TrySetBit(ballot, round, value: true, later);
            }

            if (ballot.Taken is not null)
            {
                Propose(ballot, later);
            }
        });
    }

    /// <summary>True for a held conditional submission that lost its acknowledgement to a plain one's bit ◆, until that one is
    /// resolved.</summary>
    private bool IsWithdrawn(Ballot held, Moment now)
    {
        if (held.OwnBit is not null || held.Submission is not { IsConditional: true } submission || HeldBackBy(submission) is not { } plain)
        {
            return false;
        }

        if (plain.IsOpen && !IsAcceptorConnected(plain.Tag))
        {
            Contest(plain, now);
        }

        return true;
    }

    /// <summary>A fresh tag's push is the abort of the tag that it replaces.</summary>
    private void Replace(Submission submission, Moment now)
    {
        if (submission.Replaces.IsNone)
        {
            return;
        }

        if (submission.ReplacesStale)
        {
            _host.Succeeds(submission.Replaces, submission.Tag);
            return;
        }

        // An upload's tag was never pushed, so nobody has a ballot of it; its put-intents follow the chain all the same.
        bool isUpload = _book.Find(submission.Replaces) is null && OutcomeOf(submission.Replaces).State == TagState.Unknown;
        if (isUpload || _book.Find(submission.Replaces) is { IsOpen: true, OwnBit: null })
        {
            Sometimes.Reached("successor-taken");
            Tag successor = SeededBug.Is("abort-without-successor") ? default : submission.Tag;
            Bury(submission.Replaces, successor, IsOwn(submission.Tag) && !isUpload ? AllOthers : default, now);
        }
    }

    private static PushAnswer Refusal(Tag tag, PushVerdict verdict) => new(tag, verdict, default, default, TagState.Unknown, default);
}
