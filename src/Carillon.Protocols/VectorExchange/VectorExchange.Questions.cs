using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>What became of a tag or a key, and fences.</content>
public sealed partial class VectorExchange
{
    private readonly SortedDictionary<ulong, KeyInquiry> _keyInquiries = [];
    private readonly SortedDictionary<ulong, TagInquiry> _tagInquiries = [];
    private readonly Dictionary<string, long> _fences = new(StringComparer.Ordinal);

    /// <summary>What became of a tag; takes a round where its accepting server is away. Pending if that can't be told in time.</summary>
    public void Show(Tag tag, Moment now, Action<SubmissionReport> answer) => InquireTag(tag, now.Now + _options.ReadTimeout, now, answer);

    /// <summary>
    /// What became of a key. Where nobody holds an open or accepted submission of it, a quorum fences it durably first: only then is the
    /// answer *rejected* ◆. The state is Accepted, Fenced, Open (not decided in time), TooOld
    /// (forgotten) or Unknown (no quorum answered).
    /// </summary>
    public void Show(string key, Moment now, Action<KeyAnswer> answer) =>
        InquireKey(key, fence: true, now.Now + _options.ReadTimeout, now, (a, _) => answer(a));

    /// <summary>Open tags of a name, greatest first, for <c>explain</c>: tag, what is known, the greatest round, the yes bits, the record
    /// if held.</summary>
    public IReadOnlyList<(Tag Tag, TagState State, uint Round, VoterSet Bits, Submission Submission)> OpenOf(ObjectName name) =>
        [.. _book.Of(name).OrderByDescending(b => b.Tag)
            .Select(b => (b.Tag, b.State, b.Promised, new VoterSet(b.YesBits), b.Submission!))];

    /// <summary>All that is kept of each tag that is not settled here, in order, for people who look for the reason.</summary>
    public IEnumerable<string> DescribeOpen() => _book.InOrder().Select(b => FormattableString.Invariant(
        $"{b.Tag} {b.State} {b.File}, promised {b.Promised}, own bit {b.OwnBit?.ToString() ?? "none"}, yes bits {b.YesBits:b}{(b.Contested ? ", contested" : "")}"));

    /// <summary>Tags that are not decided here, or agreed and not in the catalog yet, in order: what a comparison of catalogs does not
    /// show.</summary>
    public IEnumerable<Tag> OpenTagList() => _book.InOrder().Select(b => b.Tag);

    /// <summary>True if a submission that is not applied yet names something in the bucket.</summary>
    public bool HasOpenNames(string bucket) => _book.NamesIn(bucket);

    /// <summary>What the submissions that are not applied yet do in a bucket, in no order, with their states.</summary>
    public IReadOnlyList<(ObjectName Target, Tag Tag, OperationKind Kind, TagState State)> OpenIn(string bucket) => _book.NamesIn(bucket)
        ? [.. _book.InOrder().Where(b => b.Submission is not null).SelectMany(
            b => b.Submission!.Operations.Where(o => o.Target.Bucket == bucket).Select(o => (o.Target, b.Tag, o.Kind, b.State)))]
        : [];

    /// <summary>Yes bits known for a tag that is still open here; none otherwise.</summary>
    public VoterSet BitsOf(Tag tag) => _book.Find(tag) is { } ballot ? new VoterSet(ballot.YesBits) : default;

    /// <summary>
    /// True if what is held here and not applied yet may need the chunk: a manifest lists it; or it can't be told, since the list is itself
    /// stored in chunks, or the record is not here (yet). After a power cut that is all that speaks for it, until the feed is applied anew.
    /// </summary>
    public bool Refers(ChunkId chunk) => _book.InOrder().Any(b => b.Submission is not { } submission
        || submission.Operations.Any(o => o.Manifest is { } manifest
            && (manifest.Form == ContentForm.ChunkedList || manifest.Chunks.Any(c => c.Id == chunk))));

    /// <summary>True if the tag is open here, and the greatest round of this server's own bits for it has a yes.</summary>
    public bool HasYesBit(Tag tag) => _book.Find(tag) is { IsOpen: true, OwnBit: { Value: true } };

    /// <summary>What this server alone knows of a tag: open, or decided.</summary>
    public TagState StateOf(Tag tag) => _book.Find(tag)?.State ?? OutcomeOf(tag).State;

