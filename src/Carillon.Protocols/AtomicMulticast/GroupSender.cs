namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What came of asking to send a message.</summary>
public enum PublishAnswer : byte
{
    /// <summary>It is on its way; <see cref="IGroupHost.Sent"/> tells its end.</summary>
    Taken = 0,

    /// <summary>It has a number already; none where that is forgotten, since its sender settled it.</summary>
    Numbered = 1,

    /// <summary>Its session may have been retired: the outcome is unknown.</summary>
    Expired = 2,

    /// <summary>A window is full (SAM-81): nothing is kept of it.</summary>
    Refused = 3,

    /// <summary>Another content is under way under its id, or stands at the number that the id has.</summary>
    Conflict = 4,

    /// <summary>A later message of its sender has a number, in a group that keeps their order: it gets none, ever.</summary>
    Overtaken = 5,
}

/// <summary>Step 1, for the many sessions whose clients this member serves: multicasts their messages, and repeats each, with the logical
/// timestamp of its first sending ◆, until it is seen committed.</summary>
internal sealed class GroupSender(GroupContext context)
{
    private readonly Dictionary<MessageId, Sending> _sendings = [];
    private const int MostRefused = 4096;

    private readonly Dictionary<SessionId, int> _perSession = [];

    // Where senders' order is kept: the first message that a session was refused, until it comes again or is given up. What is behind it
    // would fill the window that it needs, and wait for it at the sequencer until it is passed over.
    private readonly Dictionary<SessionId, (ulong Counter, Instant Until)> _refused = [];

    // All wait equally long for their first repetition, so that the oldest is due first.
    private readonly Queue<(Sending Sending, Instant Due)> _first = new();
    private readonly PriorityQueue<Sending, Instant> _later = new();
    private readonly List<GroupData> _outgoing = [];
    private long _bytes;
    private Instant _busyUntil;

    public Instant NextDeadline
    {
        get
        {
            Instant due = _later.TryPeek(out _, out Instant later) ? later : Instant.Never;
            return _first.TryPeek(out (Sending Sending, Instant Due) first) ? Instant.Min(first.Due, due) : due;
        }
    }

    public int Count => _sendings.Count;

    public PublishAnswer Publish(MessageId id, ulong settled, ulong timestamp, ReadOnlyMemory<byte> payload, Instant now, out ulong number)
    {
        Digest hash = Digest.Of(payload.Span);
        number = 0;
        if (_sendings.TryGetValue(id, out Sending? sending))
        {
            return sending.Data.Hash == hash ? PublishAnswer.Taken : PublishAnswer.Conflict;
        }

        switch (context.Sessions.Judge(id, timestamp, out number))
        {
            case SessionVerdict.Numbered:
                // What stands there is being read: the sender comes again in a moment.
                return context.VerdictAt(number, hash) switch
                {
                    SendVerdict.Conflict => PublishAnswer.Conflict,
                    null => PublishAnswer.Refused,
                    _ => PublishAnswer.Numbered,
                };
            case SessionVerdict.Expired:
                return PublishAnswer.Expired;
            case SessionVerdict.Overtaken:
                return PublishAnswer.Overtaken;
            case SessionVerdict.Full:
                return Refuse(id, now);
        }

        int ofSession = _perSession.GetValueOrDefault(id.Session);
        if (IsBehindRefused(id, settled, now) || now < _busyUntil || payload.Length > GroupSettings.MaxPayloadBytes
            || ofSession >= context.Options.SessionWindow
            || _sendings.Count >= context.Options.SenderWindow || _bytes + payload.Length > context.Options.SenderBytes)
        {
            return Refuse(id, now);
        }

        sending = new Sending(new GroupData(id, hash, settled, timestamp, payload));
        _sendings.Add(id, sending);
        _perSession[id.Session] = ofSession + 1;
        _bytes += payload.Length;
        _first.Enqueue((sending, now + context.Options.SendRetryFirst));
        _outgoing.Add(sending.Data);
        context.Figures.Published++;
        return PublishAnswer.Taken;
    }

    /// <summary>Nobody waits for it any more: it is not sent again. It may be committed all the same.</summary>
    public void Abandon(MessageId id) => Take(id);

    /// <summary>A number was delivered.</summary>
    public void Committed(in Assignment value, ulong number)
    {
        if (_sendings.TryGetValue(value.Id, out Sending? sending))
        {
            End(value.Id, sending.Data.Hash == value.Hash ? SendVerdict.Numbered : SendVerdict.Conflict, number);
        }
    }

    /// <summary>A data server answers.</summary>
    public void Answered(SendAnswerMessage message, Instant now)
    {
        foreach (SendAnswer answer in message.Answers.Span)
        {
            if (answer.Verdict == SendVerdict.Busy)
            {
                _busyUntil = now + context.Options.RetryAfter;
            }
            else
            {
                End(answer.Id, answer.Verdict, answer.Number);
            }
        }
    }

