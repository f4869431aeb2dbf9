using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <content>Linearizable reads of a name: a quorum is asked, and what it can't decide is helped by a round.</content>
public sealed partial class VectorExchange
{
    private readonly SortedDictionary<ulong, QuorumRead> _reads = [];

    /// <summary>Reads a name linearizably by asking a quorum; answers Unavailable rather than guess.</summary>
    public void Read(ObjectName name, Moment now, Action<ReadOutcome> answer)
    {
        if (!_host.MayVote)
        {
            Figures.ReadsUnavailable++;
            answer(new ReadOutcome.Unavailable("this server takes no part in agreement at present; ask another"));
            return;
        }

        // Without a quorum the read is not refused at once: after a crash nearby a view may settle within its time.
        var read = new QuorumRead(++_lastId, name, now.Now + _options.ReadTimeout, answer);
        _reads.Add(read.Id, read);
        AskForRead(read, now);
    }

    private void AskForRead(QuorumRead read, Moment now)
    {
        read.Restart(_host.NumberedBy(read.Name.Bucket));
        if (!LacksCarried)
        {
            HearRead(read, _bit, AnswerRead(read.Id, read.Name), now);
        }

        if (_reads.ContainsKey(read.Id))
        {
            SendToConnected(new ReadAsk(read.Id, read.Name));
            read.TickAt = Schedule(read.Id, Instant.Min(read.Deadline, now.Now + _options.RetryInterval));
        }
    }

    private void OnReadAsk(int from, ReadAsk ask)
    {
        // Beyond what an answer can name, none is given: to leave a held tag out would be a guess.
        if (_host.MayVote && !LacksCarried && _book.Of(ask.Name).Count <= ReadAnswer.MaxHeld)
        {
            Send(from, AnswerRead(ask.Question, ask.Name));
        }
    }

    /// <summary>The greatest tag that is agreed or applied here, and every greater one that is held ◆, with its bits of every
    /// round.</summary>
    private ReadAnswer AnswerRead(ulong question, ObjectName name)
    {
        Tag agreed = _host.GreatestApplied(name);
        foreach (Ballot ballot in _book.Of(name))
        {
            // What the feed decides counts once that has, and is listed below until then.
            bool isCertain = !IsUndecidedByFeed(ballot) || SeededBug.Is("read-takes-what-the-feed-decides");
            if (ballot.State == TagState.Accepted && isCertain && ballot.Tag > agreed)
            {
                agreed = ballot.Tag;
            }
        }

        if (SeededBug.Is("read-ignores-held"))
        {
            return new ReadAnswer(question, agreed, [], default);
        }

        return new ReadAnswer(
            question, agreed,
            [.. _book.Of(name).Where(b => (b.IsOpen || IsUndecidedByFeed(b)) && b.Tag > agreed).OrderByDescending(b => b.Tag).Select(
                b => new HeldTag(b.Tag, MayCount(b) ? AllOthers.With(_bit).Bits : b.YesBits))],
            SettledHere(name.Bucket));
    }

    /// <summary>True if a held tag may be accepted whatever bits are known: the feed decides, or it was under an earlier version, of which
    /// the bits are forgotten ◆.</summary>
    private bool MayCount(Ballot ballot) =>
        IsUndecidedByFeed(ballot) || (ballot.IsCarried && !SeededBug.Is("read-passes-carried-tags-over"));

    private void OnReadAnswer(int from, ReadAnswer answer, Moment now)
    {
        if (_reads.TryGetValue(answer.Question, out QuorumRead? read))
        {
            HearRead(read, from, answer, now);
        }
    }

    private void HearRead(QuorumRead read, int from, ReadAnswer answer, Moment now)
    {
        read.Heard = read.Heard.With(from);
        HearSettled(read, from, answer.Settled);
        if (answer.Agreed > read.Agreed || (answer.Agreed == read.Agreed && from == _bit))
        {
            read.Agreed = answer.Agreed;
            read.AgreedAt = from;
        }

        foreach (HeldTag held in answer.Held)
        {
            read.Held[held.Tag] = read.Held.GetValueOrDefault(held.Tag) | new VoterSet(held.YesBits);
        }

        if (read.Heard.Count >= (SeededBug.Is("read-asks-minority") ? 1 : Quorum.Size))
        {
            Judge(read, now);
        }
    }

    /// <summary>From the greatest tag down: the first that is agreed counts; one that can't have been accepted yet is passed over; any
    /// other must be helped first.</summary>
    private void Judge(QuorumRead read, Moment now)
    {
        var unheard = new VoterSet(AllOthers.With(_bit).Bits & ~read.Heard.Bits);
        foreach ((Tag tag, VoterSet yes) in read.Held.Reverse())
        {
            if (tag > read.Agreed && !Quorum.IsImpossible(yes, unheard) && FateOf(tag) != TagState.Rejected)
            {
                if (FateOf(tag) == TagState.Accepted)
                {
                    read.Agreed = tag;
                    read.AgreedAt = _bit;
                    break;
                }

                // Everybody may still answer and rule it out; if all have, it is decided before the next try.
                return;
            }

            Sometimes.Reached("read-passes-a-tag-over");
        }

        Deliver(read, now);
    }

    /// <summary>The version is known; its record may have to come from the server that named it.</summary>
    private void Deliver(QuorumRead read, Moment now)
    {
        if (read.Agreed.IsNone)
        {
            EndRead(read, new ReadOutcome.Absent(default));
            return;
        }

        Submission? submission = _book.Find(read.Agreed)?.Submission ?? _host.Applied(read.Agreed);
        if (submission is null)
        {
            if (read.AgreedAt >= 0 && read.AgreedAt != _bit)
            {
                Send(read.AgreedAt, new TagMessage(MessageType.Fetch, read.Agreed));
            }

            return;
        }

        EndRead(read, OutcomeIn(submission, read.Name));
    }

    private void EndRead(QuorumRead read, ReadOutcome outcome)
    {
        _reads.Remove(read.Id);
        if (outcome is ReadOutcome.Unavailable)
        {
            Sometimes.Reached("read-unavailable");
            Figures.ReadsUnavailable++;
        }
        else
        {
            Figures.Reads++;
        }

        read.Answer(outcome);
    }

    /// <summary>A read that is not decided: helps what holds it up, and asks once more.</summary>
    private void TickRead(QuorumRead read, Moment now)
    {
        if (now.Now >= read.Deadline)
        {
            EndRead(read, new ReadOutcome.Unavailable(Quorum.IsReachedBy(_connected)
                ? "a submission of this name could not be decided in time; try again"
                : $"{_connected.Count} of {Quorum.Voters} entry servers are connected, {Quorum.Size} are needed"));
            return;
        }

        foreach (Tag tag in read.Held.Keys.Where(t => t > read.Agreed).ToArray())
        {
            if (OutcomeOf(tag).State == TagState.Unknown)
            {
                Sometimes.Reached("read-helps-a-tag");
                Contest(tag, now);
            }
        }

        AskForRead(read, now);
    }

    private void WakeReads(Tag tag, Moment now)
    {
        foreach (QuorumRead read in _reads.Values)
        {
            if (read.Agreed == tag || read.Held.ContainsKey(tag))
            {
                read.TickAt = Schedule(read.Id, now.Now);
            }
        }
    }
}