    private void InquireTag(Tag tag, Instant deadline, Moment now, Action<SubmissionReport> answer)
    {
        var inquiry = new TagInquiry(++_lastId, tag, deadline, answer);
        _tagInquiries.Add(inquiry.Id, inquiry);
        AskForTag(inquiry, now);
    }

    private void InquireKey(string key, bool fence, Instant deadline, Moment now, Action<KeyAnswer, Moment> answer)
    {
        var inquiry = new KeyInquiry(++_lastId, key, fence, deadline, answer);
        _keyInquiries.Add(inquiry.Id, inquiry);
        AskForKey(inquiry, now);
    }

    private void AskForKey(KeyInquiry inquiry, Moment now)
    {
        inquiry.Nothing = default;
        inquiry.TooOld = default;
        inquiry.Open = default;
        inquiry.TickAt = Schedule(inquiry.Id, Instant.Min(inquiry.Deadline, now.Now + _options.RetryInterval));
        SendToConnected(new KeyAsk(inquiry.Id, inquiry.Key, inquiry.Fence));
        if (LacksCarried)
        {
            return;
        }

        ConsiderKey(inquiry.Key, inquiry.Fence, now, out KeyAnswer own, out ulong after);
        own = own with { Question = inquiry.Id };
        if (own.State == TagState.Fenced && after > _host.Durable)
        {
            WhenDurable(after, later => HearKey(inquiry.Id, _bit, own, later));
        }
        else
        {
            HearKey(inquiry.Id, _bit, own, now);
        }
    }

    private void OnKeyAsk(int from, KeyAsk ask, Moment now)
    {
        if (_host.MayVote && !LacksCarried)
        {
            ConsiderKey(ask.Key, ask.Fence, now, out KeyAnswer answer, out ulong after);
            Send(from, answer with { Question = ask.Question }, after);
        }
    }

    /// <summary>A server that holds an open or accepted tag of the key answers with it; another one fences the key, durably, if asked
    /// to.</summary>
    private void ConsiderKey(string key, bool fence, Moment now, out KeyAnswer answer, out ulong after)
    {
        after = 0;
        (Tag accepted, Digest fingerprint) = _host.AcceptedKey(key);
        if (!accepted.IsNone)
        {
            answer = new KeyAnswer(0, TagState.Accepted, accepted, fingerprint);
            return;
        }

        if (_book.OfKey(key).OrderByDescending(b => b.State).FirstOrDefault() is { } ballot)
        {
            TagState state = IsUndecidedByFeed(ballot) ? TagState.Open : ballot.State;
            answer = new KeyAnswer(0, state, ballot.Tag, ballot.Submission!.Fingerprint);
            return;
        }

        if (_givenUp.OfKey(key) is { IsNone: false } givenUp && OutcomeOf(givenUp).State == TagState.TooOld
            && !SeededBug.Is("given-up-key-fenced"))
        {
            // It may still be accepted elsewhere, and who held its record is to answer for its key ◆: a fence would contradict that.
            answer = new KeyAnswer(0, TagState.TooOld, givenUp, default);
            return;
        }

        if (IsFenced(key, now))
        {
            answer = new KeyAnswer(0, TagState.Fenced, default, default);
            after = _fencedAt;
            return;
        }

        if (fence && _host.MayVote && _host.CanAppend(64 + key.Length, urgent: true))
        {
            long until = now.Wall.Milliseconds + (long)_options.IdempotencyTtl.TotalMilliseconds;
            _fences[key] = until;
            after = Persist(Records.KeyFenced(key, until));
            _fencedAt = after;
            answer = new KeyAnswer(0, TagState.Fenced, default, default);
            return;
        }

        answer = new KeyAnswer(0, TagState.Unknown, default, default);
    }

    private ulong _fencedAt;

    /// <summary>The keys that are refused here, each with the end of that, in order.</summary>
    public IEnumerable<KeyValuePair<string, long>> Fences(Moment now) =>
        _fences.Where(f => f.Value > now.Wall.Milliseconds).OrderBy(f => f.Key, StringComparer.Ordinal);

    /// <summary>
    /// Refuses a key as another server does: for a server that lost its own fences, before it votes. Returns the position up to which the
    /// log is to be durable before that counts.
    /// </summary>
    public ulong AdoptFence(string key, long until)
    {
        if (_fences.GetValueOrDefault(key) < until)
        {
            _fences[key] = until;
            _fencedAt = Persist(Records.KeyFenced(key, until));
        }

        return _fencedAt;
    }

