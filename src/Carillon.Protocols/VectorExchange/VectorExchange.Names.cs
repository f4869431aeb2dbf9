using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>
/// Rules of a name where there is a feed: of a plain and a conditional submission of one name, whichever a server met first, it makes the
/// conditional one wait for the plain one's place in the feed, or the plain one take a fresh stamp. *Resolved* is what is no longer in the
/// book: applied from the feed here, or decided *no*.
/// </content>
public sealed partial class VectorExchange
{
    /// <summary>Attempts that wait for a plain submission to be resolved, here or elsewhere.</summary>
    private readonly SortedSet<ulong> _contended = [];

    /// <summary>The unresolved plain submission of one of its names that a conditional one has to wait for ◆, or null.</summary>
    private Ballot? ContendedBy(Submission submission)
    {
        if (!submission.IsConditional || !_host.HasFeed || SeededBug.Is("contended-push-taken"))
        {
            return null;
        }

        foreach (Operation operation in submission.Operations)
        {
            foreach (Ballot other in _book.Of(operation.Target))
            {
                // Two conditional ones never contend ◆: the feed decides, and after a crash each would wait for the other for ever. Entries
                // of one version do ◆: a round ends what its server left.
                if (other.Tag != submission.Tag && other.Tag != submission.Replaces
                    && (!other.Submission!.IsConditional || SeededBug.Is("conditional-ones-contend")
                        || (ConfigurationEntry.IsTarget(operation.Target) && !SeededBug.Is("rival-entries"))))
                {
                    return other;
                }
            }
        }

        return null;
    }

    /// <summary>A submission of one of its names that has this server's yes bit, and beside which this one gets none ◆, or null.</summary>
    private Ballot? HeldBackBy(Submission submission)
    {
        bool isLeftOut = submission.IsConditional
            ? SeededBug.Is("conditional-bit-beside-plain")
            : SeededBug.Is("plain-bit-beside-conditional");
        if (!_host.HasFeed || isLeftOut)
        {
            return null;
        }

        foreach (Operation operation in submission.Operations)
        {
            foreach (Ballot other in _book.Of(operation.Target))
            {
                bool isAhead = submission.IsConditional ? other.Tag.Uid < submission.Tag.Uid : other.Tag.Uid > submission.Tag.Uid;
                if (isAhead && other.Submission!.IsConditional != submission.IsConditional && other.Shown is { Value: true })
                {
                    return other;
                }
            }
        }

        return null;
    }

    /// <summary>
    /// True for a plain submission that can never be agreed: a conditional one of its name with a greater UID is applied, and it is not, so
    /// it stands at no lower number. Every quorum that agreed on the conditional one shares a server with any that could agree on this;
    /// that one set the other bit first, and this one's not before the other had failed.
    /// </summary>
    private bool IsDead(Submission submission)
    {
        if (submission.IsConditional || !_host.HasFeed || SeededBug.Is("dead-tag-exchanged"))
        {
            return false;
        }

        foreach (Operation operation in submission.Operations)
        {
            if (_host.GreatestApplied(operation.Target).Uid > submission.Tag.Uid
                && _host.HasConditionalAbove(operation.Target, submission.Tag.Uid))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>The check at a yes bit, of any round. What holds it back is resolved, if nobody is at it.</summary>
    private bool IsHeldBack(Ballot ballot, uint round, Moment now)
    {
        if (HeldBackBy(ballot.Submission!) is { } other)
        {
            Sometimes.Reached(other.Submission!.IsConditional ? "plain-bit-waits" : "conditional-bit-waits");
            ballot.WantedRound = round;
            Contest(other, now);
            Schedule(ballot, now.Now + _options.RetryInterval);
            return true;
        }

        return IsDead(ballot.Submission!);
    }

    /// <summary>
    /// This server has set a plain submission's bit: what it said about pending conditional ones of the name no longer holds ◆. They stay
    /// stored, and are pushed again.
    /// </summary>
    private void Withdraw(Submission plain, Moment now)
    {
        if (plain.IsConditional || !_host.HasFeed || SeededBug.Is("no-withdrawal-of-a-push"))
        {
            return;
        }

        foreach (Operation operation in plain.Operations)
        {
            foreach (Ballot other in _book.Of(operation.Target).ToArray())
            {
                if (other is not { IsOpen: true, OwnBit: null, Submission.IsConditional: true } || other.Tag.Uid < plain.Tag.Uid)
                {
                    continue;
                }

                Sometimes.Reached("push-withdrawn");
                if (IsOwn(other.Tag))
                {
                    other.Attempt?.IsHeldHere(false, _bit);
                    if (other.Attempt is { Phase: AttemptPhase.Pushing } attempt)
                    {
                        RepeatLater(attempt, now);
                    }
                }
                else
                {
                    Send(_configuration.BitOf(other.Tag.Uid.Server), Refusal(other.Tag, PushVerdict.Contended));
                }
            }
        }
    }

    /// <summary>A conditional submission that is applied leaves the plain ones of its names with lower UIDs without a future.</summary>
    private void EndDeadTags(Submission applied, Moment now)
    {
        if (!applied.IsConditional)
        {
            return;
        }

        foreach (Operation operation in applied.Operations)
        {
            foreach (Ballot other in _book.Of(operation.Target).ToArray())
            {
                if (other is not { IsOpen: true, Submission.IsConditional: false } || other.Tag.Uid > applied.Tag.Uid)
                {
                    continue;
                }

                Sometimes.Reached("tag-dead");
                if (other is { OwnBit: null, Attempt: { Phase: AttemptPhase.Pushing or AttemptPhase.Exchanging } attempt })
                {
                    // No vector of it has left.
                    attempt.Phase = AttemptPhase.Pushing;
                    Evaluate(attempt, now);
                }
                else
                {
                    Contest(other, now);
                }
            }
        }
    }

    /// <summary>An attempt that met a plain submission at its own server: it takes a tag once that is resolved, if that is in
    /// time.</summary>
    private void WaitForPlain(Attempt attempt, Moment now)
    {
        attempt.Phase = AttemptPhase.Waiting;
        if (attempt.WaitsUntil == Instant.Never)
        {
            attempt.WaitsUntil = now.Now + _options.PushTimeout;
        }

        attempt.RetryAt = Instant.Min(attempt.WaitsUntil, now.Now + _options.RetryInterval);
        _contended.Add(attempt.Id);
        Schedule(attempt.Id, attempt.RetryAt);
    }

    private void EndWait(Attempt attempt, Moment now)
    {
        attempt.RetryAt = Instant.Never;
        if (now.Now >= attempt.WaitsUntil)
        {
            Reject(attempt, RejectionReason.PushTimeout, ContendedDetail);
        }
        else
        {
            TakeTag(attempt, now);
        }
    }

    /// <summary>Something of these names is resolved: who waited for it goes on at once.</summary>
    private void WakeContended(Submission resolved, Moment now)
    {
        if (_contended.Count == 0 || resolved.IsConditional)
        {
            return;
        }

        foreach (ulong id in _contended.ToArray())
        {
            if (!_attempts.TryGetValue(id, out Attempt? attempt) || attempt.Phase is not (AttemptPhase.Waiting or AttemptPhase.Pushing))
            {
                _contended.Remove(id);
            }
            else if (attempt.Operations.Any(o => resolved.Operations.Any(r => r.Target == o.Target)))
            {
                attempt.RetryAt = now.Now;
                Schedule(id, now.Now);
            }
        }
    }

    private const string ContendedDetail = "a put or delete of this name has no place in the feed yet; try again";
}
