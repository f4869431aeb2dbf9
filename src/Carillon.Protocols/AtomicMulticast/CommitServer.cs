using System.Runtime.InteropServices;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Step 4: stores which message stands at which number, durably, and acknowledges; promises a new sequencer never to accept a lower epoch,
/// and tells it what is assigned; tells receivers which message stands at a committed number. The group's memory, as an acceptor of Paxos
/// is (Lamport, "The Part-Time Parliament", 1998), one instance a number.
/// </summary>
internal sealed class CommitServer(GroupContext context, MessageFetcher fetcher)
{
    private const int MostRangesBeyond = 16;
    private const int MostScannedBeyond = 4096;

    private readonly List<(ulong Number, Assignment Value)> _batch = [];
    private readonly Queue<(ulong Position, ulong First, int Count, ulong Epoch)> _inFlight = new();
    private readonly Dictionary<MessageId, ulong> _waiting = [];
    private readonly Dictionary<ulong, Assignment> _waitingValues = [];
    private readonly List<NumberRange> _beyond = [];
    private ulong _promisedAt;
    private Epoch _ackEpoch;
    private NodeId _ackTo;
    private ulong _ackUpTo;
    private bool _isAckDue;
    private bool _hasForgotten;
    private bool _isDiskNew;
    private Epoch _forgotten;
    private ulong? _votesBehind;

    /// <summary>No assignment of a lower epoch is accepted. Never decreases; durable before anything rests on it.</summary>
    public Epoch Promised { get; private set; }

    /// <summary>Takes a record of the log.</summary>
    public bool RestorePromise(ref WireReader reader)
    {
        Promised = Epoch.Max(Promised, reader.Epoch());
        return !reader.Failed;
    }

    /// <summary>Takes a record of the log.</summary>
    public bool RestoreAssigned(ref WireReader reader)
    {
        Epoch epoch = reader.Epoch();
        ulong first = reader.U64();
        Assignment[] run = reader.Assignments();
        if (reader.Failed || first == 0 || first > ulong.MaxValue - GroupCodec.MaxItems)
        {
            return false;
        }

        Promised = Epoch.Max(Promised, epoch);
        for (int i = 0; i < run.Length; i++)
        {
            ulong number = first + (ulong)i;
            if (context.Numbers[number].Epoch <= epoch.Value)
            {
                context.Numbers.Store(number, run[i], epoch.Value);
                context.Numbers.SetDurable(number, epoch.Value);
            }
        }

        return true;
    }

    /// <summary>Copies forward what the log's cut would lose.</summary>
    public void WriteSnapshot(Action<ReadOnlyMemory<byte>> append)
    {
        if (!Promised.IsNone)
        {
            append(GroupRecords.Promised(Promised));
        }

        var run = new List<Assignment>();
        ulong first = 0;
        ulong epoch = 0;
        for (ulong number = context.Numbers.Base + 1; number <= context.Numbers.Last + 1; number++)
        {
            ref readonly NumberEntry entry = ref context.Numbers[number];
            bool isKept = entry.HasValue && entry.Epoch != 0;
            if (run.Count > 0 && (!isKept || entry.Epoch != epoch || run.Count >= context.Options.MaxRun))
            {
                append(GroupRecords.Assigned(new Epoch(epoch), first, CollectionsMarshal.AsSpan(run)));
                run.Clear();
            }

            if (isKept)
            {
                first = run.Count == 0 ? number : first;
                epoch = entry.Epoch;
                run.Add(entry.Value);
            }
        }
    }

    /// <summary>The log is replayed. A memory-only group's server that took part before has forgotten what it acknowledged ◆.</summary>
    public void Start() =>
        _hasForgotten |= context.Settings.Durability == GroupDurability.Memory && !Promised.IsNone
            && !SeededBug.Is("votes-after-forgetting");

    /// <summary>True while what this server acknowledged and promised is lost, and it does not vote therefore.</summary>
    public bool HasForgotten => _hasForgotten;

