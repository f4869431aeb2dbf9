using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>The accepting server's side: steps 200 to 216, one <see cref="Attempt"/> per client's request.</content>
public sealed partial class VectorExchange
{
    private readonly List<Action<Moment>> _awaitingStamps = [];
    private bool _reserving;

    /// <summary>
    /// Runs a submission (step 200). <paramref name="answer"/> is called once: when it is agreed (a bucket's record: applied here),
    /// rejected, or unknown.
    /// </summary>
    /// <param name="operations">1 to <see cref="Submission.MaxOperations"/>, each name once.</param>
    /// <param name="key">The idempotency key, 1 to <see cref="Submission.MaxKeyBytes"/> bytes.</param>
    /// <param name="upload">The tag of <see cref="BeginUpload"/> under which chunks were stored, or none.</param>
    /// <param name="now">The time.</param>
    /// <param name="answer">Takes the outcome.</param>
    /// <param name="fence">The epoch of the primary whose effect it is, or none.</param>
    public void Submit(
        ImmutableArray<Operation> operations, string key, Tag upload, Moment now, Action<SubmitOutcome> answer, Fence fence = default)
    {
        Figures.Submissions++;
        var attempt = new Attempt(++_lastId, operations, key, upload, now.Now, answer) { Fence = fence };
        _attempts.Add(attempt.Id, attempt);
        if (!upload.IsNone && !_uploads.Contains(upload))
        {
            // Holders of its chunks may have been told that it was given up, and have collected them.
            Reject(attempt, RejectionReason.Resolved, "this server does not know the upload any more; store the content again");
            return;
        }

        Begin(attempt, now);
    }

    /// <summary>
    /// Reserves a tag for chunks to be stored under before their submission is known. It ends by <see cref="Submit"/> or
    /// <see cref="AbandonUpload"/>.
    /// </summary>
    public void BeginUpload(Moment now, Action<Tag?, RejectionReason> answer)
    {
        if (!_host.MayVote || !Quorum.IsReachedBy(_connected))
        {
            answer(null, _host.MayVote ? RejectionReason.NoQuorum : RejectionReason.NotVoting);
            return;
        }

        WithStamp(default, now, (stamp, at) =>
        {
            if (stamp is not { } taken)
            {
                answer(null, RejectionReason.ClockSkew);
                return;
            }

            var tag = new Tag(new Uid(taken, _self), _random.Next());
            _uploads.Add(tag);
            answer(tag, default);
        });
    }

    /// <summary>The client gave up: the tag is never pushed, and holders of its chunks are told so when they ask.</summary>
    public void AbandonUpload(Tag upload) => _uploads.Remove(upload);

    /// <summary>True for the tag of an upload here that has neither been submitted nor given up.</summary>
    public bool IsUploading(Tag tag) => _uploads.Contains(tag);

    private void Begin(Attempt attempt, Moment now)
    {
        if (!_host.MayVote)
        {
            Reject(attempt, RejectionReason.NotVoting, "this server takes no part in agreement at present; try another");
            return;
        }

        if (MeetsItsKey(attempt, now))
        {
            return;
        }

        if (!Quorum.IsReachedBy(_connected))
        {
            Reject(attempt, RejectionReason.NoQuorum,
                $"{_connected.Count} of {Quorum.Voters} entry servers are connected, {Quorum.Size} are needed");
            return;
        }

        if (_options.ActiveConnectivity)
        {
            StartProbe(attempt, now);
        }
        else
        {
            TakeTag(attempt, now);
        }
    }

    /// <summary>True if the key is known here, and so decides how the attempt goes on.</summary>
    private bool MeetsItsKey(Attempt attempt, Moment now)
    {
        (Tag accepted, Digest fingerprint) = _host.AcceptedKey(attempt.Key);
        if (!accepted.IsNone)
        {
            EndByAcceptedKey(attempt, accepted, fingerprint);
            return true;
        }

        if (IsFenced(attempt.Key, now))
        {
            FinishFence(attempt, now);
            return true;
        }

        if (_book.OfKey(attempt.Key).FirstOrDefault() is { } other)
        {
            if (other.Submission!.Fingerprint != attempt.Fingerprint)
            {
                Reject(attempt, RejectionReason.KeyMismatch, $"the key belongs to submission {other.Tag}, which is something else");
            }
            else
            {
                Follow(attempt, other.Tag, now);
            }

            return true;
        }

        return false;
    }

    /// <summary>
    /// This server's own fence says nothing about the others: the inquiry that it was made for may have ended without a quorum, and the key
    /// have been accepted since. So the fence is finished first, or what it meets is told.
    /// </summary>
    private void FinishFence(Attempt attempt, Moment now)
    {
        attempt.Phase = AttemptPhase.Following;
        InquireKey(attempt.Key, fence: true, now.Now + _options.ReadTimeout, now, (answer, _) =>
        {
            switch (answer.State)
            {
                case TagState.Accepted:
                    EndByAcceptedKey(attempt, answer.Tag, answer.Fingerprint);
                    break;
                case TagState.Fenced:
                    Reject(attempt, RejectionReason.KeyFenced, "the key was given up: a quorum refuses it");
                    break;
                case TagState.Open:
                    Finish(attempt, new SubmitOutcome.Unknown(answer.Tag));
                    break;
                default:
                    Reject(attempt, RejectionReason.NoQuorum, "the key is being given up by an inquiry, and no quorum could be asked");
                    break;
            }
        });
    }

