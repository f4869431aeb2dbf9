namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Step 3 in a group that keeps each sender's order (SAM-83): the sequencer numbers a session's messages in the order of their counters.
/// One that comes before an earlier one waits, until all earlier ones have numbers, or its sender says that they are settled, or the
/// patience is over: then the missing ones are passed over, and if they come later, they get no number that counts.
/// </summary>
/// <remarks>
/// This is what makes order cheap, not what makes it safe: <see cref="SessionTable"/> lets a message do nothing behind a later one of its
/// sender, whoever numbered them. So what waits may be forgotten at any time; data servers ask again.
/// </remarks>
internal sealed class SenderOrder(GroupContext context)
{
    private readonly Dictionary<SessionId, Line> _lines = [];

    // Sessions' greatest counters at open numbers: the table does not know them yet.
    private readonly Dictionary<SessionId, ulong> _open = [];
    private readonly Queue<GroupData> _ready = new();
    private int _held;
    private Instant _nextDue = Instant.Never;

    /// <summary>A message's turn has come.</summary>
    public bool TryTakeReady(out GroupData data) => _ready.TryDequeue(out data);

    /// <summary>True if a message may be numbered now; else it waits here.</summary>
    public bool Admits(in GroupData data, Instant now)
    {
        if (!context.Settings.Fifo || SeededBug.Is("early-message-not-held"))
        {
            return true;
        }

        Line? line = _lines.GetValueOrDefault(data.Id.Session);
        if (IsNext(data.Id, Math.Max(data.Settled, line?.Settled ?? 0)) || line?.PassedUpTo >= data.Id.Counter)
        {
            return true;
        }

        if (_held >= context.Options.AssignWindow)
        {
            // Its data server asks again.
            return false;
        }

        if (line is null)
        {
            _lines.Add(data.Id.Session, line = new Line { Due = now + context.Options.FifoPatience });
            _nextDue = Instant.Min(_nextDue, line.Due);
        }

        line.Settled = Math.Max(line.Settled, data.Settled);
        _held += line.Held.TryAdd(data.Id.Counter, data with { Payload = default }) ? 1 : 0;
        Sometimes.Reached("message-waits-for-an-earlier-one");
        Release(data.Id.Session, line);
        return false;
    }

    /// <summary>A message has a number now.</summary>
    public void Placed(MessageId id, Instant now)
    {
        if (!context.Settings.Fifo)
        {
            return;
        }

        _open[id.Session] = Math.Max(_open.GetValueOrDefault(id.Session), id.Counter);
        if (_lines.TryGetValue(id.Session, out Line? line))
        {
            line.Due = now + context.Options.FifoPatience;
            Release(id.Session, line);
        }
    }

    /// <summary>A message of a session got no number, since it has one: who waits behind it goes on.</summary>
    public void Passed(SessionId session)
    {
        if (_lines.TryGetValue(session, out Line? line))
        {
            Release(session, line);
        }
    }

    /// <summary>A message's number is applied: the table knows it.</summary>
    public void Applied(MessageId id)
    {
        if (_open.TryGetValue(id.Session, out ulong greatest) && greatest <= id.Counter)
        {
            _open.Remove(id.Session);
        }
    }

    /// <summary>Whoever waited too long goes on without those that are missing.</summary>
    public void Expire(Instant now)
    {
        if (now < _nextDue)
        {
            return;
        }

        _nextDue = Instant.Never;
        foreach ((SessionId session, Line line) in _lines.OrderBy(l => l.Key).ToArray())
        {
            if (now >= line.Due)
            {
                Sometimes.Reached("earlier-message-passed-over");
                line.PassedUpTo = line.Held.Keys.First();
                line.Due = now + context.Options.FifoPatience;
                Release(session, line);
            }

            _nextDue = _lines.ContainsKey(session) ? Instant.Min(_nextDue, line.Due) : _nextDue;
        }
    }

    /// <summary>This server does not sequence any more.</summary>
    public void Clear()
    {
        _lines.Clear();
        _open.Clear();
        _ready.Clear();
        _held = 0;
        _nextDue = Instant.Never;
    }

    // All its sender's earlier counters have numbers, or will get none that counts.
    private bool IsNext(MessageId id, ulong settled) =>
        id.Counter - 1 <= Math.Max(settled, Math.Max(_open.GetValueOrDefault(id.Session), context.Sessions.LastOf(id.Session)));

    // The least that waits, once its turn has come; the next one follows when that has its number.
    private void Release(SessionId session, Line line)
    {
        while (line.Held.Count > 0)
        {
            (ulong counter, GroupData data) = line.Held.First();
            if (!IsNext(data.Id, line.Settled) && counter > line.PassedUpTo)
            {
                return;
            }

            line.Held.Remove(counter);
            _held--;
            _ready.Enqueue(data);
            if (counter == line.PassedUpTo)
            {
                break;
            }
        }

        if (line.Held.Count == 0)
        {
            _lines.Remove(session);
        }
    }

    private sealed class Line
    {
        public SortedDictionary<ulong, GroupData> Held { get; } = [];

        /// <summary>The greatest that its sender called settled in what waits.</summary>
        public ulong Settled { get; set; }

        /// <summary>Up to here the missing ones are passed over.</summary>
        public ulong PassedUpTo { get; set; }

        /// <summary>When the next missing ones are.</summary>
        public Instant Due { get; set; }
    }
}