    /// <summary>What this server promised and acknowledged is lost with a disk; so many epochs may rest on it, as a majority of the others
    /// says.</summary>
    public void Forget(Epoch upTo)
    {
        _hasForgotten = true;
        _forgotten = Epoch.Max(_forgotten, upTo);
        _votesBehind = null;
    }

    /// <summary>As above, where the disk is another one since some version: nobody counted it under the one in force.</summary>
    public void ForgetLostDisk()
    {
        Forget(default);
        _isDiskNew = true;
    }

    /// <summary>
    /// All that the sequencer of an epoch recovered, under a version of the configuration, is committed in it, and all up to a number is.
    /// Who has forgotten votes again once it has all that itself, durably ◆.
    /// </summary>
    /// <remarks>
    /// What it acknowledged was in epochs up to those that it promised. If any of that was chosen, a sequencer of a greater epoch, which
    /// recovers from a majority without this server, has found it: up to the number told. So with all up to there this server holds at
    /// least what it held before. Less is not enough. If it voted with nothing as soon as such a sequencer leads, or once what that
    /// assigned again is committed by others, then a second server that forgets and comes back in the same way makes a majority with it
    /// that knows nothing: of what was recovered, or of what is up to the base, which nobody assigns again. The same if it has all that in
    /// memory alone, and loses it (seed 341 with changes).
    /// </remarks>
    public void HearRecovered(ulong configuration, Epoch epoch, ulong committed)
    {
        bool isLater = epoch > Epoch.Max(Promised, _forgotten) || OthersAreInEachQuorum;
        if (_hasForgotten && isLater && (!_isDiskNew || configuration == context.Roles.Configuration))
        {
            // It counts from the next turn on: that it votes again is in the log before anything that it then says.
            _votesBehind = Math.Min(_votesBehind ?? ulong.MaxValue, committed);
        }
    }

    /// <summary>More was delivered, or is durable: who has forgotten may hold again what it may have held.</summary>
    public void VoteAgain() => _hasForgotten &= _votesBehind is not { } number || context.Sessions.Number < number
        || (context.Store.CommittedDurable.Value < number && !SeededBug.Is("votes-again-before-it-is-durable"));

    /// <summary>Up to here all is delivered, and has to be durable before this server votes again; 0: nothing has to.</summary>
    public ulong DurableWanted => _hasForgotten && _votesBehind is { } number && context.Sessions.Number >= number ? number : 0;

    // Of two voters: what was committed without this disk is at the other one, which every sequencer hears. So it votes at once, or no
    // sequencer could ever recover; what it lost it has to get all the same.
    private bool OthersAreInEachQuorum => _isDiskNew && context.Roles.Commit.Count - 1 < context.Roles.CommitQuorum;

    private bool IsSilent => _hasForgotten && !OthersAreInEachQuorum;

    /// <summary>A sequencer is at work under an epoch that may rest on what is forgotten here: a new one is asked for.</summary>
    public void AskForNewEpoch(NodeId sequencer, Epoch epoch)
    {
        if (IsSilent && sequencer != context.Self && epoch <= Epoch.Max(Promised, _forgotten))
        {
            context.Send(sequencer, new AckMessage(context.Roles.Configuration, epoch.Next, 0, context.Numbers.Known, default));
        }
    }

