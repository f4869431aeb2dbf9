using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>One member of a <see cref="GroupLab"/>: the core, its log, its store, and an application that counts.</summary>
internal sealed class LabMember(GroupLab lab, NodeId name) : IGroupHost
{
    private readonly List<byte[]> _log = [];
    private readonly Queue<(ulong After, NodeId To, ReadOnlyMemory<byte> Message)> _gated = new();
    private LabSegments _segments = new(0, [], 0);
    private Instant _wakeAt = Instant.Never;
    private bool _isFlushingSegments;

    public NodeId Name => name;

    public GroupMember Core { get; private set; } = null!;

    public IMessageStore Store { get; private set; } = null!;

    public List<byte[]> DurableLog { get; } = [];

    public bool IsUp { get; private set; }

    public int Life { get; private set; }

    public ulong LastDelivered { get; private set; }

    /// <summary>The digest of all that was delivered: the application's state.</summary>
    public Digest State { get; private set; }

    public bool IsBroken { get; set; }

    /// <summary>Committed numbers that its disk can't read any more.</summary>
    public HashSet<ulong> Damaged { get; } = [];

    /// <summary>True if its store takes no message without a number.</summary>
    public bool IsFull { get; set; }

    public List<GroupEvent> Events { get; } = [];

    public bool MayVote => true;

    public bool HasListeners => lab.HasListeners;

    public ulong Durable { get; private set; }

    private readonly SortedDictionary<ulong, byte[]> _checkpoints = [];

    public bool IsConnected(NodeId node) => lab.Reaches(name, node);

    public bool CanAppend(int bytes) => true;

    public bool IsChange(MessageId id) => lab.Changes.Contains(id);

    public ulong Append(ReadOnlySpan<byte> record)
    {
        _log.Add(record.ToArray());
        ulong position = (ulong)_log.Count;
        int life = Life;
        lab.At(lab.FlushTime, () =>
        {
            if (life != Life || !IsUp || position <= Durable)
            {
                return;
            }

            while ((ulong)DurableLog.Count < position)
            {
                DurableLog.Add(_log[DurableLog.Count]);
            }

            Durable = position;
            while (_gated.TryPeek(out var next) && next.After <= Durable)
            {
                _gated.Dequeue();
                lab.Carry(name, next.To, next.Message);
            }

            Input(now => Core.Persisted(position, now));
        });
        return position;
    }

