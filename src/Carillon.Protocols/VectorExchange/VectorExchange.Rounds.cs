using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>Resolution by rounds ◆, aborts, and the memory of what was decided *no*.</content>
public sealed partial class VectorExchange
{
    /// <summary>Rejected tags that somebody must still be told of: dropped once all have acknowledged durably ◆ (or a server's return
    /// revives the tag).</summary>
    private readonly SortedDictionary<Tag, (Tag Successor, VoterSet Untold)> _graves = [];

    private readonly GivenUpTags _givenUp = new();

    /// <summary>What is known of a tag that is not open: a *no* that somebody must still be told of is known however old it is.</summary>
    private AppliedOutcome OutcomeOf(Tag tag) =>
        _graves.TryGetValue(tag, out (Tag Successor, VoterSet Untold) grave)
            ? new AppliedOutcome(TagState.Rejected, grave.Successor)
            : _host.Outcome(tag) is { State: not TagState.Unknown } known ? known
            : new AppliedOutcome(_givenUp.Contains(tag) ? TagState.TooOld : TagState.Unknown, default);

    /// <summary>True if nothing is known of a tag that would contradict a *no*.</summary>
    private bool MayTakeNo(Tag tag) => OutcomeOf(tag).State is TagState.Unknown or TagState.TooOld;

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

    /// <summary>
    /// True if nothing is said by a tag's being unknown here: its outcome may be forgotten. Behind the horizon only one that the feed has
    /// had is: who takes another one for forgotten, and so for over, makes others drop what they hold of it, accepted as it may be ◆.
    /// </summary>
    /// <param name="tag">The tag.</param>
    /// <param name="configuration">Whose disk made it, where the record is not here to tell.</param>
    /// <param name="record">Its record, if that is here: a server may have had another disk then ◆.</param>
    private bool IsForgetful(Tag tag, ClusterConfiguration configuration, Submission? record = null)
    {
        DiskId? present = configuration.Find(tag.Uid.Server)?.Disk;
        DiskId? disk = SeededBug.Is("replaced-disk-forgotten") ? present : record?.AcceptingDisk ?? present;
        Timestamp stamp = tag.Uid.Stamp;
        return stamp < _host.OutcomeHorizon
            || (stamp < _host.OutcomesSince
                && (!_host.HasFeed || SeededBug.Is("unnumbered-taken-for-forgotten")
                    || (disk is { } maker && _host.IsNumbered(tag, maker))));
    }

    /// <summary>
    /// True if this server keeps neither bit nor promise of the tag, and can't exclude that it applied it, or gave it up, and has forgotten
    /// that since ◆: to promise, even to itself, or to set a bit would let a round decide *no* on what was accepted.
    /// </summary>
    private bool MayHaveForgotten(Tag tag, Ballot? ballot, ObjectName first)
    {
        if (ballot is not (null or { IsOpen: true, Shown: null, Promised: 0, Attempt: null })
            || !IsForgetful(tag, _configuration, ballot?.Submission))
        {
            return false;
        }

        // Past the horizon nothing is excluded. Behind it a part of one's own in a decision is on record as given up, so that only what was
        // accepted can be forgotten. That the feed tells; where there is none, the name. With one the name does not: what was refused had no
        // effect on it ◆ (seed 592).
        ObjectName name = ballot?.Submission?.Operations[0].Target ?? first;
        return (_host.HasFeed && !SeededBug.Is("forgotten-by-its-name")) || tag.Uid.Stamp < _host.OutcomeHorizon || name.Name.Length == 0 || _host.GreatestApplied(name).Uid >= tag.Uid;
    }

    /// <summary>
    /// True for an old tag of which neither bit nor promise nor record is here, where disks may have been replaced: one that a server's
    /// earlier disk made is not in the session of its present one, so the feed does not tell that it is over ◆. Its record tells the disk.
    /// </summary>
    private bool MayBeOfAnEarlierDisk(Tag tag, Ballot? ballot) =>
        ballot is null or { IsOpen: true, Shown: null, Promised: 0, Attempt: null, Submission: null }
        && _host.HasFeed && _configuration.Version > 1 && tag.Uid.Stamp < _host.OutcomesSince
        && !SeededBug.Is("replaced-disk-forgotten");

