using System.Runtime.InteropServices;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What the table says of a message.</summary>
public enum SessionVerdict : byte
{
    /// <summary>It has no number yet.</summary>
    Fresh = 0,

    /// <summary>It has one; or its sender has settled it, and it will get none that counts.</summary>
    Numbered = 1,

    /// <summary>Its session may have been retired since it was sent first: nothing can be said.</summary>
    Expired = 2,

    /// <summary>Its session has too many numbered counters that are not settled, or there are too many sessions.</summary>
    Full = 3,

    /// <summary>Where senders' order is kept: a later message of its sender has a number, and it has none; so it never gets one that
    /// counts.</summary>
    Overtaken = 4,
}

/// <summary>
/// The judgement of duplicates ◆, replicated: for each sender what it has settled, and the numbers of its counters above that. It is a
/// function of the sequence alone, so every server has the same at the same number, and a checkpoint carries it.
/// </summary>
/// <remarks>
/// A session that was idle for the maximum logical lifetime is retired. A message whose session is unknown is fresh only if its logical
/// timestamp is younger than that: had it been numbered, it was numbered after its timestamp, and its session would still be there.
/// The lifetime is shorter while there are as many sessions as there may be: a new one then takes the place of the one that was idle
/// longest, and what is not younger than the last of those that remain was perhaps sent in one that is gone. Once there are fewer again,
/// one that stayed longer has been retired by its age, so that the rule of the age says as much.
/// </remarks>
public sealed class SessionTable
{
    /// <summary>No session is ever retired: the catalog's.</summary>
    public const ulong NoLifetime = ulong.MaxValue;

    /// <summary>The most sessions: beyond, the one that was idle longest is retired. The catalog's are not; messages of new ones wait
    /// there.</summary>
    public const int MaxSessions = 262_144;

    /// <summary>The most numbered counters of one session above what it settled; the catalog's have no bound, since nothing that is
    /// agreed may
    /// be refused.</summary>
    public const int MaxNumbered = 16_384;

    private const byte Version = 1;
    private const int SessionSize = SessionId.Size + 8 + 8 + 4;

    private readonly ulong _lifetime;
    private readonly bool _isFifo;
    private readonly Dictionary<SessionId, Session> _sessions = [];

    // In order of their last numbers, the longest idle first.
    private readonly LinkedList<Session> _byLast = new();

    /// <summary>An empty table, as before the first number.</summary>
    /// <param name="lifetime">Maximum logical lifetime, in numbers; or <see cref="NoLifetime"/>.</param>
    /// <param name="isFifo">True: a message behind a later one of its sender does nothing ◆ (SAM-83).</param>
    public SessionTable(ulong lifetime, bool isFifo = false) => (_lifetime, _isFifo) = (lifetime, isFifo);

    /// <summary>The number of the last assignment that was applied.</summary>
    public ulong Number { get; private set; }

    /// <summary>Sessions that are not retired.</summary>
    public int Count => _sessions.Count;

    /// <summary>How a message stands.</summary>
    /// <param name="id">Which message.</param>
    /// <param name="timestamp">Its logical timestamp.</param>
    /// <param name="number">Its number; 0 where it is settled and its number forgotten.</param>
    public SessionVerdict Judge(MessageId id, ulong timestamp, out ulong number)
    {
        number = 0;
        if (!_sessions.TryGetValue(id.Session, out Session? session))
        {
            if (IsTooOld(timestamp))
            {
                return SessionVerdict.Expired;
            }

            return _sessions.Count >= MaxSessions && _lifetime == NoLifetime ? SessionVerdict.Full : SessionVerdict.Fresh;
        }

        if (id.Counter <= session.Settled && !SeededBug.Is("settled-forgotten"))
        {
            return SessionVerdict.Numbered;
        }

        int place = session.Find(id.Counter);
        if (place >= 0)
        {
            number = session.Numbered[place].Number;
            return SessionVerdict.Numbered;
        }

        if (IsOvertaken(session, id.Counter))
        {
            // It may have had a number before its session was retired: that is known by its age alone.
            return IsTooOld(timestamp) ? SessionVerdict.Expired : SessionVerdict.Overtaken;
        }

        return session.Numbered.Count >= MaxNumbered && _lifetime != NoLifetime ? SessionVerdict.Full : SessionVerdict.Fresh;
    }

