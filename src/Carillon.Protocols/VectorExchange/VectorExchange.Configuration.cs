using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>
/// Changes of the configuration. A version is closed before the next is proposed: no bits under it any more ◆, but for the next one's own
/// submission. The next carries every tag that may have been decided under it, and whoever applies the next holds those and decides them
/// anew, so ◆. All else that was open under a closed version was not accepted, and begins again. Entries of one version are rivals: see
/// VectorExchange.Entries.cs.
/// </content>
public sealed partial class VectorExchange
{
    private ulong _closed;
    private int _carriedWithoutRecord;

    /// <summary>True from the closing of the version in force until the next one is.</summary>
    public bool IsClosed => _closed >= _configuration.Version;

    /// <summary>True while a tag that may have been accepted under an earlier version has no record here: its names and its key are not
    /// known, so nothing is said about any ◆.</summary>
    public bool LacksCarried
    {
        get
        {
            if (_carriedWithoutRecord > 0 && !SeededBug.Is("answers-without-carried-records"))
            {
                _carriedWithoutRecord = _book.CountCarriedWithoutRecord();
            }

            return _carriedWithoutRecord > 0 && !SeededBug.Is("answers-without-carried-records");
        }
    }

    /// <summary>No more bits under this version. The caller makes it durable before it reports anything.</summary>
    public void Close(ulong version) => _closed = Math.Max(_closed, version);

    /// <summary>What is to be carried: every tag that has a bit of this server's, or is agreed and not in the feed.</summary>
    public ImmutableArray<CarriedTag> Carried()
    {
        Invariant.That(IsClosed);
        var carried = ImmutableArray.CreateBuilder<CarriedTag>();
        foreach (Ballot ballot in _book.InOrder())
        {
            if (EntryNameOf(ballot) is not null)
            {
                // A rival of the entry that is about to be made, which is not accepted if that is ◆.
                continue;
            }

            if (ballot.State == TagState.Accepted)
            {
                carried.Add(new CarriedTag(ballot.Tag, ballot.Hash, CarriedTag.Decided, Value: true) { Disk = ballot.Disk });
            }
            else if (ballot is { IsOpen: true, Shown: { } shown })
            {
                carried.Add(new CarriedTag(ballot.Tag, ballot.Hash, shown.Round, shown.Value) { Disk = ballot.Disk });
            }
        }

        return carried.DrainToImmutable();
    }

    /// <summary>The next version is in force.</summary>
    /// <param name="configuration">The version; this server votes in it.</param>
    /// <param name="carried">What the one before left.</param>
    /// <param name="now">The time.</param>
    public void Reconfigure(ClusterConfiguration configuration, ImmutableArray<CarriedTag> carried, Moment now)
    {
        ClusterConfiguration before = _configuration;
        _configuration = configuration;
        _bit = configuration.BitOf(_self);
        Invariant.That(_bit >= 0 && configuration.Version > before.Version);
        _connected = default(VoterSet).With(_bit);
        _numbered.Clear();
        foreach ((Tag tag, (Tag successor, VoterSet untold)) in _graves.ToArray())
        {
            _graves[tag] = (successor, Moved(untold, before));
        }

        foreach (Ballot ballot in _book.InOrder())
        {
            ballot.ForgetBits();
            ballot.KeyQuestion = 0;
        }

        Hold(carried, before, now);
        foreach (Ballot ballot in _book.InOrder())
        {
            BeginAgain(ballot, now);
        }

        EndVoidEntries(now);
        AskAgain(now);
    }

    /// <summary>Tags that an earlier version left, of which nothing is decided here: held from now on. Before <see cref="Start"/>
    /// too.</summary>
    public void Hold(ImmutableArray<CarriedTag> carried, Moment now) => Hold(carried, _configuration, now);

    private void Hold(ImmutableArray<CarriedTag> carried, ClusterConfiguration before, Moment now)
    {
        foreach (CarriedTag left in carried)
        {
            Ballot? ballot = _book.Find(left.Tag);
            if (ballot is not (null or { IsOpen: true }) || OutcomeOf(left.Tag).State is not TagState.Unknown)
            {
                continue;
            }

            if (!left.Value)
            {
                if (ballot is not null || left.Tag.Uid.Stamp >= _host.OutcomesSince)
                {
                    Bury(left.Tag, default, default, now);
                }
            }
            else if (ballot is not null || !IsForgetful(left.Tag, before, left.Disk))
            {
                // Among so many that outcomes are forgotten before their time, the feed tells what is over.
                ballot ??= _book.Add(new Ballot(left.Tag, now.Now));
                ballot.IsCarried = true;
                ballot.CarriedDisk = left.Disk == default ? ballot.CarriedDisk : left.Disk;
                ballot.Hash = ballot.Hash == default ? left.Hash : ballot.Hash;
            }
        }

        _carriedWithoutRecord = _book.CountCarriedWithoutRecord();
    }

