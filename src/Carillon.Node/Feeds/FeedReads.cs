using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;

namespace Carillon.Node.Feeds;

/// <summary>
/// Linearizable reads of names whose writes are answered only with their numbers (4-atomic-multicast.md, "Reads"; SAM-86): the feed's
/// sequencer is asked how far it has committed, and each read is answered from the catalog once that has come so far. One question at a
/// time is under way, for all reads that came before it was asked; those that come meanwhile need the next.
/// </summary>
/// <remarks>
/// A read that can't be answered so in time goes to a quorum: no sequencer, none that can tell, a catalog that lags, other settings of the
/// bucket. docs/protocols/vector-exchange.md, "Reads by number", has the argument.
/// </remarks>
/// <param name="node">Whose reads.</param>
/// <param name="feed">The catalog's group.</param>
/// <param name="patience">How long a read waits.</param>
/// <param name="firstQuestion">Questions are numbered from here; an answer to one of an earlier life is none to this one's.</param>
internal sealed class FeedReads(ServerNode node, GroupMember feed, TimeSpan patience, ulong firstQuestion)
{
    /// <summary>Reads that wait here; beyond, a quorum is asked.</summary>
    private const int MostWaiting = 65_536;

    private readonly Queue<PendingRead> _asked = new();
    private readonly Queue<PendingRead> _waiting = new();
    private readonly Queue<PendingRead> _gathering = new();
    private ulong _question = firstQuestion;

    /// <summary>When <see cref="Flush"/> is due.</summary>
    public Instant NextDeadline => _gathering.Count > 0 && _asked.Count == 0
        ? default
        : Instant.Min(DeadlineOf(_gathering), Instant.Min(DeadlineOf(_asked), DeadlineOf(_waiting)));

    /// <summary>True if reads wait for numbers that are not applied here.</summary>
    public bool IsWaiting => _waiting.Count > 0;

    /// <summary>Reads that were answered from the catalog.</summary>
    public long Answered { get; private set; }

    /// <summary>Reads of such names that went to a quorum after all.</summary>
    public long LeftToQuorum { get; private set; }

    /// <summary>Begins a read, if its name's bucket may be read so; else false.</summary>
    public bool TryRead(ObjectName name, Instant now, Action<ReadOutcome> answer)
    {
        Tag record = node.Exchange.SettledRecord(name.Bucket);
        if (record.IsNone || _gathering.Count + _asked.Count + _waiting.Count >= MostWaiting)
        {
            return false;
        }

        _gathering.Enqueue(new PendingRead(name, record, now + patience, answer));
        return true;
    }

    /// <summary>The sequencer has answered, or said that it can't.</summary>
    public void Told(ulong question, SequenceNumber? number)
    {
        if (question != _question)
        {
            return;
        }

        while (_asked.TryDequeue(out PendingRead? read))
        {
            // Without a number it does not wait for its time.
            read.Number = number;
            read.Deadline = number is null ? default : read.Deadline;
            _waiting.Enqueue(read);
        }
    }

    /// <summary>After each batch of inputs: what has gathered is asked for, what can be answered is.</summary>
    public void Flush(Instant now)
    {
        if (_gathering.Count == 0 && _asked.Count == 0 && _waiting.Count == 0)
        {
            return;
        }

        Expire(_gathering, now);
        Expire(_asked, now);
        if (_asked.Count == 0 && _gathering.Count > 0)
        {
            Ask(now);
        }

        // Numbers grow from question to question, but for those of an older sequencer that came late; each is looked at.
        for (int left = _waiting.Count; left > 0; left--)
        {
            PendingRead read = _waiting.Dequeue();
            if (read.Number is { } number && (number <= node.Feed.Applied || SeededBug.Is("read-before-the-number")))
            {
                Finish(read);
            }
            else if (now >= read.Deadline)
            {
                LeaveToQuorum(read);
            }
            else
            {
                _waiting.Enqueue(read);
            }
        }
    }

    private static Instant DeadlineOf(Queue<PendingRead> reads) => reads.TryPeek(out PendingRead? first) ? first.Deadline : Instant.Never;

    private void Ask(Instant now)
    {
        while (_gathering.TryDequeue(out PendingRead? read))
        {
            _asked.Enqueue(read);
        }

        _question++;
        if (!feed.AskCommitted(_question, now))
        {
            Sometimes.Reached("read-finds-no-sequencer");
            Told(_question, null);
        }
    }

    private void Expire(Queue<PendingRead> reads, Instant now)
    {
        while (reads.TryPeek(out PendingRead? read) && now >= read.Deadline)
        {
            reads.Dequeue();
            LeaveToQuorum(read);
        }
    }

    private void Finish(PendingRead read)
    {
        // Other settings may have come with the numbers: then somebody may have been answered without one.
        if (node.Exchange.SettledRecord(read.Name.Bucket) == read.Record && node.Exchange.ReadApplied(read.Name) is { } outcome)
        {
            Sometimes.Reached("read-by-number");
            Answered++;
            read.Answer(outcome);
        }
        else
        {
            LeaveToQuorum(read);
        }
    }

    private void LeaveToQuorum(PendingRead read)
    {
        Sometimes.Reached("read-by-number-left-to-a-quorum");
        LeftToQuorum++;
        node.ReadByQuorum(read.Name, read.Answer);
    }

    private sealed class PendingRead(ObjectName name, Tag record, Instant deadline, Action<ReadOutcome> answer)
    {
        public ObjectName Name { get; } = name;

        /// <summary>The bucket's record when it began.</summary>
        public Tag Record { get; } = record;

        public Instant Deadline { get; set; } = deadline;

        public Action<ReadOutcome> Answer { get; } = answer;

        public SequenceNumber? Number { get; set; }
    }
}