    /// <summary>Step 3 came.</summary>
    public void OnAssign(NodeId from, in AssignMessage message, Instant now)
    {
        if (!context.IsCommit || !context.Host.MayVote || message.Configuration != context.Roles.Configuration)
        {
            return;
        }

        if (message.Epoch < Promised && !SeededBug.Is("assignment-of-an-older-epoch"))
        {
            context.Send(from, new AckMessage(context.Roles.Configuration, Promised, 0, context.Numbers.Known, default), _promisedAt);
            return;
        }

        if (IsSilent)
        {
            // What this epoch counts on may be forgotten here: a new one is asked for.
            AskForNewEpoch(from, message.Epoch);
            return;
        }

        Raise(message.Epoch);
        if (_ackEpoch != message.Epoch)
        {
            _ackEpoch = message.Epoch;
            _ackUpTo = message.Base;
        }

        _ackTo = from;
        bool isNew = false;
        ReadOnlySpan<Assignment> run = message.Run.Span;
        for (int i = 0; i < run.Length; i++)
        {
            ulong number = message.First + (ulong)i;
            if (number > context.Numbers.Known && context.Numbers.Takes(number) && !context.Numbers.IsStored(number, message.Epoch.Value))
            {
                isNew = true;
                Take(number, run[i], from, now);
            }
        }

        // What is new is acknowledged when it is durable; what came again, at once.
        _isAckDue |= !isNew;
    }

    /// <summary>A message is held here from now on: what waited for it is stored.</summary>
    public void Held(MessageId id)
    {
        if (_waiting.Count > 0 && _waiting.TryGetValue(id, out ulong number) && context.HoldsExactly(_waitingValues[number]))
        {
            _waiting.Remove(id);
            _waitingValues.Remove(number, out Assignment value);
            Store(number, value);
        }
    }

    /// <summary>A new sequencer asks for a promise.</summary>
    public void OnPrepare(NodeId from, in PrepareMessage message)
    {
        if (!context.IsCommit || !context.Host.MayVote || message.Configuration != context.Roles.Configuration)
        {
            return;
        }

        if (IsSilent)
        {
            // No promise; but where a majority of a memory-only group says so, it is known that there is nothing to wait for.
            if (context.Settings.Durability == GroupDurability.Memory)
            {
                context.Send(from, new PreparedMessage(message.Configuration, message.Epoch, message.Counter, 0, 0, 0, default));
            }

            return;
        }

        if (message.Epoch < Promised)
        {
            var refusal = new PreparedMessage(message.Configuration, Promised, message.Counter, context.Numbers.Known, 0, 0, default);
            context.Send(from, refusal, _promisedAt);
            return;
        }

        AppendBatch();
        if (message.Epoch > Promised || _promisedAt == 0)
        {
            byte[] record = GroupRecords.Promised(message.Epoch);
            if (!context.Host.CanAppend(record.Length))
            {
                return;
            }

            Raise(message.Epoch);
            _promisedAt = _promisedAt != 0 ? _promisedAt : context.Host.Append(record);
        }

        ulong after = SeededBug.Is("promise-before-flush") ? 0 : _promisedAt;
        SendPrepared(from, message, after);
    }

    /// <summary>Everything up to a position is durable.</summary>
    public void Persisted(ulong position)
    {
        while (_inFlight.TryPeek(out (ulong Position, ulong First, int Count, ulong Epoch) next) && next.Position <= position)
        {
            _inFlight.Dequeue();
            SetDurable(next.First, next.Count, next.Epoch);
        }
    }

    /// <summary>Appends what has gathered, and acknowledges what is durable.</summary>
    public void Flush()
    {
        AppendBatch();
        if (!_isAckDue || _ackTo.IsNone)
        {
            return;
        }

        _isAckDue = false;
        while (IsAcknowledged(_ackUpTo + 1))
        {
            _ackUpTo++;
        }

        _ackUpTo = Math.Max(_ackUpTo, context.Numbers.Known);
        DropKnown();
        CollectBeyond();
        var ack = new AckMessage(context.Roles.Configuration, _ackEpoch, _ackUpTo, context.Numbers.Known, _beyond.ToArray());
        context.Send(_ackTo, ack, context.Settings.Durability == GroupDurability.Memory ? _promisedAt : 0);
    }

