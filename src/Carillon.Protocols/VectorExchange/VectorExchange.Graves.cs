using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.VectorExchange;

/// <content>Aborts and noes: recorded, and told until everybody has acknowledged them durably ◆.</content>
public sealed partial class VectorExchange
{
    /// <summary>Rejected tags that somebody must still be told of: dropped once all have acknowledged durably ◆ (or a server's return
    /// revives the tag).</summary>
    private readonly SortedDictionary<Tag, (Tag Successor, VoterSet Untold)> _graves = [];

    /// <summary>True if nothing is known of a tag that would contradict a *no*.</summary>
    private bool MayTakeNo(Tag tag) => OutcomeOf(tag).State is TagState.Unknown or TagState.TooOld;

    private void OnDecidedNo(int from, Decided decided, Ballot? ballot, Moment now)
    {
        // Who decided a *no* tells everybody, not the accepting server alone: any server that was away may hold a yes bit of round 0, and
        // would revive the tag once the others have forgotten it.
        ulong position = ballot is not null || MayTakeNo(decided.Tag)
            ? Bury(decided.Tag, decided.Successor, default, now)
            : _lastNo;
        Send(from, new TagMessage(MessageType.AbortAck, decided.Tag), position);
    }

    private bool OnAbort(int from, Abort abort, Moment now)
    {
        Ballot? ballot = _book.Find(abort.Tag);
        if (ballot is { IsOpen: true, OwnBit: { Value: true } } && ConfigurationEntry.IsOne(ballot.Submission))
        {
            // Its server has a later version in force, by another entry, and tells again.
            return true;
        }

        if (abort.Tag.Uid.Server != _configuration.Voters[from] || ballot is { OwnBit: { Value: true } } or { State: TagState.Accepted })
        {
            return false;
        }

        ulong position = ballot is not null || MayTakeNo(abort.Tag)
            ? Bury(abort.Tag, abort.Successor, default, now)
            : _lastNo;
        Send(from, new TagMessage(MessageType.AbortAck, abort.Tag), position);
        return true;
    }

    private void OnAbortAck(int from, Tag tag, Moment now)
    {
        if (_graves.TryGetValue(tag, out (Tag Successor, VoterSet Untold) grave))
        {
            VoterSet untold = grave.Untold.Without(from);
            if (untold.Count == 0)
            {
                Sometimes.Reached("no-acknowledged-by-all");
                _graves.Remove(tag);
            }
            else
            {
                _graves[tag] = grave with { Untold = untold };
            }
        }
    }

    /// <summary>A tag is rejected for good: recorded, its record dropped, those who must know told until they acknowledge. Returns the
    /// record's position.</summary>
    private ulong Bury(Tag tag, Tag successor, VoterSet toTell, Moment now)
    {
        toTell = toTell.Without(_bit);
        _uploads.Remove(tag);
        Attempt? attempt = null;
        if (_book.Find(tag) is { } ballot)
        {
            Invariant.That(ballot.IsOpen);
            ballot.State = TagState.Rejected;
            ballot.Successor = successor;
            attempt = ballot.Attempt;
            ballot.Attempt = null;
            _book.Remove(ballot);
            BindTo(ballot);
            if (ballot.Submission is { } resolved)
            {
                WakeContended(resolved, now);
            }
        }

        ulong position = Persist(Records.Rejected(tag, successor, toTell.Bits));
        _lastNo = position;
        if (toTell.Count > 0 && !SeededBug.Is("noes-forgotten"))
        {
            _graves[tag] = (successor, toTell);
            for (int bit = 0; bit < _configuration.Voters.Length; bit++)
            {
                if (toTell.Contains(bit) && _connected.Contains(bit) && !Buggify.Here("no-told-late", 0.9))
                {
                    TellGrave(bit, tag, successor, position);
                }
            }

            ScheduleGraves(now);
        }

        _host.Rejected(tag, successor);
        if (attempt is { HasAnswered: false, Phase: AttemptPhase.Pushing or AttemptPhase.Exchanging })
        {
            attempt.Phase = AttemptPhase.Reserving;
            WhenDurable(position, _ =>
                Reject(attempt, RejectionReason.Resolved, "the submission was given up by a resolution round; try again"));
        }

        Settle(tag, TagState.Rejected, successor, now);
        return position;
    }

    /// <summary>Who took part in the decision of a tag that is *no* remembers that longer than the outcome (seed 705): it only learnt
    /// it, so others may still have to be told.</summary>
    private void BindTo(Ballot rejected)
    {
        if ((rejected.OwnBit is not null || rejected.Promised > 0) && !SeededBug.Is("learnt-no-forgotten"))
        {
            _givenUp.Add(rejected.Tag, "");
        }
    }

    private void TellGrave(int bit, Tag tag, Tag successor, ulong after)
    {
        if (IsOwn(tag))
        {
            Send(bit, new Abort(tag, successor), after);
        }
        else
        {
            Send(bit, new Decided(tag, TagState.Rejected, successor), after);
        }
    }

    private void TellGraves(int bit)
    {
        foreach ((Tag tag, (Tag successor, VoterSet untold)) in _graves)
        {
            if (untold.Contains(bit) && !Buggify.Here("no-told-late", 0.9))
            {
                TellGrave(bit, tag, successor, _host.Durable);
            }
        }
    }

    private void ScheduleGraves(Moment now)
    {
        if (!_gravesScheduled)
        {
            _gravesScheduled = true;
            Schedule(GravesTimer, now.Now + _options.ResendLast);
        }
    }

    private void TickGraves(Moment now)
    {
        _gravesScheduled = false;
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            if (bit != _bit && _connected.Contains(bit))
            {
                TellGraves(bit);
            }
        }

        if (_graves.Count > 0)
        {
            ScheduleGraves(now);
        }
    }
}
