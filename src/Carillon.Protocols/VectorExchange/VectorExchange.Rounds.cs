using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>Resolution by rounds ◆.</content>
public sealed partial class VectorExchange
{
    /// <summary>What is known of a tag that is not open: a *no* that somebody must still be told of is known however old it is.</summary>
    private AppliedOutcome OutcomeOf(Tag tag) =>
        _graves.TryGetValue(tag, out (Tag Successor, VoterSet Untold) grave)
            ? new AppliedOutcome(TagState.Rejected, grave.Successor)
            : _host.Outcome(tag) is { State: not TagState.Unknown } known ? known
            : new AppliedOutcome(_givenUp.Contains(tag) ? TagState.TooOld : TagState.Unknown, default);

    /// <summary>Somebody here is held up by an open tag: a round is taken, soon if its accepting server is away, later if it is at
    /// work.</summary>
    private void Contest(Ballot ballot, Moment now)
    {
        if (ballot.Contested || !ballot.IsOpen)
        {
            return;
        }

        ballot.Contested = true;
        bool isAtWork = IsAcceptorConnected(ballot.Tag) && !Buggify.Here("round-at-once", 0.5);
        TimeSpan patience = isAtWork ? _options.ResendFirst * 2 : TimeSpan.Zero;
        ballot.RoundNotBefore = now.Now + patience + _random.Below(_options.RoundBackoff / 4);
        Schedule(ballot, ballot.RoundNotBefore);
    }

    /// <summary>As above, for a tag that may be unknown here.</summary>
    private void Contest(Tag tag, Moment now)
    {
        if (_book.Find(tag) is not null || !IsOwn(tag))
        {
            Contest(FindOrAdd(tag, now), now);
        }
        else if (!_uploads.Contains(tag) && tag.Uid.Stamp >= _host.OutcomesSince && _host.MayVote)
        {
            // A tag of one's own that is neither open nor decided was never given a bit: who still holds it open is told.
            Bury(tag, default, AllOthers, now);
        }
    }

    private void TickRound(Ballot ballot, Moment now)
    {
        bool ownAttemptAtWork = IsOwn(ballot.Tag) && ballot.Shown is null;
        if (!SeededBug.Is("no-rounds") && ballot.Contested && ballot.IsOpen && now.Now >= ballot.RoundNotBefore && !ownAttemptAtWork
            && _host.MayVote && Quorum.IsReachedBy(_connected) && _host.CanAppend(64, urgent: true) && !IsPastEntry(ballot))
        {
            if (MayBeOfAnEarlierDisk(ballot.Tag, ballot) || (ballot.Submission is null && MayHaveForgotten(ballot.Tag, ballot, NoName)))
            {
                LearnTheName(ballot, now);
            }
            else if (MayHaveForgotten(ballot.Tag, ballot, NoName))
            {
                DropAsTooOld(ballot, now);
            }
            else
            {
                TakeRound(ballot, now);
            }
        }
    }

    /// <summary>A round's number is one that its taker alone can use, greater than every one that it has promised.</summary>
    private void TakeRound(Ballot ballot, Moment now)
    {
        uint round = (((Math.Max(ballot.Promised, ballot.RoundSeen) >> 6) + 1) << 6) | (uint)_bit;
        var taken = new TakenRound(round);
        ballot.Taken = taken;
        ballot.Promised = round;
        ballot.PromisedAt = Persist(Records.Promised(ballot.Tag, round));
        ballot.RoundsTaken++;
        ballot.RoundNotBefore = now.Now + (_options.RetryInterval * 2)
            + _random.Below(_options.RoundBackoff * Math.Min(ballot.RoundsTaken, 8));
        Schedule(ballot, ballot.RoundNotBefore);
        Figures.RoundsTaken++;
        _host.RoundTaken(ballot.Tag, round);
        ObjectName first = ballot.Submission?.Operations[0].Target ?? NoName;
        ulong after = SeededBug.Is("promise-not-durable") ? 0 : ballot.PromisedAt;
        SendToConnected(new Ask(ballot.Tag, _configuration.Version, round, first), after);
        WhenDurable(ballot.PromisedAt, later =>
        {
            if (ballot.Taken == taken)
            {
                AddPromise(ballot, _bit, ballot.Shown, later);
            }
        });
    }