    /// <summary>Figure 2, step 1: a receiver asks for numbers.</summary>
    public void OnQuery(NodeId from, in CommitQueryMessage query, DataServer data)
    {
        if (!context.IsCommit)
        {
            return;
        }

        int left = context.Options.MaxQuery;
        foreach (NumberRange range in query.Ranges.Span)
        {
            if (range.First == 0 || range.First > ulong.MaxValue - uint.MaxValue || left <= 0)
            {
                continue;
            }

            int count = (int)Math.Min(range.Count, (uint)left);
            left -= count;
            Answer(from, range.First, count, query.WithData, data);
        }
    }

    private void Answer(NodeId from, ulong first, int count, bool withData, DataServer data)
    {
        var run = new List<Assignment>();
        bool hasAnswered = false;
        ulong end = first + (ulong)count;
        for (ulong number = first; number <= end; number++)
        {
            Assignment value = default;
            bool isKnown = number < end && TryGetCommitted(number, out value);
            if (run.Count > 0 && (!isKnown || run.Count >= context.Options.MaxRun))
            {
                SendAnswer(from, number - (ulong)run.Count, run, withData, data);
                hasAnswered = true;
                run.Clear();
            }

            if (isKnown)
            {
                run.Add(value);
            }
        }

        if (!hasAnswered)
        {
            SendAnswer(from, first, run, withData, data);
        }
    }

    private void SendAnswer(NodeId from, ulong first, List<Assignment> run, bool withData, DataServer data)
    {
        context.Send(from, new CommitAnswerMessage(context.Store.Trimmed.Value, context.Advertised, first, run.ToArray()));
        if (withData && run.Count > 0)
        {
            var wanted = new List<WantedMessage>();
            for (int i = 0; i < run.Count; i++)
            {
                if (!run[i].IsNoOp)
                {
                    wanted.Add(new WantedMessage(run[i].Id, first + (ulong)i));
                }
            }

            data.OnQuery(from, new DataQueryMessage(wanted.ToArray()));
        }
    }

    // ◆ Only what was seen committed, or is stored under an epoch whose own sequencer said that it is committed.
    private bool TryGetCommitted(ulong number, out Assignment value)
    {
        ref readonly NumberEntry entry = ref context.Numbers[number];
        value = entry.Value;
        if (number > context.Numbers.Base)
        {
            return number <= context.Numbers.Known || context.Numbers.IsCommitted(number)
                || (SeededBug.Is("answers-from-mere-assignment") && entry.HasValue);
        }

        return context.Store.Find(new SequenceNumber(number), out value, out _) == StoreAnswer.Found;
    }

    private void Take(ulong number, in Assignment value, NodeId from, Instant now)
    {
        // ◆ An assignment is stored only once its message is here: with it, the one acknowledgement says both.
        if (_waitingValues.Remove(number))
        {
            _waiting.Remove(value.Id);
        }

        bool needsMessage = context.IsData && context.Sessions.IsFirst(value) && !SeededBug.Is("assignment-before-message");
        if (needsMessage && !context.HoldsExactly(value))
        {
            // The data may be right behind.
            if (_waitingValues.Count < context.Options.MaxQuery && _waiting.TryAdd(value.Id, number))
            {
                _waitingValues.Add(number, value);
                fetcher.Add(value, number, from, isUrgent: false, now);
            }

            return;
        }

        Store(number, value);
    }

    // What stands at the number here so far stays until the record is appended: it may have been acknowledged.
    private void Store(ulong number, in Assignment value) => _batch.Add((number, value));

    private void Raise(Epoch epoch)
    {
        if (epoch > Promised)
        {
            AppendBatch();
            Promised = epoch;
            _promisedAt = context.Settings.Durability == GroupDurability.Memory ? context.Host.Append(GroupRecords.Promised(epoch)) : 0;
            _waiting.Clear();
            _waitingValues.Clear();
        }
    }

    private void AppendBatch()
    {
        if (_batch.Count == 0)
        {
            return;
        }

        Assignment[] run = new Assignment[_batch.Count];
        int start = 0;
        for (int i = 0; i < _batch.Count; i++)
        {
            run[i] = _batch[i].Value;
            bool isLast = i + 1 == _batch.Count || _batch[i + 1].Number != _batch[i].Number + 1 || i + 1 - start >= context.Options.MaxRun;
            if (isLast)
            {
                Append(_batch[start].Number, run.AsSpan(start, i + 1 - start));
                start = i + 1;
            }
        }

        _batch.Clear();
    }