    /// <summary>The sessions are those of a checkpoint now.</summary>
    public void JudgeAll()
    {
        var ids = new MessageId[_sendings.Count];
        _sendings.Keys.CopyTo(ids, 0);
        Array.Sort(ids);
        foreach (MessageId id in ids)
        {
            Rejudge(_sendings[id]);
        }
    }

    public void Advance(Instant now)
    {
        while (_first.TryPeek(out (Sending Sending, Instant Due) first) && first.Due <= now)
        {
            _first.Dequeue();
            Repeat(first.Sending, now);
        }

        while (_later.TryPeek(out Sending? sending, out Instant due) && due <= now)
        {
            _later.Dequeue();
            Repeat(sending, now);
        }
    }

    /// <summary>Sends what has gathered; <paramref name="here"/> gets the same messages.</summary>
    public void Flush(DataServer here, Instant now)
    {
        if (_outgoing.Count == 0)
        {
            return;
        }

        GroupData[] run = [.. _outgoing];
        _outgoing.Clear();
        here.Take(context.Self, run, now);
        GroupChannel channel = context.Host.HasListeners ? GroupChannel.Global : GroupChannel.Data;
        int first = 0;
        int bytes = 0;
        for (int i = 0; i < run.Length; i++)
        {
            int size = run[i].Payload.Length + 44;
            if (i > first && bytes + size > context.Options.MaxBatchBytes)
            {
                context.Multicast(channel, new DataMessage(run.AsMemory(first, i - first)));
                first = i;
                bytes = 0;
            }

            bytes += size;
        }

        context.Multicast(channel, new DataMessage(run.AsMemory(first)));
    }

    private PublishAnswer Refuse(MessageId id, Instant now)
    {
        context.Figures.Refused++;
        if (context.Settings.Fifo)
        {
            if (_refused.Count >= MostRefused)
            {
                _refused.Clear();
            }

            _refused.TryAdd(id.Session, (id.Counter, now + context.Options.FifoPatience));
        }

        return PublishAnswer.Refused;
    }

    private bool IsBehindRefused(MessageId id, ulong settled, Instant now)
    {
        if (!_refused.TryGetValue(id.Session, out (ulong Counter, Instant Until) first))
        {
            return false;
        }

        if (id.Counter > first.Counter && settled < first.Counter && now < first.Until)
        {
            return true;
        }

        _refused.Remove(id.Session);
        return false;
    }

    private void Repeat(Sending sending, Instant now)
    {
        if (sending.HasEnded || Rejudge(sending))
        {
            return;
        }

        sending.Wait = sending.Wait == TimeSpan.Zero ? context.Options.SendRetryFirst : sending.Wait;
        sending.Wait = sending.Wait * 2 < context.Options.SendRetryLast ? sending.Wait * 2 : context.Options.SendRetryLast;
        _later.Enqueue(sending, now + sending.Wait);
        if (SeededBug.Is("timestamp-of-the-last-sending"))
        {
            sending.Data = sending.Data with { Timestamp = context.Sessions.Number };
        }

        _outgoing.Add(sending.Data);
        context.Figures.Repeated++;
    }

    private bool Rejudge(Sending sending)
    {
        switch (context.Sessions.Judge(sending.Data.Id, sending.Data.Timestamp, out ulong number))
        {
            case SessionVerdict.Numbered when context.VerdictAt(number, sending.Data.Hash) is { } verdict:
                End(sending.Data.Id, verdict, number);
                return true;
            case SessionVerdict.Expired:
                End(sending.Data.Id, SendVerdict.Expired, 0);
                return true;
            case SessionVerdict.Overtaken:
                End(sending.Data.Id, SendVerdict.Overtaken, 0);
                return true;
            default:
                return false;
        }
    }

    private void End(MessageId id, SendVerdict verdict, ulong number)
    {
        if (_sendings.Count > 0 && Take(id))
        {
            context.Host.Sent(id, verdict, new SequenceNumber(number));
        }
    }

    private bool Take(MessageId id)
    {
        if (!_sendings.Remove(id, out Sending? sending))
        {
            return false;
        }

        sending.HasEnded = true;
        while (_first.TryPeek(out (Sending Sending, Instant Due) first) && first.Sending.HasEnded)
        {
            _first.Dequeue();
        }

        _bytes -= sending.Data.Payload.Length;
        int left = _perSession[id.Session] - 1;
        if (left == 0)
        {
            _perSession.Remove(id.Session);
        }
        else
        {
            _perSession[id.Session] = left;
        }

        return true;
    }

    private sealed class Sending(GroupData data)
    {
        public GroupData Data { get; set; } = data;

        public TimeSpan Wait { get; set; }

        public bool HasEnded { get; set; }
    }
}
