using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>Every server's side of vectors: steps 312 to 218.</content>
public sealed partial class VectorExchange
{
    private VoterSet AllOthers => new VoterSet((Quorum.Voters == 64 ? 0 : 1UL << Quorum.Voters) - 1).Without(_bit);

    /// <summary>Steps 212 and 312: only when a quorum, this server included, holds the submission.</summary>
    private void StartExchange(Attempt attempt, Moment now)
    {
        BeginExchange(attempt, now);
        TrySetBit(attempt.Ballot!, 0, value: true, now);
    }

    private void BeginExchange(Attempt attempt, Moment now)
    {
        attempt.Phase = AttemptPhase.Exchanging;
        attempt.Deadline = now.Now
            + (Buggify.Here("exchange-timeout-short", 0.1) ? _options.ExchangeTimeout / 50 : _options.ExchangeTimeout);
        attempt.PushMessage = [];
        Schedule(attempt.Id, attempt.Deadline);
    }

    private bool OnVector(int from, Vector vector, Moment now)
    {
        bool isOther = vector.Configuration != _configuration.Version && !SeededBug.Is("vector-of-another-version");
        if (isOther || Buggify.Here("vector-missed", 0.25))
        {
            // As if it was lost: as long as its sender's tag is open it comes again.
            return true;
        }

        if (_book.Find(vector.Tag) is not { } ballot)
        {
            if (AnswersFromOutcome(from, vector.Tag, vector.Again, now) || !_host.MayVote || _book.Count >= _options.MaxOpenTags)
            {
                return true;
            }

            if (IsForgetful(vector.Tag, _configuration))
            {
                // It may have been decided and forgotten here ◆: no bit, or one that was away long enough revives what was rejected.
                Sometimes.Reached("vector-too-old");
                if (vector.Again)
                {
                    Send(from, new Decided(vector.Tag, TagState.TooOld, default));
                }

                return true;
            }

            ballot = _book.Add(new Ballot(vector.Tag, now.Now));
        }

        if (Buggify.Here("round-uncalled-for", 0.25))
        {
            // Before the bit of this round is set here, so that the value has to come from what others show.
            Contest(ballot, now);
            ballot.RoundNotBefore = now.Now;
            TickRound(ballot, now);
        }

        if (!ballot.IsOpen)
        {
            if (vector.Again)
            {
                Send(from, new Decided(vector.Tag, ballot.State, ballot.Successor));
            }

            return true;
        }

        if (ballot.Hash == default)
        {
            ballot.Hash = vector.Hash;
        }
        else if (ballot.Hash != vector.Hash && vector.Hash != default)
        {
            return false;
        }

        Count(ballot, from, vector, now);
        return true;
    }

    private void Count(Ballot ballot, int from, Vector vector, Moment now)
    {
        Tally tally = ballot.TallyOf(vector.Round, vector.Value);
        var bits = new VoterSet(vector.Bits);
        if (bits.Contains(from))
        {
            tally.Bits = tally.Bits.With(from);
        }

        tally.Relayed |= bits.Without(_bit);
        CheckDecided(ballot, now);
        if (!ballot.IsOpen)
        {
            // The change that completed the quorum is passed on by the bit that this server sets below in any other case; here it tells who
            // asked.
            if (vector.Again)
            {
                Send(from, new Decided(ballot.Tag, ballot.State, ballot.Successor));
            }

            return;
        }

        bool hadBit = ballot.OwnBit is { } own && own.Round >= vector.Round;
        if (bits.Count > 0)
        {
            TrySetBit(ballot, vector.Round, vector.Value, now, from);
        }

        if (hadBit && vector.Again && ballot.OwnBitDurable)
        {
            SendVector(ballot, from, again: false);
        }
    }