    private void OnAsk(int from, Ask ask, Moment now)
    {
        if (ask.Configuration != _configuration.Version || !_host.MayVote || AnswersFromOutcome(from, ask.Tag, reply: true, now))
        {
            return;
        }

        Ballot? ballot = _book.Find(ask.Tag);
        bool isOwnAtWork = ballot is { IsOpen: true, Shown: null } && IsOwn(ask.Tag);
        if (!isOwnAtWork && MayHaveForgotten(ask.Tag, ballot, ask.First))
        {
            Send(from, new Decided(ask.Tag, TagState.TooOld, default));
            return;
        }

        bool isOfAnyDisk = MayBeOfAnEarlierDisk(ask.Tag, ballot);
        if (isOfAnyDisk && ask.First.Name.Length == 0)
        {
            // Who asks has no record either: nothing of what it drops at this word may be needed (seed 74 with changes).
            Send(from, new Decided(ask.Tag, TagState.TooOld, default));
            return;
        }

        if (ballot is null)
        {
            if (_book.Count >= _options.MaxOpenTags || !_host.CanAppend(64, urgent: true))
            {
                return;
            }

            ballot = _book.Add(new Ballot(ask.Tag, now.Now));
        }

        if (isOfAnyDisk)
        {
            // It is asked again.
            StartFetch(ballot, from, now);
            return;
        }

        ballot.AskedAs = ConfigurationEntry.IsTarget(ask.First) ? ask.First : ballot.AskedAs;
        if (!ballot.IsOpen)
        {
            Send(from, new Decided(ask.Tag, ballot.State, ballot.Successor));
        }
        else if (IsPastEntry(ballot))
        {
            // The feed tells what became of it.
        }
        else if (isOwnAtWork)
        {
            AbortBecauseAsked(ballot, now);
        }
        else if (ask.Round < ballot.Promised || (ballot.OwnBit is { } own && own.Round >= ask.Round))
        {
            Send(from, new Barred(ask.Tag, Math.Max(ballot.Promised, ballot.OwnBit?.Round ?? 0)));
        }
        else
        {
            GivePromise(ballot, from, ask.Round);
        }
    }

    private void GivePromise(Ballot ballot, int to, uint round)
    {
        if (round > ballot.Promised)
        {
            ballot.Promised = round;
            ballot.PromisedAt = Persist(Records.Promised(ballot.Tag, round));
            if (ballot.WantedRound < round)
            {
                ballot.WantedRound = null;
            }

            if (ballot.Taken is { } taken && taken.Round < round)
            {
                ballot.Taken = null;
            }
        }

        // What is carried is shown as a bit of no round: it binds the value, and counts for nothing.
        (uint bitRound, bool bitValue) = ballot.OwnBit ?? (CarriedTag.Decided, true);
        bool shows = ballot.Shown is not null && !SeededBug.Is("promise-hides-its-bit");
        var promise = new Promise(ballot.Tag, round, shows, shows ? bitRound : 0, shows && bitValue, ballot.Hash);
        Send(to, promise, SeededBug.Is("promise-not-durable") ? 0 : ballot.PromisedAt);
    }

    /// <summary>The accepting server, asked for a promise before its own exchange, gives the tag up: its round 0 would be barred.</summary>
    private void AbortBecauseAsked(Ballot ballot, Moment now)
    {
        if (ballot.IsBeingReplaced)
        {
            return;
        }

        Sometimes.Reached("acceptor-asked-before-its-exchange");
        if (ballot.Attempt is { Phase: AttemptPhase.Pushing } attempt)
        {
            Restamp(attempt, now);
        }
        else
        {
            Bury(ballot.Tag, default, AllOthers, now);
        }
    }

    private void OnPromise(int from, Promise promise, Moment now)
    {
        if (_book.Find(promise.Tag) is not { IsOpen: true, Taken: { } taken } ballot || taken.Round != promise.Round)
        {
            return;
        }

        if (ballot.Hash == default && promise.HasBit)
        {
            ballot.Hash = promise.Hash;
        }

        if (promise.HasBit)
        {
            Sometimes.Reached("promise-shows-a-bit");

            if (promise.BitRound != CarriedTag.Decided)
            {
                // A promise is its sender's own word: the bit that it shows counts as if a vector had brought it.
                Tally tally = ballot.TallyOf(promise.BitRound, promise.BitValue);
                tally.Bits = tally.Bits.With(from);
            }
        }

        (uint Round, bool Value)? shown = promise.HasBit
            ? (promise.BitRound == CarriedTag.Decided ? 0 : promise.BitRound, promise.BitValue) : null;
        AddPromise(ballot, from, shown, now);
        CheckDecided(ballot, now);
    }

