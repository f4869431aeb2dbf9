using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// What all subscribers of a group have seen, of all servers and their lives: one message a number, the same everywhere and for ever (F1,
/// F5); one number a message (F3); what was acknowledged is at its number (F4); and a message that was acknowledged before another was sent
/// is before it (F9); where each sender's order is kept, its messages stand in that, but for those that it was told are overtaken (FIFO).
/// That no number is left out (F2) is kept by how subscribers read: from one number to the next.
/// </summary>
internal sealed class GroupChecker
{
    private readonly Dictionary<ulong, (MessageId Id, string Content, NodeId By)> _at = [];
    private readonly Dictionary<MessageId, ulong> _numberOf = [];
    private readonly SortedDictionary<MessageId, ulong> _acknowledged = [];
    private readonly Dictionary<MessageId, string> _sent = [];
    private readonly Dictionary<SessionId, SortedDictionary<ulong, ulong>> _orders = [];
    private readonly HashSet<MessageId> _overtaken = [];

    /// <summary>True where each sender's order is kept.</summary>
    public bool IsFifo { get; init; }

    /// <summary>Messages that were acknowledged.</summary>
    public int Acknowledged => _acknowledged.Count;

    /// <summary>The greatest number that was acknowledged: what is sent from now on comes behind it.</summary>
    public ulong Last { get; private set; }

    /// <summary>The greatest number that somebody saw.</summary>
    public ulong LastSeen { get; private set; }

    /// <summary>A sender sends this, perhaps again.</summary>
    public void Sent(MessageId id, string content) => _sent[id] = content;

    /// <summary>A subscriber sees a number; nothing stands there for no id.</summary>
    public void Seen(NodeId server, ulong number, MessageId id, string content)
    {
        LastSeen = Math.Max(LastSeen, number);
        if (_at.TryGetValue(number, out (MessageId Id, string Content, NodeId By) before))
        {
            if (before.Id != id || before.Content != content)
            {
                throw Violation.Of("F1", $"at {number} {server} has {id} '{content}', {before.By} had {before.Id} '{before.Content}'");
            }

            return;
        }

        _at.Add(number, (id, content, server));
        if (id.IsNone)
        {
            return;
        }

        if (!_numberOf.TryAdd(id, number))
        {
            throw Violation.Of("F3", $"{id} stands at {_numberOf[id]} and, at {server}, at {number}");
        }

        if (IsFifo)
        {
            CheckOrder(server, number, id);
        }

        if (!_sent.TryGetValue(id, out string? sent) || sent != content)
        {
            throw Violation.Of("F4", $"at {number} {server} has {id} '{content}', and '{sent}' was sent");
        }

        if (_acknowledged.TryGetValue(id, out ulong told) && told != number)
        {
            throw Violation.Of("F4", $"{id} was acknowledged at {told}, and stands at {number} at {server}");
        }
    }

    /// <summary>A sender is told a number.</summary>
    /// <param name="server">By whom.</param>
    /// <param name="id">Of which message.</param>
    /// <param name="number">Its number.</param>
    /// <param name="lastBefore">The greatest number that was acknowledged when it was sent first.</param>
    public void Told(NodeId server, MessageId id, ulong number, ulong lastBefore)
    {
        if (number <= lastBefore)
        {
            throw Violation.Of("F9", $"{id} gets {number} of {server}, and {lastBefore} was acknowledged before it was sent");
        }

        if (_numberOf.TryGetValue(id, out ulong seen) && seen != number)
        {
            throw Violation.Of("F4", $"{id} is acknowledged at {number} by {server}, and stands at {seen}");
        }

        if (!_acknowledged.TryAdd(id, number) && _acknowledged[id] != number)
        {
            throw Violation.Of("F4", $"{id} is acknowledged at {_acknowledged[id]} and at {number}");
        }

        Last = Math.Max(Last, number);
    }

    /// <summary>A sender is told that a message is never delivered, since a later one of its was.</summary>
    public void Overtaken(NodeId server, MessageId id)
    {
        // A later one was sent, at least; that it was delivered may not have been seen yet.
        bool isLast = !_sent.Keys.Any(o => o.Session == id.Session && o.Counter > id.Counter);
        if (!IsFifo || isLast || _numberOf.ContainsKey(id) || _acknowledged.ContainsKey(id))
        {
            throw Violation.Of("FIFO", $"{server} calls {id} overtaken, which it is not");
        }

        _overtaken.Add(id);
    }

    private void CheckOrder(NodeId server, ulong number, MessageId id)
    {
        if (_overtaken.Contains(id))
        {
            throw Violation.Of("FIFO", $"at {number} {server} has {id}, whose sender was told that it is overtaken");
        }

        if (!_orders.TryGetValue(id.Session, out SortedDictionary<ulong, ulong>? order))
        {
            _orders.Add(id.Session, order = []);
        }

        order.Add(number, id.Counter);
        foreach ((ulong other, ulong counter) in order)
        {
            if (other != number && (other < number) != (counter < id.Counter))
            {
                throw Violation.Of("FIFO", $"{id} stands at {number}, and its sender's {counter} at {other}");
            }
        }
    }

    /// <summary>All is read up to a number: what was acknowledged up to there was seen, but for what was no longer kept.</summary>
    /// <param name="skipped">Numbers that no subscriber came to before they were collected.</param>
    public void Check(ulong upTo, Func<ulong, bool> skipped)
    {
        foreach ((MessageId id, ulong number) in _acknowledged)
        {
            if (number <= upTo && !_numberOf.ContainsKey(id) && !skipped(number))
            {
                string there = _at.TryGetValue(number, out (MessageId Id, string Content, NodeId By) seen) ? seen.Id.ToString() : "nothing";
                throw Violation.Of("F4", $"{id} was acknowledged at {number}, where {there} was seen");
            }
        }
    }
}
