namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Step 2: stores messages, asks the sequencer for numbers while it sees no commit, and answers those who lack a message. A member that is
/// no data server takes messages in the same way, and neither asks nor answers.
/// </summary>
internal sealed class DataServer(GroupContext context, MessageFetcher fetcher)
{
    // Those that are held and were not seen committed; all wait equally long, so that the oldest is due first. Over: when so much is
    // applied, one that has expired stands at no number that is not; 0 where it has not expired.
    private readonly Queue<(MessageId Id, Instant Due, ulong Over)> _unnumbered = new();
    private readonly Queue<(ulong Position, GroupData Data)> _undurable = new();
    private readonly List<GroupData> _put = [];
    private readonly List<GroupData> _requests = [];
    private readonly List<SendAnswer> _answers = [];

    /// <summary>Whom a message is told that is held from now on.</summary>
    public Action<GroupData, Instant> Held { get; set; } = (_, _) => { };

    public Instant NextDeadline => _unnumbered.TryPeek(out (MessageId Id, Instant Due, ulong Over) next) ? next.Due : Instant.Never;

    /// <summary>The log is replayed: what was held and has no number is asked for.</summary>
    public void Start(Instant now)
    {
        foreach (GroupData data in context.Store.Uncommitted())
        {
            Track(data, 0, now);
        }
    }

    /// <summary>Messages came: from a sender, or from a data server that was asked.</summary>
    public void Take(NodeId from, ReadOnlySpan<GroupData> run, Instant now)
    {
        foreach (ref readonly GroupData data in run)
        {
            if (Consider(data) is { } verdict)
            {
                _answers.Add(verdict);
            }
        }

        if (_put.Count > 0)
        {
            GroupData[] put = [.. _put];
            _put.Clear();
            ulong position = context.Store.Put(put);
            foreach (ref readonly GroupData data in put.AsSpan())
            {
                if (!context.HoldsExactly(data.ToAssignment()))
                {
                    // The catalog's store takes submissions only.
                    continue;
                }

                fetcher.Remove(data.Id);
                Track(data, position, now);
                Held(data, now);
            }
        }

        if (_answers.Count > 0)
        {
            context.Send(from, new SendAnswerMessage(_answers.ToArray()));
            _answers.Clear();
        }
    }

    /// <summary>A store that gets messages by its own means (the catalog's) holds one from now on.</summary>
    public void Arrived(in GroupData data, Instant now)
    {
        fetcher.Remove(data.Id);
        Track(data, 0, now);
        Held(data, now);
    }

    /// <summary>All that are held and have no number are told again: this server has begun to sequence.</summary>
    public void TellAll(Instant now)
    {
        foreach ((MessageId id, _, _) in _unnumbered)
        {
            if (context.Store.Find(id, out GroupData data) == StoreAnswer.Found)
            {
                Held(data, now);
            }
        }
    }

    /// <summary>Step 2 where roles are apart: as soon as the message is durable.</summary>
    public void Persisted(ulong position)
    {
        while (_undurable.TryPeek(out (ulong Position, GroupData Data) next) && next.Position <= position)
        {
            _undurable.Dequeue();
            _requests.Add(next.Data with { Payload = default });
        }
    }

    public void Advance(Instant now)
    {
        while (_unnumbered.TryPeek(out (MessageId Id, Instant Due, ulong Over) next) && next.Due <= now)
        {
            _unnumbered.Dequeue();
            if (context.Store.Find(next.Id, out GroupData data) != StoreAnswer.Found)
            {
                continue;
            }

            SessionVerdict verdict = context.Sessions.Judge(next.Id, data.Timestamp, out _);
            ulong over = verdict != SessionVerdict.Expired ? 0 : next.Over != 0 ? next.Over : context.Sessions.Number + context.MostAhead;
            bool isNoMore = verdict is SessionVerdict.Numbered or SessionVerdict.Overtaken or SessionVerdict.Expired;
            if (isNoMore && !fetcher.Wants(next.Id, data.Hash) && IsOver(data, over))
            {
                // It will never get another number (SAM-61).
                context.Store.Forget(next.Id);
                continue;
            }

            _unnumbered.Enqueue((next.Id, now + context.Options.RequestInterval, over));
            if (context.IsData && over == 0)
            {
                _requests.Add(data with { Payload = default });
            }
        }
    }