    /// <summary>True if a message of this timestamp can't be judged when its session is unknown (SAM-60, SAM-61).</summary>
    public bool IsTooOld(ulong timestamp) =>
        IsBeyondLifetime(timestamp) || (_lifetime != NoLifetime && _sessions.Count >= MaxSessions && timestamp < _byLast.First!.Value.Last);

    /// <summary>True if it is too old by its age alone, however many sessions there are.</summary>
    public bool IsBeyondLifetime(ulong timestamp) => _lifetime != NoLifetime && Number >= _lifetime && timestamp <= Number - _lifetime;

    /// <summary>True if an assignment, applied next, does something: it is no no-op, and its message has no number yet.</summary>
    public bool IsFirst(in Assignment assignment) =>
        !assignment.IsNoOp
        && (!_sessions.TryGetValue(assignment.Id.Session, out Session? session)
            || (assignment.Id.Counter > session.Settled && session.Find(assignment.Id.Counter) < 0
                && !IsOvertaken(session, assignment.Id.Counter)));

    /// <summary>The greatest counter of a session that has a number, or is settled; 0 where nothing is known of it.</summary>
    public ulong LastOf(SessionId id) => _sessions.TryGetValue(id, out Session? session) ? session.LastCounter : 0;

    /// <summary>A table of its own with the same content: what would be applied can be tried on it.</summary>
    public SessionTable Copy()
    {
        var copy = new SessionTable(_lifetime, _isFifo) { Number = Number };
        copy._sessions.EnsureCapacity(_sessions.Count);
        foreach (Session session in _byLast)
        {
            var own = new Session { Id = session.Id, Settled = session.Settled, Last = session.Last };
            own.Numbered.AddRange(session.Numbered);
            own.Place = copy._byLast.AddLast(own);
            copy._sessions.Add(own.Id, own);
        }

        return copy;
    }

    /// <summary>Applies what is committed at the next number.</summary>
    /// <returns>True if it does something; false: a no-op, or seen before.</returns>
    public bool Apply(in Assignment assignment)
    {
        Number++;
        bool isFirst = false;
        if (!assignment.IsNoOp)
        {
            Session session = Touch(assignment.Id.Session);
            int place = session.Find(assignment.Id.Counter);
            if (assignment.Id.Counter > session.Settled && place < 0 && !IsOvertaken(session, assignment.Id.Counter))
            {
                isFirst = true;
                session.Numbered.Insert(~place, (assignment.Id.Counter, Number));
            }

            session.Settle(assignment.Settled);
        }

        Retire();
        return isFirst || (SeededBug.Is("duplicate-delivered") && !assignment.IsNoOp);
    }

    /// <summary>The table's bytes, equal wherever the table is (docs/formats/group-messages.md).</summary>
    public byte[] Serialize()
    {
        var sorted = new Session[_sessions.Count];
        _sessions.Values.CopyTo(sorted, 0);
        Array.Sort(sorted, (a, b) => a.Id.CompareTo(b.Id));
        int size = 1 + 8 + 4;
        foreach (Session session in sorted)
        {
            size += SessionSize + (session.Numbered.Count * 16);
        }

        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        writer.U8(Version);
        writer.U64(Number);
        writer.U32((uint)sorted.Length);
        Span<byte> id = stackalloc byte[SessionId.Size];
        foreach (Session session in sorted)
        {
            session.Id.CopyTo(id);
            writer.Bytes(id);
            writer.U64(session.Settled);
            writer.U64(session.Last);
            writer.U32((uint)session.Numbered.Count);
            foreach ((ulong counter, ulong number) in CollectionsMarshal.AsSpan(session.Numbered))
            {
                writer.U64(counter);
                writer.U64(number);
            }
        }

        return bytes;
    }

