using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>
/// Entries of one version, of which several servers may propose one each. They get bits under a closed version, so what is carried can't
/// hold them; this stands in its place: a server vouches for one of a version at a time ◆, and for one of version v + 1 under v alone ◆.
/// Any two quorums of v share a server, so one entry of a version is accepted at most; once it is in force, every other one is *void*: not
/// accepted, under v or ever, and dropped as *no*.
/// </content>
public sealed partial class VectorExchange
{
    /// <summary>The name of a version, if the tag is an entry's, as far as is known here; else null.</summary>
    private static ObjectName? EntryNameOf(Ballot ballot) =>
        ballot.Submission is not { } submission ? ballot.AskedAs
        : ConfigurationEntry.IsOne(submission) ? submission.Operations[0].Target : null;

    /// <summary>True for the name of a version that is not the next one: its entries get no bits here ◆.</summary>
    private bool IsPast(ObjectName name) =>
        ConfigurationEntry.IsTarget(name) && name != ConfigurationEntry.TargetOf(_configuration.Version + 1);

    /// <summary>True for an entry of the version in force, or of an earlier one. It is the one that made that version, or void: which of
    /// the two, the catalog tells, and until it does nothing is said about it, not even at its own server ◆.</summary>
    private bool IsPastEntry(Ballot ballot) => EntryNameOf(ballot) is { } name && IsPast(name);

    /// <summary>True if another entry of the version has this server's yes bit, or is applied here ◆. Two that wait for each other can't
    /// be: round 0 begins when a quorum holds the entry, and a server holds one at a time.</summary>
    private bool MeetsRivalEntry(Ballot ballot, uint round, Moment now)
    {
        if (EntryNameOf(ballot) is not { } name || SeededBug.Is("rival-entries"))
        {
            return false;
        }

        foreach (Ballot rival in _book.Of(name))
        {
            if (rival != ballot && rival.Shown is { Value: true })
            {
                Sometimes.Reached("bit-waits-for-a-rival-entry");
                ballot.WantedRound = round;
                Contest(rival, now);
                Schedule(ballot, now.Now + _options.RetryInterval);
                return true;
            }
        }

        return IsVoid(ballot, name);
    }

    /// <summary>True once the catalog has the version's record from another entry.</summary>
    private bool IsVoid(Ballot ballot, ObjectName name) => _host.GreatestApplied(name) is { IsNone: false } first && first != ballot.Tag;

    /// <summary>Open entries of versions that the catalog has from another one: nobody accepts them any more.</summary>
    private void EndVoidEntries(Moment now)
    {
        foreach (Ballot ballot in _book.InOrder())
        {
            if (ballot.IsOpen && EntryNameOf(ballot) is { } name && IsVoid(ballot, name)
                && _host.Outcome(ballot.Tag).State != TagState.Accepted && !ballot.IsBeingReplaced)
            {
                Sometimes.Reached("void-entry-dropped");
                Bury(ballot.Tag, default, IsOwn(ballot.Tag) ? AllOthers : default, now);
            }
        }
    }
}