    public void Flush()
    {
        // Under load the oldest are gone long before they are due: without them no deadline comes each turn.
        while (_unnumbered.TryPeek(out (MessageId Id, Instant Due, ulong Over) next)
            && context.Store.Find(next.Id, out _) is not (StoreAnswer.Found or StoreAnswer.Reading))
        {
            _unnumbered.Dequeue();
        }

        if (_requests.Count == 0)
        {
            return;
        }

        GroupData[] run = [.. _requests];
        _requests.Clear();
        NodeId sequencer = context.Sequencer;
        if (sequencer.IsNone || (sequencer == context.Self && context.Roles.IsShortCut))
        {
            return;
        }

        for (int first = 0; first < run.Length; first += context.Options.MaxRun)
        {
            int count = Math.Min(context.Options.MaxRun, run.Length - first);
            context.Send(sequencer, new NumberRequestMessage(context.Roles.Configuration, run.AsMemory(first, count)));
        }
    }

    /// <summary>Somebody lacks messages.</summary>
    public void OnQuery(NodeId from, DataQueryMessage query)
    {
        if (!context.IsData && !context.IsCommit)
        {
            return;
        }

        var found = new List<GroupData>();
        var absent = new List<MessageId>();
        int bytes = 0;
        int considered = 0;
        foreach (WantedMessage wanted in query.Wanted.Span)
        {
            if (considered++ >= context.Options.MaxQuery)
            {
                break;
            }

            switch (Find(wanted, out GroupData data))
            {
                case StoreAnswer.Found:
                    found.Add(data);
                    bytes += data.Payload.Length + 44;
                    break;
                case StoreAnswer.Absent or StoreAnswer.Trimmed or StoreAnswer.Damaged:
                    absent.Add(wanted.Id);
                    break;
            }

            if (bytes >= context.Options.MaxBatchBytes)
            {
                context.Send(from, new DataMessage(found.ToArray()));
                found.Clear();
                bytes = 0;
            }
        }

        if (found.Count > 0)
        {
            context.Send(from, new DataMessage(found.ToArray()));
        }

        if (absent.Count > 0)
        {
            context.Send(from, new DataAbsentMessage(context.Store.Trimmed.Value, context.Advertised, absent.ToArray()));
        }
    }

    private StoreAnswer Find(WantedMessage wanted, out GroupData data)
    {
        StoreAnswer answer = context.Store.Find(wanted.Id, out data);
        if (answer != StoreAnswer.Absent || wanted.Number == 0)
        {
            return answer;
        }

        answer = context.Store.Find(new SequenceNumber(wanted.Number), out Assignment assignment, out ReadOnlyMemory<byte> payload);
        if (answer == StoreAnswer.Found && (assignment.Id != wanted.Id || !context.KeepsPayloads))
        {
            return StoreAnswer.Absent;
        }

        data = new GroupData(assignment.Id, assignment.Hash, assignment.Settled, 0, payload);
        return answer;
    }

    // ◆ One that expired may have been numbered just before, and its number be on its way: it does something there, and is needed. One that
    // has its number, or was settled, does nothing at any other.
    private bool IsOver(in GroupData data, ulong over) =>
        context.Sessions.Number >= over || context.Sessions.IsBeyondLifetime(data.Timestamp + context.MostAhead);

    // What a sender is to be told, if anything; a message to keep goes to the list.
    private SendAnswer? Consider(in GroupData data)
    {
        bool isWanted = fetcher.Wants(data.Id, data.Hash);
        if (!isWanted)
        {
            switch (context.Sessions.Judge(data.Id, data.Timestamp, out ulong number))
            {
                case SessionVerdict.Numbered:
                    // Where what stands there is being read, the sender asks again.
                    return context.VerdictAt(number, data.Hash) is { } verdict ? new SendAnswer(data.Id, verdict, number) : null;
                case SessionVerdict.Expired:
                    return new SendAnswer(data.Id, SendVerdict.Expired, 0);
                case SessionVerdict.Overtaken:
                    return new SendAnswer(data.Id, SendVerdict.Overtaken, 0);
                case SessionVerdict.Full:
                    return new SendAnswer(data.Id, SendVerdict.Busy, 0);
            }
        }

        if (context.Store.Holds(data.Id, out Digest held))
        {
            if (held == data.Hash)
            {
                return null;
            }

            if (!isWanted)
            {
                return new SendAnswer(data.Id, SendVerdict.Conflict, 0);
            }

            context.Store.Forget(data.Id);
        }

        if (!isWanted && !context.Store.CanPut(data.Payload.Length))
        {
            // Where deliveries stand still at damage, room may never come: senders need not wait for this server, which does not vote.
            return context.DamagedAt != 0 ? null : new SendAnswer(data.Id, SendVerdict.Busy, 0);
        }

        _put.Add(data);
        return null;
    }

    private void Track(in GroupData data, ulong position, Instant now)
    {
        _unnumbered.Enqueue((data.Id, now + context.Options.RequestInterval, 0));
        if (context.IsData && !context.Roles.IsShortCut)
        {
            if (position > context.Host.Durable)
            {
                _undurable.Enqueue((position, data));
            }
            else
            {
                _requests.Add(data with { Payload = default });
            }
        }
    }
}