    private void Append(ulong first, ReadOnlySpan<Assignment> run)
    {
        bool isMemory = context.Settings.Durability == GroupDurability.Memory;
        ulong position = 0;
        if (!isMemory)
        {
            byte[] record = GroupRecords.Assigned(Promised, first, run);
            if (!context.Host.CanAppend(record.Length))
            {
                // As if they had not come: the sequencer sends them again.
                return;
            }

            position = context.Host.Append(record);
            context.Figures.Records++;
        }

        for (int i = 0; i < run.Length; i++)
        {
            context.Numbers.Store(first + (ulong)i, run[i], Promised.Value);
        }

        if (isMemory || SeededBug.Is("ack-before-flush"))
        {
            SetDurable(first, run.Length, Promised.Value);
        }
        else
        {
            _inFlight.Enqueue((position, first, run.Length, Promised.Value));
        }
    }

    private void SetDurable(ulong first, int count, ulong epoch)
    {
        for (int i = 0; i < count; i++)
        {
            context.Numbers.SetDurable(first + (ulong)i, epoch);
        }

        _isAckDue = true;
    }

    private void DropKnown()
    {
        if (_waiting.Count == 0)
        {
            return;
        }

        var ids = new List<MessageId>();
        foreach ((MessageId id, ulong number) in _waiting)
        {
            if (number <= context.Numbers.Known)
            {
                ids.Add(id);
            }
        }

        foreach (MessageId id in ids)
        {
            _waiting.Remove(id, out ulong number);
            _waitingValues.Remove(number);
        }
    }

    private bool IsAcknowledged(ulong number)
    {
        ref readonly NumberEntry entry = ref context.Numbers[number];
        return number <= context.Numbers.Known
            || (entry.HasValue && (entry.IsCommitted || (entry.IsDurable && entry.Epoch == _ackEpoch.Value)));
    }

    private void CollectBeyond()
    {
        _beyond.Clear();
        ulong last = Math.Min(context.Numbers.Last, _ackUpTo + MostScannedBeyond);
        ulong first = 0;
        for (ulong number = _ackUpTo + 2; number <= last + 1 && _beyond.Count < MostRangesBeyond; number++)
        {
            bool isHere = number <= last && IsAcknowledged(number);
            if (isHere && first == 0)
            {
                first = number;
            }
            else if (!isHere && first != 0)
            {
                _beyond.Add(new NumberRange(first, (uint)(number - first)));
                first = 0;
            }
        }
    }

    private void SendPrepared(NodeId from, in PrepareMessage message, ulong after)
    {
        var held = new List<HeldAssignment>();
        ulong known = SeededBug.Is("committed-number-hidden") ? Math.Min(context.Numbers.Known, message.After) : context.Numbers.Known;
        for (ulong number = context.Numbers.Known + 1; number <= context.Numbers.Last; number++)
        {
            ref readonly NumberEntry entry = ref context.Numbers[number];
            if (entry.HasValue)
            {
                held.Add(new HeldAssignment(number, entry.IsCommitted ? HeldAssignment.Committed : new Epoch(entry.Epoch), entry.Value));
            }
        }

        int parts = Math.Max(1, (held.Count + context.Options.MaxRun - 1) / context.Options.MaxRun);
        HeldAssignment[] all = [.. held];
        for (int part = 0; part < parts; part++)
        {
            int first = part * context.Options.MaxRun;
            int count = Math.Min(context.Options.MaxRun, all.Length - first);
            var answer = new PreparedMessage(
                message.Configuration, message.Epoch, message.Counter, known, (ushort)part, (ushort)parts, all.AsMemory(first, count));
            context.Send(from, answer, after);
        }
    }
}
