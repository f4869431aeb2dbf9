using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>The accepting server's side of a push: steps 206 to 210, and what it does about refusals.</content>
public sealed partial class VectorExchange
{
    /// <summary>Steps 206 and 304: the record to every connected entry server, this one included.</summary>
    private void StartPush(Attempt attempt, Submission submission, Moment now)
    {
        attempt.Phase = AttemptPhase.Pushing;
        attempt.Asked = new VoterSet(1UL << _bit);
        attempt.Held = default;
        attempt.Repeat = default;
        attempt.Refusals.Clear();
        attempt.Deadline = now.Now + (Buggify.Here("push-timeout-short", 0.2) ? _options.PushTimeout / 20 : _options.PushTimeout)
            + TimeSpan.FromSeconds((double)submission.Encoded.Length / _options.PushMinimumRate);
        PushAnswer own = ConsiderPush(_bit, now.Wall, submission, now);
        if (own.Verdict != PushVerdict.Held)
        {
            attempt.Phase = AttemptPhase.Reserving;
            attempt.Ballot = null;
            attempt.Replaces = submission.Replaces;
            attempt.Upload = submission.Replaces.IsNone ? submission.Tag : default;
            attempt.Refusals[_bit] = own;
            RefusedByOneself(attempt, own, now);
            return;
        }

        // Not before: while neither it nor its successor is stored, who asks about an upload's tag must not be told that it is over.
        _uploads.Remove(submission.Replaces);
        _uploads.Remove(submission.Tag);
        Ballot ballot = _book.Find(submission.Tag)!;
        ballot.Attempt = attempt;
        attempt.Ballot = ballot;
        attempt.PushMessage = MessageCodec.Encode(new Push(now.Wall, _configuration.Version, submission.Encoded));
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            // A push that is lost is one that was never answered.
            if (bit != _bit && _connected.Contains(bit) && !Buggify.Here("push-misses-one", 0.15))
            {
                SendPush(attempt, bit);
            }
        }

