using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Node.Groups;

/// <summary>Who waits for which message's number. The same message may be waited for twice: its sender lost one connection, and sent it
/// again by another.</summary>
internal sealed class PendingPublishes(TimeSpan patience)
{
    private readonly Dictionary<MessageId, Waiting> _waiting = [];

    // All wait equally long, so that the oldest is due first.
    private readonly Queue<(Instant Due, MessageId Id, IPublishCall Call)> _due = new();

    public int Count => _waiting.Count;

    public Instant NextDeadline => _due.TryPeek(out (Instant Due, MessageId Id, IPublishCall Call) next) ? next.Due : Instant.Never;

    public void Add(MessageId id, IPublishCall call, Instant now)
    {
        _waiting[id] = new Waiting(call, _waiting.GetValueOrDefault(id));
        _due.Enqueue((now + patience, id, call));
    }

    /// <summary>A message has come to its end.</summary>
    public void End(MessageId id, PublishEnd end, SequenceNumber number, string why)
    {
        if (_waiting.Remove(id, out Waiting? waiting))
        {
            for (; waiting is not null; waiting = waiting.Next)
            {
                waiting.Call.Ended(end, number, why);
            }
        }

        while (_due.TryPeek(out (Instant Due, MessageId Id, IPublishCall Call) next) && !_waiting.ContainsKey(next.Id))
        {
            _due.Dequeue();
        }
    }

    /// <summary>Somebody waits no longer.</summary>
    /// <returns>True if nobody waits for that message now.</returns>
    public bool Remove(MessageId id, IPublishCall call)
    {
        if (!_waiting.TryGetValue(id, out Waiting? first))
        {
            return false;
        }

        Waiting? left = Without(first, call);
        if (left is not null)
        {
            _waiting[id] = left;
            return false;
        }

        _waiting.Remove(id);
        return true;
    }

    /// <summary>The next message whose time is over, if there is one; nobody waits for it any more.</summary>
    public bool TryExpire(Instant now, out MessageId id)
    {
        while (_due.TryPeek(out (Instant Due, MessageId Id, IPublishCall Call) next) && next.Due <= now)
        {
            _due.Dequeue();
            id = next.Id;
            if (_waiting.TryGetValue(id, out Waiting? first) && Contains(first, next.Call))
            {
                bool isLast = Remove(id, next.Call);
                next.Call.Ended(PublishEnd.Unknown, default, "no commit was seen in time");
                if (isLast)
                {
                    return true;
                }
            }
        }

        id = default;
        return false;
    }

    /// <summary>All are told the same.</summary>
    public void EndAll(PublishEnd end, string why)
    {
        foreach (MessageId id in _waiting.Keys.Order().ToArray())
        {
            End(id, end, default, why);
        }
    }

    private static bool Contains(Waiting? waiting, IPublishCall call)
    {
        while (waiting is not null && waiting.Call != call)
        {
            waiting = waiting.Next;
        }

        return waiting is not null;
    }

    private static Waiting? Without(Waiting? waiting, IPublishCall call) =>
        waiting is null ? null
        : waiting.Call == call ? waiting.Next
        : new Waiting(waiting.Call, Without(waiting.Next, call));

    private sealed record Waiting(IPublishCall Call, Waiting? Next);
}