    public void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after)
    {
        if (after > Durable)
        {
            _gated.Enqueue((after, peer, message));
        }
        else
        {
            lab.Carry(name, peer, message);
        }
    }

    public void Multicast(GroupChannel channel, ReadOnlyMemory<byte> message) => lab.CarryToAll(name, channel, message);

    public void Delivered(ReadOnlySpan<DeliveredMessage> run)
    {
        foreach (DeliveredMessage message in run)
        {
            if (message.Number.Value != LastDelivered + 1)
            {
                lab.Faults.Add($"{name} delivers {message.Number} after {LastDelivered} (F2)");
            }

            LastDelivered = message.Number.Value;
            lab.Check(this, message);
            byte[] mixed = new byte[Digest.Size + MessageId.Size + 8];
            var writer = new WireWriter(mixed);
            writer.Digest(State);
            writer.U64(message.IsNoOp ? 0 : message.Id.Counter);
            writer.U64(IsBroken ? 1UL : 0);
            State = Digest.Of(mixed);
        }
    }

    public void Sent(MessageId id, SendVerdict verdict, SequenceNumber number) => lab.Sent(this, id, verdict, number);

    public void Note(GroupEvent what)
    {
        Events.Add(what);
        lab.Effects?.Add($"{name} notes {what}");
        if (what is GroupEvent.Skipped skipped)
        {
            LastDelivered = skipped.To.Value;
        }

        lab.Noted(this, what);
    }

    public bool TakeCheckpoint(SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        if (!lab.HasApplication)
        {
            return false;
        }

        byte[] bytes = new byte[8 + Digest.Size + sessions.Length];
        var writer = new WireWriter(bytes);
        writer.U64(number.Value);
        writer.Digest(State);
        writer.Bytes(sessions.Span);
        _checkpoints[number.Value] = bytes;
        int life = Life;
        lab.At(TimeSpan.FromMilliseconds(3), () =>
        {
            if (life == Life)
            {
                Input(now => Core.CheckpointTaken(CheckpointBlocks.Mark(number, bytes), now));
            }
        });
        return true;
    }

    public bool FetchCheckpoint(CheckpointMark mark)
    {
        if (!lab.HasApplication)
        {
            return false;
        }

        int life = Life;
        lab.At(TimeSpan.FromMilliseconds(30), () => Copy(mark, life));
        return true;
    }

    public ReadOnlyMemory<byte> ReadCheckpoint(SequenceNumber number, uint index) =>
        _checkpoints.TryGetValue(number.Value, out byte[]? bytes) ? CheckpointBlocks.Block(bytes, index) : default;

    public void Start()
    {
        Life++;
        IsUp = true;
        _gated.Clear();
        _log.Clear();
        _log.AddRange(DurableLog);
        Durable = (ulong)DurableLog.Count;
        _isFlushingSegments = false;
        LastDelivered = 0;
        State = default;
        Store = lab.IsMemory
            ? new MemoryMessageStore(1 << 30) { RetainBytes = lab.Settings.RetainBytes }
            : new LabStore(this, DurableLog, _segments, lab.Settings.RetainBytes);
        Core = new GroupMember(lab.SettingsOf(name), lab.Options, Store, lab.Random.Fork(), this);
        foreach (byte[] record in DurableLog)
        {
            if (record[0] != (byte)GroupRecordType.FirstOfStores && !Core.Restore(record))
            {
                lab.Faults.Add($"{name} can't read its log");
            }
        }

        foreach (byte[] bytes in _checkpoints.Values.Reverse())
        {
            ApplyState(bytes, out ulong number, out byte[] sessions);
            if (Core.StartFrom(new SequenceNumber(number), sessions))
            {
                break;
            }

            State = default;
        }

        LastDelivered = Core.Delivered.Value;
        Core.Start(lab.LocalNow);
        Wake();
    }

    /// <summary>The log is copied forward, and what was before is gone; the store's records stay.</summary>
    public void CutLog()
    {
        List<byte[]> kept = [.. DurableLog.Where(r => r[0] == (byte)GroupRecordType.FirstOfStores)];
        Core.WriteSnapshot(record => kept.Add(record.ToArray()));
        DurableLog.Clear();
        DurableLog.AddRange(kept);
    }

    /// <summary>The member dies; what was flushed stays.</summary>
    public void Crash()
    {
        IsUp = false;
        Life++;
        if (Store is LabStore store)
        {
            _segments = store.Segments;
        }

        Events.Clear();
    }

    /// <summary>Its disk, which is not in use yet, holds these.</summary>
    public void Hold(LabSegments segments) => _segments = segments;

    /// <summary>An empty disk takes the place of this one, which is down.</summary>
    public void ReplaceDisk()
    {
        DurableLog.Clear();
        _checkpoints.Clear();
        _segments = new LabSegments(0, [], 0);
    }

    public void FlushSegmentsLater()
    {
        if (_isFlushingSegments)
        {
            return;
        }

        _isFlushingSegments = true;
        int life = Life;
        lab.At(new TimeSpan(lab.Random.Below(400 * TimeSpan.TicksPerMillisecond)), () =>
        {
            if (life == Life && Store is LabStore store)
            {
                _isFlushingSegments = false;
                store.FlushSegments();
            }
        });
    }

    public void Elect(Epoch epoch) => Input(now => Core.BecomeSequencer(epoch, Instant.Never, now));

    /// <summary>The lease of its present epoch ends so much later.</summary>
    public void EndLease(TimeSpan later) => Input(now => Core.ExtendLease(new Epoch(lab.LastEpoch), now + later));

    /// <summary>Answers to questions how far the sequencer has committed.</summary>
    public List<(ulong Question, SequenceNumber? Number)> Told { get; } = [];

    public void CommittedTold(ulong question, SequenceNumber? number)
    {
        Told.Add((question, number));
        lab.Effects?.Add($"{name} is told: {(number is { } known ? $"committed up to {known}" : "not known")}");
    }

    /// <summary>Asks the sequencer how far it has committed. False: there is none to ask.</summary>
    public bool Ask(ulong question)
    {
        bool isAsked = false;
        Input(now => isAsked = Core.AskCommitted(question, now));
        return isAsked;
    }

    public void Input(Action<Instant> input)
    {
        if (IsUp)
        {
            input(lab.LocalNow);
            Core.Flush(lab.LocalNow);
            Wake();
        }
    }

    private void Copy(CheckpointMark mark, int life)
    {
        if (life != Life || !IsUp)
        {
            return;
        }

        LabMember? holder = lab.Members.Values.FirstOrDefault(m => m != this && m.IsUp && m._checkpoints.ContainsKey(mark.Number.Value));
        if (holder is null)
        {
            lab.At(TimeSpan.FromMilliseconds(30), () => Copy(mark, life));
            return;
        }

        byte[] bytes = holder._checkpoints[mark.Number.Value];
        Input(now =>
        {
            if (Core.Delivered.Value < mark.Number.Value)
            {
                ApplyState(bytes, out _, out byte[] sessions);
                _checkpoints[mark.Number.Value] = bytes;
                Xunit.Assert.True(Core.Install(mark, sessions, now));
            }
        });
    }

    private void ApplyState(byte[] bytes, out ulong number, out byte[] sessions)
    {
        var reader = new WireReader(bytes);
        number = reader.U64();
        State = reader.Digest();
        sessions = bytes[(8 + Digest.Size)..];
    }

    private void Wake()
    {
        Instant due = Core.NextDeadline;
        if (due == Instant.Never || due >= _wakeAt && _wakeAt > lab.LocalNow)
        {
            return;
        }

        _wakeAt = due;
        int life = Life;
        lab.At(new TimeSpan(Math.Max(0, due.Ticks - lab.Now)), () =>
        {
            if (life == Life && _wakeAt == due)
            {
                _wakeAt = Instant.Never;
                Input(now => Core.Advance(now));
            }
        });
    }
}
