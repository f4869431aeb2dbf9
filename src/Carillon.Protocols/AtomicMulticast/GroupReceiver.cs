namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Delivers committed messages in the order of their numbers, each once, and gets what is missing (figure 2): negative acknowledgements,
/// after a random wait in which another member's repair may be overheard. What it delivers it hands to the store and to the sessions.
/// </summary>
internal sealed class GroupReceiver(GroupContext context, MessageFetcher fetcher, GroupSender sender, CheckpointServer checkpoints)
{
    private const int AtOnce = 4096;
    private const int LookAhead = 256;

    private readonly DeliveredMessage[] _run = new DeliveredMessage[512];
    private readonly Assignment[] _values = new Assignment[512];
    private readonly DamageFetcher _damage = new(context, checkpoints);
    private int _count;
    private Instant _askAt = Instant.Never;
    private ulong _askedTo;
    private int _turn;
    private bool _isMore;

    public Instant NextDeadline => _isMore ? default : Instant.Min(_askAt, _damage.NextDeadline);

    /// <summary>The greatest number that was delivered.</summary>
    public ulong Delivered => context.Sessions.Number;

    /// <summary>True while a checkpoint is being put in place: nothing is delivered until it is.</summary>
    public bool IsHeld { get; set; }

    /// <summary>Delivers what can be.</summary>
    public void Deliver(Instant now)
    {
        context.Numbers.Advance();
        ReportDivergence();
        ulong end = IsHeld || !context.Store.CanCommit ? Delivered : Math.Min(context.Numbers.Known, Delivered + AtOnce);
        while (Delivered < end && Next(Delivered + 1, now))
        {
        }

        FlushRun();
        _damage.Delivered(Delivered);
        if (Delivered != 0 && Delivered == context.CheckpointDue && !IsHeld)
        {
            checkpoints.Due(Delivered, now);
        }

        _isMore = !IsHeld && context.Store.CanCommit && end < context.Numbers.Known && Delivered == end;
        if (context.Numbers.Heard > context.Numbers.Known && _askAt == Instant.Never)
        {
            _askAt = now + context.DrawQueryDelay();
        }
    }

    /// <summary>Asks a commit server for numbers that are missing.</summary>
    public void Advance(Instant now)
    {
        _damage.Advance(now);
        if (now < _askAt)
        {
            return;
        }

        _askAt = Instant.Never;
        if (context.Numbers.Heard <= context.Numbers.Known || checkpoints.IsFetching)
        {
            return;
        }

        _askAt = now + context.Options.QueryTimeout;
        NodeId server = context.Pick(context.Roles.Commit, _turn++);
        if (server.IsNone)
        {
            return;
        }

        var ranges = new List<NumberRange>();
        ulong first = context.Numbers.Known + 1;
        ulong last = Math.Min(context.Numbers.Heard, context.Numbers.Known + (ulong)context.Options.MaxQuery);
        ulong start = 0;
        _askedTo = last;
        for (ulong number = first; number <= last + 1; number++)
        {
            bool isMissing = number <= last && !context.Numbers.IsCommitted(number);
            if (isMissing && start == 0)
            {
                start = number;
            }
            else if (!isMissing && start != 0)
            {
                ranges.Add(new NumberRange(start, (uint)(number - start)));
                context.Figures.NumbersQueried += (long)(number - start);
                start = 0;
            }
        }

        if (ranges.Count > 0)
        {
            context.Send(server, new CommitQueryMessage(context.Options.CombinedQuery, ranges.ToArray()));
        }
    }

    /// <summary>A commit server answers; or somebody else's repair is overheard.</summary>
    public void OnAnswer(in CommitAnswerMessage answer, Instant now)
    {
        _damage.OnAnswer(answer);
        TooOld(answer.Trimmed, answer.Checkpoint, context.DamagedAt != 0 ? Delivered + 1 : context.Numbers.Known + 1, now);
        if (answer.Run.IsEmpty)
        {
            // "Unknown": on to another, but not round and round.
            if (_askAt != Instant.Never && _turn % Math.Max(1, context.Roles.Commit.Count) != 0)
            {
                _askAt = now;
            }

            return;
        }

        ReadOnlySpan<Assignment> run = answer.Run.Span;
        for (int i = 0; i < run.Length; i++)
        {
            context.Numbers.Learn(answer.First + (ulong)i, run[i]);
        }

        context.Numbers.Advance();
        if (_askedTo != 0 && context.Numbers.Known >= _askedTo && context.Numbers.Heard > context.Numbers.Known)
        {
            // All that was asked for is here: the next ones, of the same server.
            _askedTo = 0;
            _turn--;
            _askAt = now;
        }
    }