    /// <summary>Sets this server's own bit, if its promises and what it holds allow it: durable first, then to all connected (VE-36 to
    /// VE-38).</summary>
    private void TrySetBit(Ballot ballot, uint round, bool value, Moment now, int asker = -1)
    {
        if (!_host.MayVote || !ballot.IsOpen || ballot.IsBeingReplaced || (ballot.OwnBit is { } own && own.Round >= round))
        {
            return;
        }

        if (IsPastEntry(ballot))
        {
            return;
        }

        if (IsClosed && EntryNameOf(ballot) is null && !SeededBug.Is("bits-after-closing"))
        {
            // What the next version carries would not be all ◆. It is taken up again under that.
            Sometimes.Reached("closing-bars-a-bit");
            return;
        }

        if (round < ballot.Promised && !SeededBug.Is("promise-ignored"))
        {
            Sometimes.Reached("promise-bars-a-bit");
            if (asker >= 0)
            {
                Send(asker, new Barred(ballot.Tag, ballot.Promised));
            }

            return;
        }

        if (value && !MayVouch(ballot, round, asker, now))
        {
            return;
        }

        if (MayBeOfAnEarlierDisk(ballot.Tag, ballot))
        {
            LearnTheName(ballot, now);
            return;
        }

        if (MayHaveForgotten(ballot.Tag, ballot, NoName))
        {
            ulong given = GiveUp(ballot, now);
            if (asker >= 0)
            {
                Send(asker, new Decided(ballot.Tag, TagState.TooOld, default), given);
            }

            return;
        }

        Tally tally = ballot.TallyOf(round, value);
        ballot.OwnBit = (round, value);
        ballot.OwnBitDurable = false;
        ballot.WantedRound = null;
        ballot.Promised = Math.Max(ballot.Promised, round);
        if (ballot.Attempt is { Phase: AttemptPhase.Pushing } attempt)
        {
            // Others took a round while the push was on its way: the tag is no longer this server's to give up.
            BeginExchange(attempt, now);
        }

        Announce(ballot, tally, now);
        if (value)
        {
            Withdraw(ballot.Submission!, now);
        }
    }

    /// <summary>The own bit goes to the disk, then to all connected.</summary>
    private void Announce(Ballot ballot, Tally tally, Moment now)
    {
        (uint round, bool value) = (tally.Round, tally.Value);
        ulong bits = (tally.Bits | tally.Relayed).With(_bit).Bits;
        ulong position = Persist(Records.Bit(ballot.Tag, ballot.Hash, _configuration.Version, round, value, bits));
        bool early = SeededBug.Is("bit-before-flush");
        ballot.ResendWait = Buggify.Here("vector-repeated-early") ? _options.ResendFirst / 20 : _options.ResendFirst;
        ballot.ResendAt = now.Now + ballot.ResendWait;
        Schedule(ballot, ballot.ResendAt);
        SendToConnected(new Vector(ballot.Tag, ballot.Hash, _configuration.Version, round, value, bits, Again: false), early
            ? 0
            : position);
        Figures.VectorsSent += _connected.Count - 1;
        if (early)
        {
            BitIsDurable(ballot, round, value, now);
            return;
        }

        int version = ballot.Version;
        WhenDurable(position, later =>
        {
            if (ballot.Version == version)
            {
                BitIsDurable(ballot, round, value, later);
            }
        });
    }

    private void BitIsDurable(Ballot ballot, uint round, bool value, Moment now)
    {
        Tally tally = ballot.TallyOf(round, value);
        tally.Bits = tally.Bits.With(_bit);
        ballot.OwnBitDurable |= ballot.OwnBit == (round, value);
        CheckDecided(ballot, now);
    }

    /// <summary>A yes needs the record, verified and durable here, and no other yes bit for a living tag of the same key ◆.</summary>
    private bool MayVouch(Ballot ballot, uint round, int asker, Moment now)
    {
        if (ballot.File == FileState.Missing)
        {
            ballot.WantedRound = round;
            StartFetch(ballot, asker, now);
            return SeededBug.Is("bit-without-file");
        }

        if (ballot.File == FileState.Storing)
        {
            ballot.WantedRound = round;
            return false;
        }

        if (Buggify.Here("bit-put-off", 0.3))
        {
            ballot.WantedRound = round;
            Schedule(ballot, now.Now + _options.RetryInterval);
            return false;
        }

        if (IsHeldBack(ballot, round, now))
        {
            return false;
        }

        if (MeetsRivalEntry(ballot, round, now))
        {
            return false;
        }

        if (SeededBug.Is("two-bits-per-key"))
        {
            return true;
        }

        foreach (Ballot rival in _book.OfKey(ballot.Submission!.Key))
        {
            if (rival != ballot && rival.Shown is { Value: true })
            {
                Sometimes.Reached("bit-waits-for-a-rival-of-its-key");
                ballot.WantedRound = round;
                Contest(rival, now);
                Schedule(ballot, now.Now + _options.RetryInterval);
                return false;
            }
        }

        (Tag accepted, _) = _host.AcceptedKey(ballot.Submission.Key);
        return accepted.IsNone || accepted == ballot.Tag;
    }