    /// <summary>
    /// Of an old tag nothing is known here but that somebody asked for it. Whether it may have been forgotten, its name tells, so the
    /// record is fetched. Nobody has it: it is dropped here, but others are not told that it is too old ◆, since they would drop what they
    /// hold, and then fence the key of a tag that can still be accepted.
    /// </summary>
    private void LearnTheName(Ballot ballot, Moment now)
    {
        if (ballot.FetchTurn >= 2 * _configuration.Voters.Length || _connected.Count == 1)
        {
            GiveUp(ballot, now);
        }
        else if (ballot.FetchAt == Instant.Never)
        {
            StartFetch(ballot, -1, now);
        }
    }

    /// <summary>Whoever promised for a round taken here is told too, or two that know nothing of it would ask each other for
    /// ever.</summary>
    private void DropAsTooOld(Ballot ballot, Moment now)
    {
        ulong position = GiveUp(ballot, now);
        SendToConnected(new Decided(ballot.Tag, TagState.TooOld, default), position);
    }

    /// <summary>Drops a tag whose outcome can't be known here. What others may rely on, a bit, a promise or a record, is replaced by the
    /// word that nothing follows ◆. Returns the log's position of that.</summary>
    private ulong GiveUp(Ballot ballot, Moment now)
    {
        Sometimes.Reached("tag-too-old");
        _book.Remove(ballot);

        // Whoever is in the middle of something with it stops there.
        ballot.State = TagState.TooOld;
        ulong position = 0;
        if (ballot.IsKept)
        {
            string key = ballot.Submission?.Key ?? "";
            _givenUp.Add(ballot.Tag, key);
            position = Persist(Records.GivenUp(ballot.Tag, key));
        }

        Settle(ballot.Tag, TagState.TooOld, default, now);
        return position;
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

    /// <summary>Who has forgotten a tag may remember its key, which is kept longer where many versions are trimmed: it is asked before
    /// its word counts ◆.</summary>
    private void HearTooOld(int from, Ballot ballot, Moment now)
    {
        if (ballot is { IsOpen: true, OwnBit: { Value: true }, Submission: { } submission })
        {
            ballot.KeyQuestion = ballot.KeyQuestion == 0 ? ++_lastId : ballot.KeyQuestion;
            Send(from, new KeyAsk(ballot.KeyQuestion, submission.Key, Fence: false));
        }
        else
        {
            CountTooOld(from, ballot, now);
        }
    }

    private void HearKeyOfTooOld(int from, Ballot ballot, KeyAnswer answer, Moment now)
    {
        if (!ballot.IsOpen)
        {
            return;
        }

        if (answer.State == TagState.Accepted && answer.Tag == ballot.Tag)
        {
            Sometimes.Reached("tag-known-by-its-key");
            Decide(ballot, TagState.Accepted, default, now);
        }
        else if (ballot.Attempt is null or { HasAnswered: true })
        {
            CountTooOld(from, ballot, now);
        }
    }

    /// <summary>
    /// A bit is given up where nothing rests on it any more ◆: nothing can be decided, since a quorum, this server among it, gives neither
    /// bit nor promise; or the bit is a *no*, or all that the submission names has gone on here, so that a reader is shown something
    /// greater. Had the tag been accepted, index merge would bring what is kept of it.
    /// </summary>
    private void CountTooOld(int from, Ballot ballot, Moment now)
    {
        ballot.TooOldAt = ballot.TooOldAt.With(from);
        if (ballot.OwnBit is null || Quorum.IsReachedBy(ballot.TooOldAt.With(_bit))
            || (ballot.IsOpen && (ballot.OwnBit is { Value: false } || IsSuperseded(ballot))))
        {
            DropAsTooOld(ballot, now);
        }
    }

    /// <summary>True if something greater is applied here of each name of a record.</summary>
    private bool IsSuperseded(Ballot ballot) =>
        ballot.Submission is { } submission
        && submission.Operations.All(operation => _host.GreatestApplied(operation.Target).Uid > ballot.Tag.Uid);

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
