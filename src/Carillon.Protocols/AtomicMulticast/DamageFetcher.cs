namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Gets back what stands at committed numbers that the store had and can't read any more: asks the servers, one after another, for the
/// assignments together with their messages (figure 2, both steps in one question). The receiver delivers what came in order, and the store
/// mends its copy with it.
/// </summary>
/// <remarks>
/// Nobody else lacks these numbers, so a question waits for no repair that might be overheard. A message's bytes are held against its
/// digest here: what another server keeps of a duplicate is empty, and is not to be taken for the message.
/// </remarks>
internal sealed class DamageFetcher(GroupContext context, CheckpointServer checkpoints)
{
    private const int LookAhead = 256;

    // 3.2 s between two questions, with the default wait: no server may have it, for long.
    private const int MostDoublings = 5;

    private readonly SortedDictionary<ulong, Piece> _pieces = [];
    private int _turn;
    private int _vain;

    public Instant NextDeadline { get; private set; } = Instant.Never;

    /// <summary>What stands at a damaged number, the next one to be delivered. False: it has not come yet.</summary>
    public bool TryGet(ulong number, out Assignment value, out ReadOnlyMemory<byte> payload, Instant now)
    {
        context.DamagedAt = number;
        bool isAsked = _pieces.TryGetValue(number, out Piece? piece);
        value = piece?.Value ?? default;
        payload = piece?.Payload ?? default;
        if (!isAsked)
        {
            NextDeadline = now;
        }

        return piece is not null && IsWhole(number, piece);
    }

    /// <summary>So much is delivered.</summary>
    public void Delivered(ulong upTo)
    {
        if (context.DamagedAt == 0)
        {
            return;
        }

        while (_pieces.Count > 0 && _pieces.First().Key is var first && first <= upTo)
        {
            _pieces.Remove(first);
        }

        if (upTo >= context.DamagedAt)
        {
            context.DamagedAt = 0;
            _pieces.Clear();
            _vain = 0;
            NextDeadline = Instant.Never;
        }
    }

    /// <summary>Asks for what has not come.</summary>
    public void Advance(Instant now)
    {
        if (now < NextDeadline)
        {
            return;
        }

        NextDeadline = Instant.Never;
        if (context.DamagedAt == 0)
        {
            return;
        }

        NextDeadline = now + (context.Options.QueryTimeout * (1 << Math.Min(_vain, MostDoublings)));
        if (!checkpoints.IsFetching)
        {
            _vain++;
            Ask(_turn++);
        }
    }

    /// <summary>A commit server answers.</summary>
    public void OnAnswer(in CommitAnswerMessage answer)
    {
        if (_pieces.Count == 0)
        {
            return;
        }

        ReadOnlySpan<Assignment> run = answer.Run.Span;
        for (int i = 0; i < run.Length; i++)
        {
            if (_pieces.TryGetValue(answer.First + (ulong)i, out Piece? piece) && piece.Value is null)
            {
                piece.Value = run[i];
                _vain = 0;
            }
        }
    }

    /// <summary>Messages came; returns those that are not wanted here.</summary>
    public ReadOnlySpan<GroupData> Take(ReadOnlyMemory<GroupData> run)
    {
        if (_pieces.Count == 0)
        {
            return run.Span;
        }

        var others = new List<GroupData>();
        foreach (ref readonly GroupData data in run.Span)
        {
            if (!Take(data))
            {
                others.Add(data);
            }
        }

        return others.ToArray();
    }

    private bool Take(in GroupData data)
    {
        bool isWanted = false;
        bool isRight = false;
        foreach (Piece piece in _pieces.Values)
        {
            if (piece.Value is not { } value || value.Id != data.Id || value.Hash != data.Hash)
            {
                continue;
            }

            isRight = isRight || Digest.Of(data.Payload.Span) == data.Hash;
            isWanted = true;
            _vain = 0;
            piece.IsEmpty |= data.Payload.IsEmpty;
            if (isRight)
            {
                (piece.Payload, piece.HasPayload) = (data.Payload, true);
            }
        }

        return isWanted;
    }

    private void Ask(int turn)
    {
        var ranges = new List<NumberRange>();
        var wanted = new List<WantedMessage>();
        ulong last = Math.Min(context.Store.Committed.Value, context.DamagedAt + (ulong)Math.Min(LookAhead, context.Options.MaxQuery) - 1);
        for (ulong number = context.DamagedAt; number <= last; number++)
        {
            if (context.Store.Find(new SequenceNumber(number), out _, out _) != StoreAnswer.Damaged)
            {
                break;
            }

            if (!_pieces.TryGetValue(number, out Piece? piece))
            {
                _pieces.Add(number, piece = new Piece());
            }

            if (piece.Value is { } value && !IsWhole(number, piece))
            {
                wanted.Add(new WantedMessage(value.Id, number));
            }
            else if (piece.Value is null && ranges.Count > 0 && ranges[^1].First + ranges[^1].Count == number)
            {
                ranges[^1] = ranges[^1] with { Count = ranges[^1].Count + 1 };
            }
            else if (piece.Value is null)
            {
                ranges.Add(new NumberRange(number, 1));
            }
        }

        if (ranges.Count > 0 && context.Pick(context.Roles.Commit, turn) is { IsNone: false } commit)
        {
            context.Figures.NumbersQueried += ranges.Sum(range => range.Count);
            context.Send(commit, new CommitQueryMessage(context.KeepsPayloads, ranges.ToArray()));
        }

        if (wanted.Count > 0 && context.Pick(context.Roles.Data, turn) is { IsNone: false } data)
        {
            context.Figures.MessagesQueried += wanted.Count;
            context.Send(data, new DataQueryMessage(wanted.ToArray()));
        }
    }

    // Of one that is not next it is not known yet whether it is a duplicate.
    private bool IsWhole(ulong number, Piece piece) =>
        piece.Value is { } value
        && (value.IsNoOp || !context.KeepsPayloads || piece.HasPayload
            || (number == context.DamagedAt ? !context.Sessions.IsFirst(value) : piece.IsEmpty));

    private sealed class Piece
    {
        public Assignment? Value { get; set; }

        public ReadOnlyMemory<byte> Payload { get; set; }

        public bool HasPayload { get; set; }

        /// <summary>Another server keeps nothing there but the assignment.</summary>
        public bool IsEmpty { get; set; }
    }
}