    private void AddPromise(Ballot ballot, int from, (uint Round, bool Value)? bit, Moment now)
    {
        TakenRound taken = ballot.Taken!;
        taken.Promises = taken.Promises.With(from);
        if (bit is { } shown
            && (taken.Greatest is not { } greatest || (shown.Round > greatest.Round && !SeededBug.Is("round-follows-the-first-bit"))))
        {
            taken.Greatest = shown;
        }

        int needed = SeededBug.Is("round-of-a-minority") ? 1 : Quorum.Size;
        if (taken.Proposed is null && taken.Promises.Count >= needed)
        {
            // The value of the greatest round that any promise showed; *no* only if none showed a bit ◆.
            taken.Proposed = taken.Greatest?.Value == true && !SeededBug.Is("round-ignores-bits");
            Propose(ballot, now);
        }
    }

    private void Propose(Ballot ballot, Moment now)
    {
        if (ballot.Taken is { Proposed: { } value } taken && ballot.Promised == taken.Round)
        {
            TrySetBit(ballot, taken.Round, value, now);
        }
    }

    private void OnBarred(Barred barred, Moment now)
    {
        if (_book.Find(barred.Tag) is not { IsOpen: true } ballot)
        {
            return;
        }

        // Round 0 is barred for its own accepting server as well: it joins the rounds. Rivals back off at random.
        ballot.Contested = true;
        if (ballot.Taken is { } taken && taken.Round < barred.Promised)
        {
            Sometimes.Reached("round-barred-by-a-rival");
            ballot.Taken = null;
        }

        ballot.RoundSeen = Math.Max(ballot.RoundSeen, barred.Promised);
        Instant again = now.Now + _random.Below(_options.RoundBackoff * Math.Clamp(ballot.RoundsTaken, 1, 8));
        ballot.RoundNotBefore = again;
        Schedule(ballot, again);
    }

    /// <summary>Answers about a tag that is decided and no longer open ◆: never with a promise, never with a bit.</summary>
    private bool AnswersFromOutcome(int from, Tag tag, bool reply, Moment now)
    {
        if (_book.Find(tag) is not null || SeededBug.Is("decided-tag-forgotten"))
        {
            return false;
        }

        AppliedOutcome outcome = OutcomeOf(tag);
        if (outcome.State == TagState.Unknown && IsOwn(tag) && !_uploads.Contains(tag) && _host.MayVote)
        {
            // A tag of one's own that is neither open nor applied was never given a bit, and its stamp is never used again. A damaged log
            // may have lost that bit.
            outcome = new AppliedOutcome(tag.Uid.Stamp < _host.OutcomesSince ? TagState.TooOld : TagState.Rejected, default);
        }

        if (outcome.State == TagState.Unknown)
        {
            return false;
        }

        // Whoever asks asks again.
        if (reply && !Buggify.Here("outcome-not-told", 0.8))
        {
            Sometimes.Reached("outcome-answered-from-memory");
            Send(from, new Decided(tag, outcome.State, outcome.Successor));
        }

        return true;
    }

    private void OnDecided(int from, Decided decided, Moment now)
    {
        Ballot? ballot = _book.Find(decided.Tag);
        switch (decided.State)
        {
            case TagState.Accepted when ballot is { IsOpen: true }:
                Decide(ballot, TagState.Accepted, default, now);
                break;
            case TagState.Rejected when ballot is { State: TagState.Accepted }:
                Invariant.That(false, $"{decided.Tag} is accepted here and rejected at {_configuration.Voters[from]}");
                break;
            case TagState.Rejected:
                OnDecidedNo(from, decided, ballot, now);
                break;
            case TagState.TooOld when ballot is { IsOpen: true, Attempt: null or { HasAnswered: true } }
                or { State: TagState.Accepted, Submission: null }:
                HearTooOld(from, ballot, now);
                break;
        }

        AnswerInquiries(from, decided, now);
    }

    /// <summary>The collector of temporaries: resolves what was stored long ago and decided by nobody.</summary>
    private void SweepTemporaries(Moment now)
    {
        foreach (Ballot ballot in _book.InOrder())
        {
            if (ballot.IsOpen && (ballot.Created + _options.TemporaryTtl <= now.Now || Buggify.Here("temporary-swept-early")))
            {
                Sometimes.Reached("temporary-swept");
                Contest(ballot, now);
            }
        }

        Schedule(SweepTimer, now.Now + (_options.TemporaryTtl / 4));
    }

    /// <summary>Stands for a name that is not known.</summary>
    private static readonly ObjectName NoName = new("", "");

    // Questions and attempts are numbered from 2.
    private const ulong GravesTimer = 0;
    private const ulong SweepTimer = 1;

    private bool _gravesScheduled;

    /// <summary>Log position of the newest *no*:
    /// a repeated one is acknowledged once this is durable, as its own record may not be.</summary>
    private ulong _lastNo;
}