    /// <summary>Steps 214 and 218: a quorum of bits of one round and value decides.</summary>
    private void CheckDecided(Ballot ballot, Moment now)
    {
        int needed = SeededBug.Is("quorum-one-short") ? Math.Max(1, Quorum.Size - 1) : Quorum.Size;
        foreach (Tally tally in ballot.Tallies)
        {
            if (ballot.IsOpen && tally.Bits.Count >= needed)
            {
                if (tally.Round > 0)
                {
                    Sometimes.Reached(tally.Value ? "round-decides-yes" : "round-decides-no");
                }

                if (tally.Value)
                {
                    Decide(ballot, TagState.Accepted, default, now);
                }
                else
                {
                    Bury(ballot.Tag, default, AllOthers, now);
                }

                return;
            }
        }
    }

    /// <summary>Marks a tag accepted. The mark follows from durable bits, so nothing waits for its flush; without the record it is fetched
    /// first.</summary>
    private void Decide(Ballot ballot, TagState state, Tag successor, Moment now)
    {
        Invariant.That(state == TagState.Accepted);
        if (!ballot.IsOpen)
        {
            return;
        }

        ballot.State = state;
        ballot.Successor = successor;
        ballot.Taken = null;
        ballot.WantedRound = null;
        ballot.ResendAt = Instant.Never;
        WakeReads(ballot.Tag, now);
        if (ballot.Submission is { } submission)
        {
            if (ballot.File == FileState.Missing)
            {
                ballot.File = FileState.Storing;
                ballot.StoredAt = PersistPending(submission);
            }

            Persist(Records.OfTag(RecordType.Agreed, ballot.Tag));
            _host.Agreed(submission);
            if (ballot.Attempt is { } waiting && WaitsForFeed(waiting, submission))
            {
                AwaitSequence(waiting, now);
            }
            else if (ballot.Attempt is { } attempt && !IsSetting(submission))
            {
                Finish(attempt, new SubmitOutcome.Accepted(ballot.Tag, Replayed: false));
            }
        }
        else
        {
            Sometimes.Reached("agreed-without-the-record");
            StartFetch(ballot, -1, now);
        }
    }

    private void StartFetch(Ballot ballot, int asker, Moment now)
    {
        if (SeededBug.Is("no-late-fetch") || ballot.FetchAt != Instant.Never)
        {
            return;
        }

        Figures.LateFetches++;
        ballot.FetchAt = now.Now + _options.RetryInterval;
        Schedule(ballot, ballot.FetchAt);
        int source = asker >= 0 ? asker : NextSource(ballot);
        if (source >= 0)
        {
            Send(source, new TagMessage(MessageType.Fetch, ballot.Tag));
        }
    }

    /// <summary>Servers that are known to have it first, then everybody, in turn.</summary>
    private int NextSource(Ballot ballot)
    {
        VoterSet others = _connected.Without(_bit);
        VoterSet likely = new VoterSet(ballot.YesBits) & others;
        VoterSet candidates = likely.Count > 0 && ballot.FetchTurn % 2 == 0 ? likely : others;
        int count = candidates.Count;
        if (count == 0)
        {
            return -1;
        }

        int turn = ballot.FetchTurn++ / 2 % count;
        for (int bit = 0; ; bit++)
        {
            if (candidates.Contains(bit) && turn-- == 0)
            {
                return bit;
            }
        }
    }

    private void OnFetch(int from, Tag tag)
    {
        if (_book.Find(tag) is { Submission: { } open } ballot)
        {
            Send(from, new Fetched(ballot.State == TagState.Accepted, open.Encoded));
        }
        else if (_host.Applied(tag) is { } applied)
        {
            Send(from, new Fetched(Agreed: true, applied.Encoded));
        }
        else if (_host.Outcome(tag).State == TagState.Accepted)
        {
            // Superseded so often that its versions are trimmed: nobody needs the record any more, nor can have it.
            Send(from, new Decided(tag, TagState.TooOld, default));
        }
    }