    /// <summary>Reads a table; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, ulong lifetime, out SessionTable table, bool isFifo = false)
    {
        table = new SessionTable(lifetime, isFifo);
        var reader = new WireReader(bytes);
        byte version = reader.U8();
        table.Number = reader.U64();
        int count = reader.Count(MaxSessions, SessionSize);
        if (version != Version)
        {
            return false;
        }

        var sessions = new List<Session>(count);
        for (int i = 0; i < count && !reader.Failed; i++)
        {
            ReadOnlySpan<byte> id = reader.Bytes(SessionId.Size);
            var session = new Session { Id = reader.Failed ? default : SessionId.From(id), Settled = reader.U64(), Last = reader.U64() };
            int numbered = reader.Count(int.MaxValue, 16);
            for (int j = 0; j < numbered; j++)
            {
                session.Numbered.Add((reader.U64(), reader.U64()));
            }

            sessions.Add(session);
        }

        if (reader.Failed || reader.Remaining != 0)
        {
            return false;
        }

        sessions.Sort((a, b) => a.Last.CompareTo(b.Last));
        foreach (Session session in sessions)
        {
            if (!table._sessions.TryAdd(session.Id, session))
            {
                return false;
            }

            session.Place = table._byLast.AddLast(session);
        }

        return true;
    }

    private bool IsOvertaken(Session session, ulong counter) =>
        _isFifo && counter < session.LastCounter && !SeededBug.Is("overtaken-message-counts");

    private Session Touch(SessionId id)
    {
        if (!_sessions.TryGetValue(id, out Session? session))
        {
            _sessions.Add(id, session = new Session { Id = id });
            session.Place = _byLast.AddLast(session);
        }
        else if (session.Place != _byLast.Last)
        {
            _byLast.Remove(session.Place!);
            _byLast.AddLast(session.Place!);
        }

        session.Last = Number;
        return session;
    }

    private void Retire()
    {
        // One number is the last of one session at most, so that no two were idle equally long.
        while (_lifetime != NoLifetime && _byLast.First is { } first
            && (_sessions.Count > MaxSessions || (Number > _lifetime && first.Value.Last < Number - _lifetime)))
        {
            _sessions.Remove(first.Value.Id);
            _byLast.RemoveFirst();
        }
    }

    private sealed class Session
    {
        public required SessionId Id { get; init; }

        public ulong Settled { get; set; }

        public ulong Last { get; set; }

        public LinkedListNode<Session>? Place { get; set; }

        /// <summary>In order of their counters, all above <see cref="Settled"/>.</summary>
        public List<(ulong Counter, ulong Number)> Numbered { get; } = [];

        public ulong LastCounter => Numbered.Count > 0 ? Numbered[^1].Counter : Settled;

        /// <summary>The place of a counter, or the complement of where it would be.</summary>
        public int Find(ulong counter)
        {
            // A sender counts up: almost always the place is behind the last.
            int high = Numbered.Count - 1;
            if (high < 0 || Numbered[high].Counter < counter)
            {
                return ~Numbered.Count;
            }

            int low = 0;
            while (low <= high)
            {
                int middle = (low + high) >>> 1;
                ulong there = Numbered[middle].Counter;
                if (there == counter)
                {
                    return middle;
                }

                if (there < counter)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle - 1;
                }
            }

            return ~low;
        }

        public void Settle(ulong settled)
        {
            if (settled <= Settled)
            {
                return;
            }

            Settled = settled;
            int place = Find(settled);
            Numbered.RemoveRange(0, place >= 0 ? place + 1 : ~place);
        }
    }
}