    private bool IsFenced(string key, Moment now) => _fences.TryGetValue(key, out long until) && until > now.Wall.Milliseconds;

    private void OnKeyAnswer(int from, KeyAnswer answer, Moment now)
    {
        if (!_keyInquiries.ContainsKey(answer.Question)
            && _book.Asking(answer.Question) is { } ballot)
        {
            HearKeyOfTooOld(from, ballot, answer, now);
        }
        else
        {
            HearKey(answer.Question, from, answer, now);
        }
    }

    private void HearKey(ulong id, int from, KeyAnswer answer, Moment now)
    {
        if (!_keyInquiries.TryGetValue(id, out KeyInquiry? inquiry))
        {
            return;
        }

        switch (answer.State)
        {
            case TagState.Accepted:
                EndInquiry(inquiry, answer, now);
                return;
            case TagState.Open:
                inquiry.Open = answer.Tag;
                inquiry.OpenFingerprint = answer.Fingerprint;
                return;
            case TagState.Fenced:
                inquiry.Fenced = inquiry.Fenced.With(from);
                break;
            case TagState.TooOld:
                inquiry.TooOld = inquiry.TooOld.With(from);
                inquiry.GivenUp = answer.Tag;
                break;
            default:
                inquiry.Nothing = inquiry.Nothing.With(from);
                break;
        }

        if (Quorum.IsReachedBy(inquiry.Fenced) || (inquiry.Fence && SeededBug.Is("rejected-without-fence")))
        {
            Sometimes.Reached("key-fenced-by-a-quorum");
            EndInquiry(inquiry, new KeyAnswer(id, TagState.Fenced, inquiry.Open, default), now);
        }
        else if (inquiry.TooOld.Count > 0 && inquiry.Open.IsNone
            && Quorum.IsReachedBy(inquiry.TooOld | inquiry.Fenced | (inquiry.Fence ? default : inquiry.Nothing)))
        {
            // Some held the key's record and gave it up, so that it can't be told whether the rest accepted it.
            EndInquiry(inquiry, new KeyAnswer(id, TagState.TooOld, inquiry.GivenUp, default), now);
        }
        else if (!inquiry.Fence && Quorum.IsReachedBy(inquiry.Nothing | inquiry.Fenced) && inquiry.Open.IsNone)
        {
            EndInquiry(inquiry, new KeyAnswer(id, TagState.Unknown, default, default), now);
        }
    }

    private void EndInquiry(KeyInquiry inquiry, KeyAnswer answer, Moment now)
    {
        _keyInquiries.Remove(inquiry.Id);
        inquiry.Answer(answer, now);
    }

    private void TickKey(KeyInquiry inquiry, Moment now)
    {
        if (now.Now >= inquiry.Deadline)
        {
            TagState state = inquiry.Open.IsNone ? TagState.Unknown : TagState.Open;
            if (state == TagState.Unknown && !inquiry.Fence)
            {
                // A follower that could not learn anything must not push again on a guess.
                state = TagState.Open;
            }

            EndInquiry(inquiry, new KeyAnswer(inquiry.Id, state, inquiry.Open, inquiry.OpenFingerprint), now);
            return;
        }

        if (!inquiry.Open.IsNone && OutcomeOf(inquiry.Open).State == TagState.Unknown)
        {
            Contest(inquiry.Open, now);
        }

        AskForKey(inquiry, now);
    }

    private void AskForTag(TagInquiry inquiry, Moment now)
    {
        TagState state = StateOf(inquiry.Tag);
        if (state == TagState.Unknown && IsOwn(inquiry.Tag) && !_uploads.Contains(inquiry.Tag) && _host.MayVote)
        {
            state = inquiry.Tag.Uid.Stamp < _host.OutcomesSince ? TagState.TooOld : TagState.Rejected;
        }

        if (state == TagState.Accepted && _host.HasFeed)
        {
            if (_book.Find(inquiry.Tag) is null || FateOf(inquiry.Tag) == TagState.Accepted)
            {
                AnswerByFeed(inquiry, now);
                return;
            }
        }
        else if (state is TagState.Accepted or TagState.Rejected or TagState.TooOld)
        {
            Settle(inquiry.Tag, state, OutcomeOf(inquiry.Tag).Successor, now);
            return;
        }

        if (!IsAcceptorConnected(inquiry.Tag) && _host.MayVote && Quorum.IsReachedBy(_connected))
        {
            Contest(inquiry.Tag, now);
        }

        SendToConnected(new TagMessage(MessageType.Inquire, inquiry.Tag));
        inquiry.TickAt = Schedule(inquiry.Id, Instant.Min(inquiry.Deadline, now.Now + _options.RetryInterval));
    }