    private bool OnFetched(bool agreed, ReadOnlySpan<byte> record, Moment now)
    {
        if (!Submission.TryRead(record, out Submission submission))
        {
            return false;
        }

        if (_book.Find(submission.Tag) is not { } ballot)
        {
            if (agreed)
            {
                Learned(submission, now);
            }

            return true;
        }

        if (ballot.Submission is not null || (ballot.Hash != default && ballot.Hash != submission.Hash))
        {
            return true;
        }

        Sometimes.Reached("record-fetched-late");
        ballot.FetchAt = Instant.Never;
        if (agreed || ballot.State == TagState.Accepted)
        {
            TakeAgreedRecord(ballot, submission, now);
        }
        else if (_host.CanAppend(submission.Encoded.Length + 1, urgent: true))
        {
            StoreRecord(ballot, submission, now);
        }

        return true;
    }

    /// <summary>The record of a tag that was known to be agreed without it.</summary>
    private void TakeAgreedRecord(Ballot ballot, Submission submission, Moment now)
    {
        _book.SetSubmission(ballot, submission);
        ballot.State = TagState.Open;
        Decide(ballot, TagState.Accepted, default, now);
    }

    private void SendVector(Ballot ballot, int to, bool again)
    {
        if (ballot.OwnBit is not { } own)
        {
            return;
        }

        Tally tally = ballot.TallyOf(own.Round, own.Value);
        ulong bits = (tally.Bits | tally.Relayed).With(_bit).Bits;
        Figures.VectorsSent++;
        Send(to, new Vector(ballot.Tag, ballot.Hash, _configuration.Version, own.Round, own.Value, bits, again));
    }

    /// <summary>One timer a ballot; this looks at all that may be due.</summary>
    private void Tick(Ballot ballot, Moment now)
    {
        if (ballot.FetchAt <= now.Now)
        {
            ballot.FetchAt = Instant.Never;
            if (IsFetchedInVain(ballot))
            {
                DropAsTooOld(ballot, now);
                return;
            }

            if (ballot.Submission is null
                && (ballot.WantedRound is not null || ballot.State == TagState.Accepted || ballot.Taken?.Greatest is { Value: true }))
            {
                StartFetch(ballot, -1, now);
            }
        }

        if (!ballot.IsOpen)
        {
            Schedule(ballot, ballot.FetchAt);
            return;
        }

        if (ballot.WantedRound is { } wanted && ballot.File == FileState.Held)
        {
            TrySetBit(ballot, wanted, value: true, now);
        }

        if (ballot.ResendAt <= now.Now && ballot.OwnBit is not null)
        {
            Resend(ballot, now);
        }

        TickRound(ballot, now);
        Instant next = Instant.Min(ballot.FetchAt, ballot.OwnBit is null ? Instant.Never : ballot.ResendAt);
        next = Instant.Min(next, ballot.WantedRound is not null || ballot.Contested ? now.Now + _options.RetryInterval : Instant.Never);
        Schedule(ballot, next);
    }

    /// <summary>
    /// True if a record that was agreed long ago is nowhere to be had any more: superseded, trimmed and forgotten. Were it a kept version
    /// somewhere, index merge would bring it. One that was carried may be with any server that is away ◆, so all have to be there.
    /// </summary>
    private bool IsFetchedInVain(Ballot ballot)
    {
        int voters = _configuration.Voters.Length;
        return ballot.Submission is null && ballot.Tag.Uid.Stamp < _host.OutcomesSince
            && ((ballot.State == TagState.Accepted && ballot.FetchTurn >= 4 * voters)
                || (ballot.IsCarried && _connected.Count == voters && ballot.FetchTurn >= (voters == 1 ? 0 : 4 * voters)));
    }

    /// <summary>Unfinished vectors are passed on again (200 ms, doubling to 5 s); the accepting server takes a round after two without
    /// progress ◆.</summary>
    private void Resend(Ballot ballot, Moment now)
    {
        if (ballot.OwnBitDurable)
        {
            for (int bit = 0; bit < _configuration.Voters.Length; bit++)
            {
                if (bit != _bit && _connected.Contains(bit))
                {
                    SendVector(ballot, bit, again: true);
                }
            }
        }

        ballot.Resends++;
        if (ballot.Resends >= 2 && IsOwn(ballot.Tag) && !SeededBug.Is("no-round-after-resends"))
        {
            ballot.Contested = true;
        }

        ballot.ResendWait = TimeSpan.FromTicks(Math.Min(ballot.ResendWait.Ticks * 2, _options.ResendLast.Ticks));
        ballot.ResendAt = now.Now + ballot.ResendWait;
    }
}
