using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>What this server may have forgotten, and what it gives up: tags older than what outcomes are kept for ◆.</content>
public sealed partial class VectorExchange
{
    private readonly GivenUpTags _givenUp = new();

    /// <summary>
    /// True if nothing is said by a tag's being unknown here: its outcome may be forgotten. Behind the horizon only one that the feed has
    /// had is: who takes another one for forgotten, and so for over, makes others drop what they hold of it, accepted as it may be ◆.
    /// </summary>
    /// <param name="tag">The tag.</param>
    /// <param name="configuration">Whose disk made it, where the record is not here to tell.</param>
    /// <param name="known">Which disk made it, if that is known: a server may have had another one then ◆.</param>
    private bool IsForgetful(Tag tag, ClusterConfiguration configuration, DiskId known = default)
    {
        bool isKnown = known != default && !SeededBug.Is("replaced-disk-forgotten");
        DiskId? disk = isKnown ? known : configuration.Find(tag.Uid.Server)?.Disk;
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
            || !IsForgetful(tag, _configuration, ballot?.Disk ?? default))
        {
            return false;
        }

        // Past the horizon nothing is excluded. Behind it a part of one's own in a decision is on record as given up, so that only what was
        // accepted can be forgotten. That the feed tells; where there is none, the name. With a feed the name does not tell: what was
        // refused had no effect on it ◆ (seed 592).
        ObjectName name = ballot?.Submission?.Operations[0].Target ?? first;
        return (_host.HasFeed && !SeededBug.Is("forgotten-by-its-name"))
            || tag.Uid.Stamp < _host.OutcomeHorizon || name.Name.Length == 0 || _host.GreatestApplied(name).Uid >= tag.Uid;
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
}