    private void BeginAgain(Ballot ballot, Moment now)
    {
        if (!ballot.IsOpen || _book.Find(ballot.Tag) != ballot)
        {
            return;
        }

        Attempt? attempt = ballot.Attempt is { HasAnswered: false } waiting && waiting.Ballot == ballot ? waiting : null;
        if (IsPastEntry(ballot))
        {
            if (attempt is { Phase: AttemptPhase.Pushing })
            {
                // Round 0 never began, so it is not the entry that is in force. Any other one may be, until the catalog has that.
                GiveUpTag(attempt, now, (a, _) => Reject(a, RejectionReason.Resolved, "another entry of this version was first"));
            }
        }
        else if (ballot.IsCarried)
        {
            Sometimes.Reached("carried-tag-is-taken-up");
            if (attempt is { Phase: AttemptPhase.Pushing })
            {
                BeginExchange(attempt, now);
            }

            TakeUp(ballot, now);
        }
        else if (attempt is { Phase: AttemptPhase.Pushing or AttemptPhase.Exchanging })
        {
            Sometimes.Reached("push-begins-again-under-the-next-version");
            PushAgain(attempt, ballot, now);
        }
        else if (IsOwn(ballot.Tag) && attempt is null && !ballot.IsBeingReplaced)
        {
            // It was not accepted, and nobody else may begin its round 0.
            Bury(ballot.Tag, default, AllOthers, now);
        }
    }

    /// <summary>The same tag, pushed anew: whoever held it under the version before says so again.</summary>
    private void PushAgain(Attempt attempt, Ballot ballot, Moment now)
    {
        Submission submission = ballot.Submission!;
        attempt.Phase = AttemptPhase.Pushing;
        attempt.Asked = default(VoterSet).With(_bit);
        attempt.Held = default;
        attempt.Repeat = default;
        attempt.Refusals.Clear();
        attempt.Deadline = now.Now + _options.PushTimeout
            + TimeSpan.FromSeconds((double)submission.Encoded.Length / _options.PushMinimumRate);
        attempt.PushMessage = MessageCodec.Encode(new Push(now.Wall, _configuration.Version, submission.Encoded));
        if (ballot.File == FileState.Held)
        {
            attempt.IsHeldHere(!IsWithdrawn(ballot, now), _bit);
        }

        // It goes to each as that is connected under this version.
        Schedule(attempt.Id, attempt.Deadline);
    }

    /// <summary>A carried tag gets this server's bit as soon as its record is here; where a promise bars round 0, a round is
    /// taken.</summary>
    private void TakeUp(Ballot ballot, Moment now)
    {
        if (!ballot.IsCarried || !ballot.IsOpen || ballot.OwnBit is not null)
        {
            return;
        }

        ballot.ResendWait = _options.ResendFirst;
        if (ballot.Promised > 0)
        {
            Contest(ballot, now);
            if (ballot.File == FileState.Missing)
            {
                ballot.WantedRound = 0;
                StartFetch(ballot, -1, now);
            }
        }
        else
        {
            TrySetBit(ballot, 0, value: true, now);
        }

        Schedule(ballot, now.Now + _options.RetryInterval);
    }

    /// <summary>Answers to questions count by bits: they are asked again.</summary>
    private void AskAgain(Moment now)
    {
        foreach (QuorumRead read in _reads.Values)
        {
            read.Restart(_host.NumberedBy(read.Name.Bucket));
            read.Agreed = default;
            read.AgreedAt = -1;
            read.TickAt = Schedule(read.Id, now.Now);
        }

        foreach (KeyInquiry inquiry in _keyInquiries.Values)
        {
            inquiry.Nothing = default;
            inquiry.Fenced = default;
            inquiry.TickAt = Schedule(inquiry.Id, now.Now);
        }

        foreach (Attempt attempt in _attempts.Values)
        {
            attempt.Probed = default;
        }
    }

    // Of those that are to be told of a *no*: a disk that left is none of them.
    private VoterSet Moved(VoterSet set, ClusterConfiguration before)
    {
        VoterSet moved = default;
        for (int bit = 0; bit < before.Voters.Length; bit++)
        {
            NodeId voter = before.Voters[bit];
            if (set.Contains(bit) && _configuration.Find(voter)?.Disk == before.Find(voter)!.Disk)
            {
                moved = moved.With(_configuration.BitOf(voter));
            }
        }

        return moved;
    }
}
