using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// Stale stamps (docs/protocols/vector-exchange.md, "Names"): a server that has told others that it holds a submission of a name, and still
/// does, takes no push of that name with a lower UID that was sent to it later.
/// </summary>
internal sealed class StalePushChecker(Func<NodeId, int> bitOf)
{
    private readonly Dictionary<Tag, ObjectName[]> _names = [];
    private readonly Dictionary<(NodeId To, Tag Tag), Instant> _pushed = [];
    private readonly Dictionary<(NodeId Holder, ObjectName Name), SortedDictionary<Tag, Instant>> _held = [];

    // Tags whose exchange has begun: a server may have them from elsewhere than the push.
    private readonly HashSet<Tag> _exchanged = [];

    /// <summary>A server has another disk: nothing is held there any more.</summary>
    public void Forget(NodeId server)
    {
        foreach ((NodeId Holder, ObjectName Name) held in _held.Keys.Where(key => key.Holder == server).ToArray())
        {
            _held.Remove(held);
        }
    }

    /// <summary>A push is sent.</summary>
    public void OnPush(NodeId to, Submission submission, Instant now)
    {
        _pushed.TryAdd((to, submission.Tag), now);
        if (!_names.ContainsKey(submission.Tag))
        {
            _names.Add(submission.Tag, [.. submission.Operations.Select(operation => operation.Target)]);
        }
    }

    /// <summary>A server sends another message of vector exchange.</summary>
    /// <param name="from">The sender.</param>
    /// <param name="type">The message's type.</param>
    /// <param name="payload">The message.</param>
    /// <param name="now">When.</param>
    /// <param name="stateAtSender">What the sender knows of a tag at this instant.</param>
    public void OnMessage(NodeId from, MessageType type, ReadOnlySpan<byte> payload, Instant now, Func<Tag, TagState> stateAtSender)
    {
        var reader = new WireReader(payload);
        _ = MessageCodec.TryReadHead(ref reader, out _);
        switch (type)
        {
            case MessageType.PushAnswer when PushAnswer.TryRead(ref reader, out PushAnswer answer) && answer.Verdict == PushVerdict.Held:
                OnHeld(from, answer.Tag, now, stateAtSender);
                break;
            case MessageType.Vector when Vector.TryRead(ref reader, out Vector vector):
                _exchanged.Add(vector.Tag);
                if (vector.Value && new VoterSet(vector.Bits).Contains(bitOf(from)))
                {
                    Note(from, vector.Tag, now);
                }

                break;
            case MessageType.Decided when Decided.TryRead(ref reader, out Decided decided):
                _exchanged.Add(decided.Tag);
                break;
            case MessageType.Fetch:
                _exchanged.Add(reader.Tag());
                break;
            default:
                break;
        }
    }

    private void OnHeld(NodeId from, Tag tag, Instant now, Func<Tag, TagState> stateAtSender)
    {
        if (!_exchanged.Contains(tag) && _pushed.TryGetValue((from, tag), out Instant pushed))
        {
            foreach (ObjectName name in _names[tag])
            {
                foreach ((Tag other, Instant since) in _held.GetValueOrDefault((from, name)) ?? [])
                {
                    if (other.Uid > tag.Uid && since < pushed && stateAtSender(other) is TagState.Open or TagState.Accepted)
                    {
                        throw Violation.Of("stale", $"{from} takes {tag}, pushed at {pushed}, and has held {other} of {name} since {since}");
                    }
                }
            }
        }

        Note(from, tag, now);
    }

    private void Note(NodeId holder, Tag tag, Instant now)
    {
        foreach (ObjectName name in _names.GetValueOrDefault(tag, []))
        {
            if (!_held.TryGetValue((holder, name), out SortedDictionary<Tag, Instant>? tags))
            {
                _held.Add((holder, name), tags = []);
            }

            tags.TryAdd(tag, now);
        }
    }
}
