using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>The accepting server's side: steps 200 to 216, one <see cref="Attempt"/> per client's request; its push has a file of its
/// own.</content>
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
    /// <param name="untilSequenced">True: answered with its number, where there is a feed; else as soon as it is agreed, which a changeset
    /// or a conditional one never is.</param>
    /// <param name="mustBeSequenced">True: without a number in time its outcome is called unknown, as that of a conditional one.</param>
    public void Submit(
        ImmutableArray<Operation> operations, string key, Tag upload, Moment now, Action<SubmitOutcome> answer, Fence fence = default,
        bool untilSequenced = true, bool mustBeSequenced = false)
    {
        Figures.Submissions++;
        var attempt = new Attempt(++_lastId, operations, key, upload, now.Now, answer)
        {
            Fence = fence, UntilSequenced = untilSequenced, MustBeSequenced = mustBeSequenced,
        };
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
                answer(null, _host.ClockNearQuorum ? RejectionReason.Full : RejectionReason.ClockSkew);
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

        if (!_host.HasFeed && attempt.Operations.Any(o => !o.Precondition.IsNone))
        {
            Reject(attempt, RejectionReason.Invalid, "preconditions are evaluated in the feed, and there is none");
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
            EndByAcceptedKey(attempt, accepted, fingerprint, now);
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
        InquireKey(attempt.Key, fence: true, now.Now + _options.ReadTimeout, now, (answer, at) =>
        {
            switch (answer.State)
            {
                case TagState.Accepted:
                    EndByAcceptedKey(attempt, answer.Tag, answer.Fingerprint, at);
                    break;
                case TagState.Fenced:
                    Reject(attempt, RejectionReason.KeyFenced, "the key was given up: a quorum refuses it");
                    break;
                case TagState.Open or TagState.TooOld:
                    Finish(attempt, new SubmitOutcome.Unknown(answer.Tag));
                    break;
                default:
                    Reject(attempt, RejectionReason.NoQuorum, "the key is being given up by an inquiry, and no quorum could be asked");
                    break;
            }
        });
    }

    private void EndByAcceptedKey(Attempt attempt, Tag accepted, Digest fingerprint, Moment now)
    {
        if (fingerprint == attempt.Fingerprint && _host.HasFeed)
        {
            // What has the key may have been refused.
            attempt.Phase = AttemptPhase.Following;
            FollowTag(attempt, accepted, now);
        }
        else if (fingerprint == attempt.Fingerprint)
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
        if (!attempt.Upload.IsNone && attempt.Upload.Uid.Stamp > known && attempt.Upload.Uid.Stamp.Value > _settledTold)
        {
            Tag upload = attempt.Upload;
            attempt.Upload = default;
            StartPush(attempt, CreateSubmission(attempt, upload, attempt.Replaces, replacesStale: false, now), now);
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
                RejectWithoutStamp(attempt);
                return;
            }

            var tag = new Tag(new Uid(taken, _self), _random.Next());
            Tag replaces = attempt.Replaces.IsNone ? attempt.Upload : attempt.Replaces;
            StartPush(attempt, CreateSubmission(attempt, tag, replaces, attempt.ReplacesStale, at), at);
        });
    }

    private Submission CreateSubmission(Attempt attempt, Tag tag, Tag replaces, bool replacesStale, Moment now)
    {
        // As the bucket is now: its own push is judged in the same step.
        attempt.MustBeSequenced |= attempt.Operations.Any(o => !_host.NumberedBy(o.Target.Bucket).IsNone);
        return Submission.Create(
            tag, replaces, _disk, attempt.Key, attempt.Operations, attempt.Fence, replacesStale,
            _host.HasFeed ? SettledBelow(tag.Uid.Stamp, now) : 0, _host.HasFeed && attempt.MustBeSequenced);
    }

    private void RejectWithoutStamp(Attempt attempt)
    {
        if (_host.ClockNearQuorum)
        {
            Reject(attempt, RejectionReason.Full, "this server's log is out of space; free some, or use another server");
        }
        else
        {
            Reject(attempt, RejectionReason.ClockSkew, "this server's clock is too far from the others'; set it, or use another server");
        }
    }

    /// <summary>Takes a stamp, reserving a block first where none is left; null if the clock, or a full log, forbids to reserve
    /// one.</summary>
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
                EndByAcceptedKey(attempt, answer.Tag, answer.Fingerprint, now);
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
                bool isContended = attempt.Refusals.Values.Any(r => r.Verdict == PushVerdict.Contended);
                GiveUpTag(attempt, now, (a, _) => Reject(
                    a, RejectionReason.PushTimeout, isContended ? ContendedDetail
                        : $"{a.Held.Count} of {Quorum.Voters} entry servers stored the submission in time, {Quorum.Size} are needed"));
                break;
            case AttemptPhase.Pushing when now.Now >= attempt.RetryAt:
                RepeatPushes(attempt, now);
                break;
            case AttemptPhase.Waiting when now.Now >= attempt.RetryAt:
                EndWait(attempt, now);
                break;
            case AttemptPhase.Sequencing when now.Now >= attempt.Deadline:
                EndUnsequenced(attempt);
                break;
            case AttemptPhase.Exchanging when now.Now >= attempt.Deadline:
                Finish(attempt, new SubmitOutcome.Unknown(attempt.Ballot!.Tag));
                break;
            case AttemptPhase.Following when now.Now >= attempt.Deadline:
                EndFollowing(attempt);
                break;
        }
    }

    private void RepeatPushes(Attempt attempt, Moment now)
    {
        VoterSet repeat = attempt.Repeat;
        attempt.Repeat = default;
        attempt.RetryAt = Instant.Never;
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            if (repeat.Contains(bit) && _connected.Contains(bit))
            {
                attempt.Refusals.Remove(bit);
                if (bit != _bit)
                {
                    SendPush(attempt, bit);
                }
            }
        }

        if (repeat.Contains(_bit) && attempt.Ballot is { File: FileState.Held } ballot)
        {
            attempt.IsHeldHere(!IsWithdrawn(ballot, now), _bit);
            if (attempt.Repeat.Contains(_bit))
            {
                RepeatLater(attempt, now);
            }
            else
            {
                Evaluate(attempt, now);
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
            case SubmitOutcome.Rejected or SubmitOutcome.Refused:
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
        _contended.Remove(attempt.Id);
        _uploads.Remove(attempt.Upload);
        _uploads.Remove(attempt.Replaces);
        attempt.Answer(outcome);
    }
}