    /// <summary>Messages came; returns those that are not wanted in place of damaged ones.</summary>
    public ReadOnlySpan<GroupData> TakeDamaged(ReadOnlyMemory<GroupData> run) => _damage.Take(run);

    /// <summary>A data server has not got messages that are wanted.</summary>
    public void OnAbsent(in DataAbsentMessage message, Instant now) => TooOld(message.Trimmed, message.Checkpoint, Delivered + 1, now);

    private void TooOld(ulong trimmed, CheckpointMark mark, ulong wanted, Instant now)
    {
        if (trimmed >= wanted && mark.Number.Value >= wanted)
        {
            checkpoints.Want(mark, now);
        }
    }

    // Delivers one number if all of it is here.
    private bool Next(ulong number, Instant now)
    {
        Assignment value;
        ReadOnlyMemory<byte> payload = default;
        if (number <= context.Store.Committed.Value)
        {
            switch (context.Store.Find(new SequenceNumber(number), out value, out payload))
            {
                case StoreAnswer.Trimmed:
                    checkpoints.Want(context.Advertised, now);
                    return false;
                case StoreAnswer.Found:
                    break;
                case StoreAnswer.Damaged when _damage.TryGet(number, out value, out payload, now) && Mend(number, value, payload):
                    break;
                default:
                    return false;
            }
        }
        else
        {
            value = context.Numbers[number].Value;
            if (context.KeepsPayloads && context.Sessions.IsFirst(value) && !TryGetPayload(number, value, out payload, now))
            {
                return false;
            }
        }

        bool isFirst = context.Sessions.Apply(value);
        Invariant.That(context.Sessions.Number == number);
        _values[_count] = value;
        _run[_count++] = new DeliveredMessage(new SequenceNumber(number), value.Id, isFirst ? payload : default, !isFirst);
        bool isDue = number % context.Options.CheckpointEvery == 0 || number == context.CheckpointDue;
        if (_count == _run.Length || isDue)
        {
            FlushRun();
        }

        if (isDue)
        {
            checkpoints.Due(number, now);
        }

        return true;
    }

    private bool Mend(ulong number, in Assignment value, ReadOnlyMemory<byte> payload)
    {
        bool isFirst = context.Sessions.IsFirst(value);
        return context.Store.Mend(new SequenceNumber(number), value, isFirst ? payload : default, isFirst);
    }

    private bool TryGetPayload(ulong number, in Assignment value, out ReadOnlyMemory<byte> payload, Instant now)
    {
        StoreAnswer answer = context.Store.Find(value.Id, out GroupData data);
        payload = data.Payload;
        if (answer == StoreAnswer.Reading)
        {
            return false;
        }

        if (answer == StoreAnswer.Found && data.Hash == value.Hash)
        {
            return true;
        }

        // Those behind it are asked for together with it.
        ulong last = Math.Min(context.Numbers.Known, number + LookAhead);
        for (ulong ahead = number; ahead <= last && !checkpoints.IsFetching; ahead++)
        {
            Assignment next = context.Numbers[ahead].Value;
            if (!next.IsNoOp && !context.HoldsExactly(next))
            {
                fetcher.Add(next, ahead, default, isUrgent: false, now);
            }
        }

        return false;
    }

    private void FlushRun()
    {
        if (_count == 0)
        {
            return;
        }

        int count = _count;
        _count = 0;
        ulong first = Delivered - (ulong)count + 1;
        int stored = (int)Math.Min((ulong)count, context.Store.Committed.Value - Math.Min(context.Store.Committed.Value, first - 1));
        if (stored < count)
        {
            context.Store.Commit(new SequenceNumber(first + (ulong)stored), _values.AsSpan(stored, count - stored));
        }

        context.Figures.Delivered += count;
        context.Host.Delivered(_run.AsSpan(0, count));
        if (sender.Count > 0)
        {
            for (int i = 0; i < count; i++)
            {
                if (!_run[i].IsNoOp)
                {
                    sender.Committed(_values[i], first + (ulong)i);
                }
            }
        }

        context.Numbers.Release(Math.Min(Delivered, context.Store.CommittedDurable.Value));
        Array.Clear(_run, 0, count);
    }

    private void ReportDivergence()
    {
        if (context.Numbers.Diverged != 0)
        {
            context.Host.Note(new GroupEvent.Diverged(new SequenceNumber(context.Numbers.Diverged)));
            context.Numbers.ClearDiverged();
        }
    }
}
