namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Gets messages that stand at numbers and are not here, from data servers (figure 2, step 2): asks one, many messages at once, after a
/// short
/// random wait in which the repair may be overheard; then another.
/// </summary>
internal sealed class MessageFetcher(GroupContext context)
{
    private const int MostTurns = 64;

    private readonly Dictionary<MessageId, Want> _wants = [];
    private readonly List<MessageId> _given = [];
    private readonly SortedDictionary<NodeId, List<WantedMessage>> _queries = [];

    public Instant NextDeadline { get; private set; } = Instant.Never;

    public int Count => _wants.Count;

    /// <summary>True while this very content is wanted.</summary>
    public bool Wants(MessageId id, in Digest hash) => _wants.Count > 0 && _wants.TryGetValue(id, out Want? want) && want.Hash == hash;

    /// <summary>A message that stands at a number is not here.</summary>
    /// <param name="assignment">Which.</param>
    /// <param name="number">Its number.</param>
    /// <param name="holder">Who has it, as far as is known.</param>
    /// <param name="isUrgent">True: it is asked for at once.</param>
    /// <param name="now">The time.</param>
    public void Add(in Assignment assignment, ulong number, NodeId holder, bool isUrgent, Instant now)
    {
        if (_wants.TryGetValue(assignment.Id, out Want? known))
        {
            if (known.Hash == assignment.Hash)
            {
                known.Holder = holder.IsNone ? known.Holder : holder;
                return;
            }

            _wants.Remove(assignment.Id);
        }

        if (_wants.Count >= context.Options.MaxQuery)
        {
            return;
        }

        bool isElsewhere = context.Store.Want(assignment.Id);
        Instant due = isElsewhere ? Instant.Never : now + (isUrgent ? TimeSpan.Zero : context.DrawQueryDelay());
        _wants.Add(assignment.Id, new Want { Hash = assignment.Hash, Number = number, Holder = holder, Due = due });
        NextDeadline = Instant.Min(NextDeadline, due);
    }

    /// <summary>It is here, or not wanted any more.</summary>
    public void Remove(MessageId id)
    {
        if (_wants.Count > 0)
        {
            _wants.Remove(id);
        }
    }

    /// <summary>A server has not got some.</summary>
    public void Absent(DataAbsentMessage message, Instant now)
    {
        foreach (MessageId id in message.Ids.Span)
        {
            // The next server is asked at once, but after the last one a wait begins.
            if (_wants.TryGetValue(id, out Want? want) && want.Due != Instant.Never
                && want.Turn % Math.Max(1, context.Roles.Data.Count) != 0)
            {
                want.Due = now;
                NextDeadline = now;
            }
        }
    }

    public void Advance(Instant now)
    {
        if (now < NextDeadline)
        {
            return;
        }

        NextDeadline = Instant.Never;
        _given.Clear();
        foreach ((MessageId id, Want want) in _wants)
        {
            if (want.Due <= now && want.Turn >= MostTurns)
            {
                // Who still wants it says so again.
                _given.Add(id);
                continue;
            }

            if (want.Due <= now)
            {
                Ask(id, want, now);
            }

            NextDeadline = Instant.Min(NextDeadline, want.Due);
        }

        foreach (MessageId id in _given)
        {
            _wants.Remove(id);
        }

        foreach ((NodeId server, List<WantedMessage> wanted) in _queries)
        {
            if (wanted.Count > 0)
            {
                // Not in the order of a hash table.
                wanted.Sort((a, b) => a.Number != b.Number ? a.Number.CompareTo(b.Number) : a.Id.CompareTo(b.Id));
                context.Figures.MessagesQueried += wanted.Count;
                context.Send(server, new DataQueryMessage(wanted.ToArray()));
                wanted.Clear();
            }
        }
    }

    private void Ask(MessageId id, Want want, Instant now)
    {
        bool isKnownHolder = want.Turn == 0 && !want.Holder.IsNone && want.Holder != context.Self && context.Host.IsConnected(want.Holder);
        NodeId server = isKnownHolder ? want.Holder : context.Pick(context.Roles.Data, want.Turn);
        want.Turn++;
        want.Due = now + context.Options.QueryTimeout;
        if (server.IsNone)
        {
            return;
        }

        if (!_queries.TryGetValue(server, out List<WantedMessage>? wanted))
        {
            _queries.Add(server, wanted = []);
        }

        wanted.Add(new WantedMessage(id, want.Number));
    }

    private sealed class Want
    {
        public required Digest Hash { get; init; }

        public required ulong Number { get; init; }

        public NodeId Holder { get; set; }

        public Instant Due { get; set; }

        public int Turn { get; set; }
    }
}