    private void EndByAcceptedKey(Attempt attempt, Tag accepted, Digest fingerprint)
    {
        if (fingerprint == attempt.Fingerprint)
        {
            Finish(attempt, new SubmitOutcome.Accepted(accepted, Replayed: true));
        }
        else
        {
            Reject(attempt, RejectionReason.KeyMismatch, $"the key belongs to submission {accepted}, which is something else");
        }
    }

    private void StartProbe(Attempt attempt, Moment now)
    {
        attempt.Phase = AttemptPhase.Probing;
        attempt.Probed = new VoterSet(1UL << _bit);
        attempt.Deadline = now.Now + _options.PushTimeout;
        SendToConnected(new Probe(attempt.Id, [.. attempt.Operations.Select(o => o.Target)]));
        Schedule(attempt.Id, attempt.Deadline);
        if (Quorum.IsReachedBy(attempt.Probed))
        {
            TakeTag(attempt, now);
        }
    }

    private void OnProbeAnswer(int from, ProbeAnswer answer, Moment now)
    {
        if (!_attempts.TryGetValue(answer.Question, out Attempt? attempt) || attempt.Phase != AttemptPhase.Probing)
        {
            return;
        }

        attempt.Probed = attempt.Probed.With(from);
        attempt.Floor = Timestamp.Max(attempt.Floor, answer.Greatest);
        if (Quorum.IsReachedBy(attempt.Probed))
        {
            TakeTag(attempt, now);
        }
    }

    /// <summary>Steps 204, 300 and 302: a stamp greater than every one known for the names, then the record and its push.</summary>
    private void TakeTag(Attempt attempt, Moment now)
    {
        attempt.Phase = AttemptPhase.Reserving;
        Timestamp known = Timestamp.Max(attempt.Floor, GreatestStamp([.. attempt.Operations.Select(o => o.Target)]));
        if (!attempt.Upload.IsNone && attempt.Upload.Uid.Stamp > known)
        {
            Tag upload = attempt.Upload;
            attempt.Upload = default;
            StartPush(attempt, Submission.Create(upload, attempt.Replaces, _disk, attempt.Key, attempt.Operations, attempt.Fence), now);
            return;
        }

        WithStamp(known, now, (stamp, at) =>
        {
            if (attempt.HasAnswered)
            {
                return;
            }

            if (stamp is not { } taken)
            {
                Reject(attempt, RejectionReason.ClockSkew,
                    "this server's clock is too far from the others'; set it, or use another server");
                return;
            }

            var tag = new Tag(new Uid(taken, _self), _random.Next());
            Tag replaces = attempt.Replaces.IsNone ? attempt.Upload : attempt.Replaces;
            StartPush(attempt, Submission.Create(tag, replaces, _disk, attempt.Key, attempt.Operations, attempt.Fence), at);
        });
    }

    /// <summary>Takes a stamp, reserving a block first where none is left; null if the clock forbids to reserve one.</summary>
    private void WithStamp(Timestamp known, Moment now, Action<Timestamp?, Moment> then)
    {
        if (!Buggify.Here("stamps-used-up") && _stamps.TryTake(now.Wall, known, out Timestamp stamp))
        {
            if (!_reserving && _stamps.RunsLow(now.Wall) && _host.ClockNearQuorum)
            {
                Reserve(known, now);
            }

            then(stamp, now);
            return;
        }

        if (!_reserving && (!_host.ClockNearQuorum || !_host.CanAppend(64, urgent: true)))
        {
            then(null, now);
            return;
        }

        _awaitingStamps.Add(later => WithStamp(known, later, then));
        if (!_reserving)
        {
            Reserve(known, now);
        }
    }