    private void OnInquire(int from, Tag tag, Moment now)
    {
        if (AnswersFromOutcome(from, tag, reply: true, now))
        {
            return;
        }

        Ballot? ballot = _book.Find(tag);
        if (ballot is { IsOpen: true, OwnBit: not null, OwnBitDurable: true })
        {
            SendVector(ballot, from, again: false);
        }
        else
        {
            Send(from, new Decided(tag, ballot?.State ?? TagState.Unknown, default));
        }
    }

    private void AnswerInquiries(int from, Decided decided, Moment now)
    {
        if (decided.State is TagState.Accepted or TagState.Rejected
            || (decided.State == TagState.TooOld && _configuration.BitOf(decided.Tag.Uid.Server) == from))
        {
            Settle(decided.Tag, decided.State, decided.Successor, now);
        }
    }

    /// <summary>A tag's fate is known: whoever asked is told; a question about an aborted tag goes on with its successor ◆.</summary>
    private void Settle(Tag tag, TagState state, Tag successor, Moment now)
    {
        if (_tagInquiries.Count > 0)
        {
            foreach (TagInquiry inquiry in _tagInquiries.Values.Where(i => i.Tag == tag).ToArray())
            {
                if (state == TagState.Accepted && _host.HasFeed)
                {
                    AnswerByFeed(inquiry, now);
                }
                else if (state == TagState.Rejected && inquiry.GoesOnWith(successor))
                {
                    AskForTag(inquiry, now);
                }
                else
                {
                    // An abort that named a successor may have been forgotten here, and where the *no* was decided ◆: what was asked for
                    // may have been accepted under another tag.
                    bool mayHaveSuccessor = state == TagState.Rejected && successor.IsNone && tag.Uid.Stamp < _host.OutcomesSince
                        && !SeededBug.Is("successor-forgotten");
                    EndInquiry(inquiry, mayHaveSuccessor ? TagState.TooOld : state);
                }
            }
        }

        if (_keyInquiries.Count > 0)
        {
            foreach (KeyInquiry inquiry in _keyInquiries.Values.Where(i => i.Open == tag).ToArray())
            {
                inquiry.TickAt = Schedule(inquiry.Id, now.Now);
            }
        }

        WakeReads(tag, now);
    }

    private void EndInquiry(TagInquiry inquiry, TagState state)
    {
        _tagInquiries.Remove(inquiry.Id);
        SubmissionState outcome = state switch
        {
            TagState.Accepted => SubmissionState.Accepted,
            TagState.Rejected => SubmissionState.Rejected,
            TagState.TooOld => SubmissionState.Forgotten,
            _ => SubmissionState.Pending,
        };
        inquiry.Answer(Report(inquiry.Tag, outcome));
    }

    private SubmissionReport Report(Tag tag, SubmissionState state)
    {
        VoterSet bits = BitsOf(tag);
        return new SubmissionReport(tag, state, [.. _configuration.Voters.Select((v, i) => (v, bits.Contains(i)))])
        {
            Sequenced = SequencedHere(tag),
        };
    }

    private void TickQuestion(ulong id, Moment now)
    {
        if (id == GravesTimer)
        {
            TickGraves(now);
        }
        else if (id == SweepTimer)
        {
            SweepTemporaries(now);
        }
        else if (_reads.TryGetValue(id, out QuorumRead? read) && now.Now >= read.TickAt)
        {
            TickRead(read, now);
        }
        else if (_keyInquiries.TryGetValue(id, out KeyInquiry? key) && now.Now >= key.TickAt)
        {
            TickKey(key, now);
        }
        else if (_tagInquiries.TryGetValue(id, out TagInquiry? tag) && now.Now >= tag.TickAt)
        {
            if (now.Now >= tag.Deadline)
            {
                EndInquiry(tag, TagState.Open);
            }
            else
            {
                AskForTag(tag, now);
            }
        }
    }
}
