using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What all servers, in all their lives, have applied of the catalog's feed: one assignment and one submission a number, the same
/// everywhere and for ever (F1, F5); no number is left out (F2); a submission stands at one number (F3); what a client was told a number
/// of stands there (F4), and one that was told before another was asked for stands before it (F9); equal numbers, equal state (F8).
/// </summary>
internal sealed class FeedChecker
{
    private readonly Dictionary<ulong, (Assignment Value, Tag Tag, NodeId By)> _at = [];
    private readonly Dictionary<Tag, ulong> _numberOf = [];
    private readonly Dictionary<NodeId, ulong> _next = [];
    private readonly List<(ulong Number, Tag Tag, NodeId By)> _told = [];

    /// <summary>Versions of the configuration, each with the number and the message that made it.</summary>
    public SortedDictionary<ulong, (ulong Number, MessageId Id)> Versions { get; } = [];

    /// <summary>The greatest number that any server applied.</summary>
    public ulong Last { get; private set; }

    /// <summary>Reads on at a server what it has applied since.</summary>
    public void Look(SimulatedServer server)
    {
        if (server is not { State: ServerState.Running, Node: { } node })
        {
            return;
        }

        // A power cut may have set it back; what it then comes to again must be the same.
        ulong applied = node.FeedApplied.Value;
        ulong next = Math.Min(_next.GetValueOrDefault(server.Name, 1UL), applied + 1);
        for (; next <= applied; next++)
        {
            if (node.TryFindNumber(new SequenceNumber(next), out Assignment value, out Submission? submission))
            {
                Seen(server.Name, next, value, submission);
            }
            else if (next > node.FeedCollected.Value)
            {
                throw Violation.Of("F2", $"{server.Name} has applied {applied}, and nothing of {next}");
            }
        }

        _next[server.Name] = next;
        Last = Math.Max(Last, applied);
    }

    /// <summary>A server names a number of a submission.</summary>
    public void Told(NodeId server, Tag tag, FeedOutcome outcome)
    {
        if (!outcome.Number.IsNone && !tag.IsNone)
        {
            _told.Add((outcome.Number.Value, tag, server));
        }
    }

    /// <summary>At the end: what was told is so, and numbers follow real time.</summary>
    public void Check(Evidence evidence)
    {
        foreach ((ulong number, Tag tag, NodeId by) in _told)
        {
            if (_at.TryGetValue(number, out (Assignment Value, Tag Tag, NodeId By) seen) && seen.Tag != tag)
            {
                throw Violation.Of("F4", $"{by} said that {tag} stands at {number}, where {seen.Tag} stands");
            }
        }

        CheckOrder(evidence);
    }

    /// <summary>When all is quiet: every number was seen, and every accepted write stands at one.</summary>
    public void CheckAll(Evidence evidence)
    {
        for (ulong number = 1; number <= Last; number++)
        {
            if (!_at.ContainsKey(number))
            {
                throw Violation.Of("F2", $"the feed goes up to {Last}, and nobody was seen to apply {number}");
            }
        }

        foreach ((ulong number, Tag tag, NodeId by) in _told)
        {
            if (number > Last)
            {
                throw Violation.Of("F4", $"{by} said that {tag} stands at {number}, and the feed goes up to {Last}");
            }
        }

        foreach (KeyedWrite write in KeyedWrite.Join(evidence.Writes))
        {
            if (write.Verdict == LibraryVerdict.Accepted && !_numberOf.ContainsKey(write.Tag))
            {
                throw Violation.Of("F4", $"{write} stands nowhere in the feed, which goes up to {Last}");
            }
        }
    }

    private void Seen(NodeId server, ulong number, Assignment value, Submission? submission)
    {
        Tag tag = submission?.Tag ?? default;
        if (_at.TryGetValue(number, out (Assignment Value, Tag Tag, NodeId By) before))
        {
            if (before.Value != value || before.Tag != tag)
            {
                throw Violation.Of("F1", $"at {number} {server} has {tag} {value.Id}, {before.By} had {before.Tag} {before.Value.Id}");
            }

            return;
        }

        _at.Add(number, (value, tag, server));
        if (submission is { } change && ConfigurationEntry.TryRead(change, out ConfigurationEntry? entry))
        {
            // Of several of one version the first makes it.
            ulong version = entry.Configuration.Version;
            if (!Versions.TryGetValue(version, out (ulong Number, MessageId Id) first) || number < first.Number)
            {
                Versions[version] = (number, value.Id);
            }
        }

        if (!tag.IsNone && !_numberOf.TryAdd(tag, number))
        {
            throw Violation.Of("F3", $"{tag} stands at {_numberOf[tag]} and, at {server}, at {number}");
        }
    }

    private static void CheckOrder(Evidence evidence)
    {
        var answered = new List<(Instant At, ulong Number, WriteRecord Write)>();
        foreach (WriteRecord write in evidence.Writes)
        {
            AttemptRecord? told = write.Attempts.Find(a => a is { Heard: AnswerEnd.Answered, Answer: SubmitOutcome.Accepted });
            if (told?.Answer is SubmitOutcome.Accepted { Sequenced.Number: { IsNone: false } number } && write.Returned is { } at)
            {
                answered.Add((at, number.Value, write));
            }
        }

        answered.Sort((a, b) => a.At.CompareTo(b.At));
        ulong greatest = 0;
        int next = 0;
        foreach ((Instant _, ulong number, WriteRecord write) in answered.OrderBy(a => a.Write.Invoked))
        {
            for (; next < answered.Count && answered[next].At < write.Invoked; next++)
            {
                greatest = Math.Max(greatest, answered[next].Number);
            }

            bool isRepeated = evidence.Writes.Exists(w => w != write && w.Key == write.Key);
            if (number <= greatest && !isRepeated)
            {
                throw Violation.Of("F9", $"{write} stands at {number}, and {greatest} was answered before it was asked for");
            }
        }
    }
}