    private void Reserve(Timestamp known, Moment now)
    {
        _reserving = true;
        Timestamp upTo = _stamps.Ask(now.Wall, known);
        WhenDurable(Persist(Records.StampsReserved(upTo)), later =>
        {
            _reserving = false;
            _stamps.Extend(upTo);
            Action<Moment>[] waiting = [.. _awaitingStamps];
            _awaitingStamps.Clear();
            foreach (Action<Moment> resume in waiting)
            {
                resume(later);
            }
        });
    }

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
            if (bit != _bit && _connected.Contains(bit))
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
    /// its accepting server is down; past any other the push is repeated, since that one's server gives way. Names, and not stamps, decide: a
    /// rival that is stamped afresh meanwhile keeps its place, so that two whose pushes cross do not both abort.
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
            InquireTag(rival, attempt.Deadline, later, report => GaveWayTo(attempt, report));
        });
    }

    private void GaveWayTo(Attempt attempt, SubmissionReport report)
    {
        switch (report.State)
        {
            case SubmissionState.Accepted:
                Finish(attempt, new SubmitOutcome.Accepted(report.Id, Replayed: true));
                break;
            case SubmissionState.Rejected:
                Reject(attempt, RejectionReason.Resolved, "another request with this key was ahead and was given up; try again");
                break;
            default:
                Finish(attempt, new SubmitOutcome.Unknown(attempt.Followed));
                break;
        }
    }

    private void RepeatLater(Attempt attempt, Moment now)
    {
        foreach ((int bit, PushAnswer refusal) in attempt.Refusals)
        {
            if (refusal.Verdict == PushVerdict.KeyHeld)
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
        else if (Any(PushVerdict.Stale) || Any(PushVerdict.Resolving))
        {
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

    /// <summary>Waits for the outcome of another tag of the same key.</summary>
    private void Follow(Attempt attempt, Tag other, Moment now)
    {
        Sometimes.Reached("key-followed");
        attempt.Phase = AttemptPhase.Following;
        attempt.Followed = other;
        attempt.Deadline = now.Now + _options.ExchangeTimeout;
        Schedule(attempt.Id, attempt.Deadline);
        InquireKey(attempt.Key, fence: false, attempt.Deadline, now, (answer, at) => Followed(attempt, answer, at));
    }

    private void Followed(Attempt attempt, KeyAnswer answer, Moment now)
    {
        if (attempt.HasAnswered)
        {
            return;
        }

        switch (answer.State)
        {
            case TagState.Accepted:
                EndByAcceptedKey(attempt, answer.Tag, answer.Fingerprint);
                break;
            case TagState.Unknown:
                attempt.Floor = Timestamp.Max(attempt.Floor, attempt.Followed.Uid.Stamp);
                Begin(attempt, now);
                break;
            case TagState.Fenced:
                Reject(attempt, RejectionReason.KeyFenced, "the key was given up: a quorum refuses it");
                break;
            default:
                Finish(attempt, new SubmitOutcome.Unknown(attempt.Followed));
                break;
        }
    }

    private void Tick(Attempt attempt, Moment now)
    {
        switch (attempt.Phase)
        {
            case AttemptPhase.Probing when now.Now >= attempt.Deadline:
                Reject(attempt, RejectionReason.NoQuorum,
                    $"{attempt.Probed.Count} of {Quorum.Voters} entry servers answered, {Quorum.Size} are needed");
                break;
            case AttemptPhase.Pushing when now.Now >= attempt.Deadline:
                GiveUpTag(attempt, now, (a, _) => Reject(
                    a, RejectionReason.PushTimeout,
                        $"{a.Held.Count} of {Quorum.Voters} entry servers stored the submission in time, {Quorum.Size} are needed"));
                break;
            case AttemptPhase.Pushing when now.Now >= attempt.RetryAt:
                RepeatPushes(attempt);
                break;
            case AttemptPhase.Exchanging when now.Now >= attempt.Deadline:
                Finish(attempt, new SubmitOutcome.Unknown(attempt.Ballot!.Tag));
                break;
            case AttemptPhase.Following when now.Now >= attempt.Deadline:
                Finish(attempt, new SubmitOutcome.Unknown(attempt.Followed));
                break;
        }
    }

    private void RepeatPushes(Attempt attempt)
    {
        VoterSet repeat = attempt.Repeat;
        attempt.Repeat = default;
        attempt.RetryAt = Instant.Never;
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            if (repeat.Contains(bit) && _connected.Contains(bit))
            {
                attempt.Refusals.Remove(bit);
                SendPush(attempt, bit);
            }
        }
    }

    /// <summary>Answers "rejected"; a tag that was to be replaced and now has no successor is aborted, durably, before.</summary>
    private void Reject(Attempt attempt, RejectionReason reason, string detail)
    {
        var outcome = new SubmitOutcome.Rejected(reason, detail);
        if (_book.Find(attempt.Replaces) is { IsOpen: true } old)
        {
            WhenDurable(Bury(old.Tag, default, AllOthers, default), _ => Finish(attempt, outcome));
        }
        else
        {
            Finish(attempt, outcome);
        }
    }

    private void Finish(Attempt attempt, SubmitOutcome outcome)
    {
        if (attempt.HasAnswered)
        {
            return;
        }

        switch (outcome)
        {
            case SubmitOutcome.Accepted:
                Figures.Accepted++;
                break;
            case SubmitOutcome.Rejected:
                Figures.Rejected++;
                break;
            default:
                Figures.Unknown++;
                break;
        }

        if (_book.Find(attempt.Replaces) is { IsOpen: true, IsBeingReplaced: true } old)
        {
            // The attempt ended by another tag of its key before the fresh tag was written: nothing will replace the old one any more.
            Bury(old.Tag, outcome is SubmitOutcome.Accepted accepted ? accepted.Tag : default, AllOthers, default);
        }

        _attempts.Remove(attempt.Id);
        _uploads.Remove(attempt.Upload);
        _uploads.Remove(attempt.Replaces);
        attempt.Answer(outcome);
    }
}
