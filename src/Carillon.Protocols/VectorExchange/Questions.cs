using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>A linearizable read of one name on its way (3-vector-exchange, "Reads").</summary>
internal sealed class QuorumRead(ulong id, ObjectName name, Instant deadline, Action<ReadOutcome> answer)
{
    public ulong Id { get; } = id;

    public ObjectName Name { get; } = name;

    public Instant Deadline { get; } = deadline;

    public Action<ReadOutcome> Answer { get; } = answer;

    public Instant TickAt { get; set; } = Instant.Never;

    public VoterSet Heard { get; set; }

    /// <summary>The greatest tag that anybody knows to be agreed, and who said so.</summary>
    public Tag Agreed { get; set; }

    public int AgreedAt { get; set; } = -1;

    /// <summary>Greater tags that somebody holds, with all yes bits of any round that anybody reported.</summary>
    public SortedDictionary<Tag, VoterSet> Held { get; } = [];

    /// <summary>The bucket's record here by which no write of it is answered at its agreement, and who calls the bucket settled by
    /// that.</summary>
    public Tag Settling { get; private set; }

    public VoterSet Settled { get; set; }

    public void Restart(Tag settling)
    {
        Settling = settling;
        Settled = default;
        Heard = default;
        Held.Clear();
    }
}

/// <summary>A question what became of a key; fences it on the way if asked to.</summary>
internal sealed class KeyInquiry(ulong id, string key, bool fence, Instant deadline, Action<KeyAnswer, Moment> answer)
{
    public ulong Id { get; } = id;

    public string Key { get; } = key;

    public bool Fence { get; } = fence;

    public Instant Deadline { get; } = deadline;

    public Action<KeyAnswer, Moment> Answer { get; } = answer;

    public Instant TickAt { get; set; } = Instant.Never;

    /// <summary>Who said that it holds nothing (and, if asked, has fenced the key).</summary>
    public VoterSet Nothing { get; set; }

    public VoterSet Fenced { get; set; }

    /// <summary>Who held the key's record and gave it up: it neither fences the key nor knows what became of it.</summary>
    public VoterSet TooOld { get; set; }

    /// <summary>The tag that such a server named.</summary>
    public Tag GivenUp { get; set; }

    /// <summary>An open tag of the key that somebody named.</summary>
    public Tag Open { get; set; }

    public Digest OpenFingerprint { get; set; }
}

/// <summary>A question what became of a tag.</summary>
internal sealed class TagInquiry(ulong id, Tag tag, Instant deadline, Action<SubmissionReport> answer)
{
    public ulong Id { get; } = id;

    private readonly HashSet<Tag> _followed = [tag];

    public Tag Tag { get; private set; } = tag;

    public Instant TickAt { get; set; } = Instant.Never;

    public Instant Deadline { get; } = deadline;

    public Action<SubmissionReport> Answer { get; } = answer;

    /// <summary>
    /// Goes on with the successor of a rejected tag. False where there is none, or the chain has closed: two rivals of one key that each
    /// gave way to the other are both rejected.
    /// </summary>
    public bool GoesOnWith(Tag successor)
    {
        if (successor.IsNone || !_followed.Add(successor))
        {
            return false;
        }

        Tag = successor;
        return true;
    }
}