        Schedule(attempt.Id, attempt.Deadline);
    }

    /// <summary>A server must hold what it accepts (VE-41): without its own copy there is nothing to push.</summary>
    private void RefusedByOneself(Attempt attempt, PushAnswer own, Moment now)
    {
        switch (own.Verdict)
        {
            case PushVerdict.Stale:
                attempt.Floor = Timestamp.Max(attempt.Floor, own.Greatest.Stamp);
                attempt.Restamps++;
                TakeTag(attempt, now);
                break;
            case PushVerdict.KeyHeld:
                Follow(attempt, own.Other, now);
                break;
            case PushVerdict.Contended:
                WaitForPlain(attempt, now);
                break;
            default:
                RejectBecauseOf(attempt, own.Verdict);
                break;
        }
    }

    private void SendPush(Attempt attempt, int bit)
    {
        attempt.Asked = attempt.Asked.With(bit);
        _host.Send(_configuration.Voters[bit], attempt.PushMessage, 0);
    }

    private void OnPushAnswer(int from, PushAnswer answer, Moment now)
    {
        if (_book.Find(answer.Tag)?.Attempt is not { Phase: AttemptPhase.Pushing } attempt || attempt.Ballot!.Tag != answer.Tag)
        {
            return;
        }

        if (answer.Verdict == PushVerdict.Held)
        {
            attempt.Held = attempt.Held.With(from);
            attempt.Refusals.Remove(from);
        }
        else
        {
            // Contended may take back what was said before.
            attempt.Held = attempt.Held.Without(from);
            attempt.Refusals[from] = answer;
            attempt.Floor = Timestamp.Max(attempt.Floor, answer.Greatest.Stamp);
        }

        Evaluate(attempt, now);
    }

    /// <summary>Step 208: goes on to the exchange, waits, takes a fresh stamp, follows, or gives up.</summary>
    private void Evaluate(Attempt attempt, Moment now)
    {
        Ballot ballot = attempt.Ballot!;
        if (ballot.Promised > 0)
        {
            Restamp(attempt, now);
            return;
        }

        if (IsDead(ballot.Submission!))
        {
            Restamp(attempt, now);
            return;
        }

        int needed = SeededBug.Is("push-without-quorum") ? 1 : Quorum.Size;
        if (attempt.Held.Count >= needed && attempt.Held.Contains(_bit))
        {
            StartExchange(attempt, now);
            return;
        }

        foreach (PushAnswer answer in attempt.Refusals.OrderBy(r => r.Key).Select(r => r.Value).Where(
            a => a.Verdict == PushVerdict.KeyHeld))
        {
            if (MeetsRival(attempt, answer, now))
            {
                return;
            }
        }

        if (attempt.Refusals.Values.Any(a => a.Verdict == PushVerdict.Contended))
        {
            _contended.Add(attempt.Id);
            RepeatLater(attempt, now);
        }

        VoterSet refused = default;
        foreach (int bit in attempt.Refusals.Keys)
        {
            refused = refused.With(bit);
        }

        VoterSet open = new VoterSet(_connected.Bits & ~refused.Bits) | attempt.Repeat;
        if (Quorum.IsImpossible(attempt.Held, open.With(_bit)))
        {
            ReactToRefusals(attempt, now);
        }
    }

    /// <summary>
    /// Another tag of the key is ahead somewhere ◆. It is given way to only if it is accepted, comes from a server with a lower name, or
    /// its accepting server is down; past any other the push is repeated, since that one's server gives way. Names, and not stamps, decide:
    /// a rival that is stamped afresh meanwhile keeps its place, so that two whose pushes cross do not both abort.
    /// </summary>
    private bool MeetsRival(Attempt attempt, PushAnswer answer, Moment now)
    {
        if (IsOwn(answer.Other) && _book.Find(answer.Other) is null && answer.OtherState == TagState.Open)
        {
            // A tag of this server's own that is over here and not there: an earlier one of this attempt, or of the key's former user.
            int there = attempt.Refusals.First(r => r.Value == answer).Key;
            AppliedOutcome fate = OutcomeOf(answer.Other);
            if (fate.State == TagState.Accepted)
            {
                Send(there, new Decided(answer.Other, TagState.Accepted, default));
            }
            else
            {
                Send(there, new Abort(answer.Other, fate.Successor));
            }

            RepeatLater(attempt, now);
            return false;
        }

        if (IsOwn(answer.Other) && _host.HasFeed && _host.Sequenced(answer.Other).Verdict == FeedVerdict.Stale)
        {
            // That server has not come to its number yet.
            RepeatLater(attempt, now);
            return false;
        }

        if (answer.Fingerprint != attempt.Fingerprint)
        {
            GiveUpTag(attempt, now, (a, _) =>
                Reject(a, RejectionReason.KeyMismatch, $"the key belongs to submission {answer.Other}, which is something else"));
            return true;
        }

        bool givesWay = answer.OtherState == TagState.Accepted || answer.Other.Uid.Server < _self || !IsAcceptorConnected(answer.Other);
        if (givesWay)
        {
            GiveWay(attempt, answer.Other, now);
            return true;
        }

        Sometimes.Reached("push-repeated-for-a-rival");
        RepeatLater(attempt, now);
        return false;
    }

    /// <summary>
    /// The rival becomes the tag's successor, so that who asks about either is told the same. If nothing comes of the rival (it gave way
    /// too), the attempt ends with it: whoever saw the tag rejected must not see its content accepted under a later one.
    /// </summary>
    private void GiveWay(Attempt attempt, Tag rival, Moment now)
    {
        Ballot ballot = Detach(attempt);
        attempt.Replaces = default;
        attempt.Upload = default;
        ulong position = Bury(ballot.Tag, rival, attempt.Asked.Without(_bit), now);
        WhenDurable(position, later =>
        {
            attempt.Phase = AttemptPhase.Following;
            attempt.Followed = rival;
            attempt.Deadline = later.Now + _options.ExchangeTimeout;
            Schedule(attempt.Id, attempt.Deadline);
            InquireTag(rival, attempt.Deadline, later, report => EndByReport(
                attempt, report, "another request with this key was ahead and was given up; try again"));
        });
    }

    private void RepeatLater(Attempt attempt, Moment now)
    {
        foreach ((int bit, PushAnswer refusal) in attempt.Refusals)
        {
            if (refusal.Verdict is PushVerdict.KeyHeld or PushVerdict.Contended)
            {
                attempt.Repeat = attempt.Repeat.With(bit);
            }
        }

        if (attempt.RetryAt == Instant.Never)
        {
            attempt.RetryAt = now.Now + _options.RetryInterval;
            Schedule(attempt.Id, attempt.RetryAt);
        }
    }

    private void ReactToRefusals(Attempt attempt, Moment now)
    {
        PushAnswer[] refusals = [.. attempt.Refusals.OrderBy(r => r.Key).Select(r => r.Value)];
        bool Any(PushVerdict verdict) => Array.Exists(refusals, r => r.Verdict == verdict);
        int fenced = refusals.Count(r => r.Verdict == PushVerdict.KeyFenced);
        if (Quorum.IsReachedBy(fenced))
        {
            GiveUpTag(attempt, now, (a, _) => Reject(a, RejectionReason.KeyFenced, "the key was given up: a quorum refuses it"));
        }
        else if (Any(PushVerdict.Stale) || Any(PushVerdict.Resolving) || Any(PushVerdict.Unnumbered))
        {
            // The bucket's record has not come here yet.
            attempt.MustBeSequenced |= Any(PushVerdict.Unnumbered);
            Restamp(attempt, now);
        }
        else
        {
            PushVerdict verdict = refusals.Length == 0 ? PushVerdict.NotVoting
                : Any(PushVerdict.Fenced) ? PushVerdict.Fenced : refusals[^1].Verdict;
            GiveUpTag(attempt, now, (a, _) =>
            {
                if (refusals.Length == 0)
                {
                    Reject(a, RejectionReason.NoQuorum,
                        $"{_connected.Count} of {Quorum.Voters} entry servers are connected, {Quorum.Size} are needed");
                }
                else
                {
                    RejectBecauseOf(a, verdict);
                }
            });
        }
    }

    private void RejectBecauseOf(Attempt attempt, PushVerdict verdict)
    {
        (RejectionReason reason, string detail) = verdict switch
        {
            PushVerdict.Full => (RejectionReason.Full, "too many servers are out of space; free some, or add servers"),
            PushVerdict.ClockSkew =>
                (RejectionReason.ClockSkew, "this server's clock is too far from the others'; set it, or use another server"),
            PushVerdict.BucketUnknown => (RejectionReason.BucketNotFound, "the bucket was removed"),
            PushVerdict.BucketExists => (RejectionReason.BucketExists, "the bucket exists with other settings"),
            PushVerdict.BucketNotEmpty => (RejectionReason.BucketNotEmpty, "the bucket has names, or submissions on their way"),
            PushVerdict.KeyFenced => (RejectionReason.PushTimeout, "the key is being given up by an inquiry; ask for its outcome"),
            PushVerdict.Fenced => (RejectionReason.Fenced, $"fenced: {attempt.Fence} is not the newest epoch that was granted"),
            PushVerdict.Rejected => (RejectionReason.Resolved, "the submission was given up by a resolution round; try again"),
            PushVerdict.NotVoting => (RejectionReason.NotVoting, "too few servers take part in agreement at present"),
            _ => (RejectionReason.NoQuorum, "no quorum of entry servers took the submission"),
        };
        Reject(attempt, reason, detail);
    }

    /// <summary>Aborts the attempt's tag before any exchange, durably, and only then goes on (steps 210 and 308).</summary>
    private void GiveUpTag(Attempt attempt, Moment now, Action<Attempt, Moment> then)
    {
        Ballot ballot = Detach(attempt);
        ulong position = Bury(ballot.Tag, default, attempt.Asked.Without(_bit), now);
        WhenDurable(position, later => then(attempt, later));
    }

    /// <summary>
    /// A fresh tag for a stale one (VE-68). The fresh one's record is the old one's abort, here and wherever it is pushed, and names it as
    /// its successor; until that is written the old one stays as it is, without a bit.
    /// </summary>
    private void Restamp(Attempt attempt, Moment now)
    {
        Sometimes.Reached("tag-stamped-afresh");
        Ballot ballot = Detach(attempt);
        ballot.IsBeingReplaced = true;
        attempt.Replaces = ballot.Tag;
        attempt.ReplacesStale = false;
        if (++attempt.Restamps > _options.MaxRestamps)
        {
            Reject(attempt, RejectionReason.PushTimeout, "other writers of this name were always ahead; try again");
            return;
        }

        Figures.Restamps++;
        TakeTag(attempt, now);
    }

    private static Ballot Detach(Attempt attempt)
    {
        Ballot ballot = attempt.Ballot!;
        Invariant.That(ballot.OwnBit is null && attempt.Phase == AttemptPhase.Pushing);
        attempt.Phase = AttemptPhase.Reserving;
        attempt.Ballot = null;
        ballot.Attempt = null;
        return ballot;
    }
}
