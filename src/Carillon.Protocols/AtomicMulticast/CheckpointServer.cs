using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// Consolidates: at the same numbers everywhere a checkpoint is made and reported with its digest; what an advertised one covers may be
/// collected, by the numbers that were assigned ◆; and who lacks what was collected gets the checkpoint, block by block, while nobody
/// waits.
/// </summary>
internal sealed class CheckpointServer(GroupContext context)
{
    private const int MostKept = 8;
    private const ulong MostFetchedBytes = 256UL << 20;

    // The sessions at checkpoints' numbers; where there is no application, these are the checkpoints.
    private readonly SortedDictionary<ulong, byte[]> _sessions = [];
    private readonly SortedDictionary<ulong, CheckpointMark> _own = [];
    private CheckpointFetch? _fetch;
    private ulong _external;
    private ulong _asked;
    private Instant _fetchAt = Instant.Never;
    private Instant _reportAt = Instant.Never;
    private Instant _collectAt;
    private int _turn;
    private (ulong Position, ulong Number) _trim;
    private (ulong Trimmed, CheckpointMark Checkpoint, byte[]? Sessions) _recorded;

    public Instant NextDeadline => Instant.Min(Instant.Min(_reportAt, _fetchAt), _collectAt);

    /// <summary>A checkpoint that came in whole, to be put in place.</summary>
    public (CheckpointMark Mark, byte[] Sessions)? Fetched { get; private set; }

    public void TakeFetched() => Fetched = null;

    /// <summary>True while a checkpoint is on its way: until then nothing is asked for by its number.</summary>
    public bool IsFetching => _fetch is not null || _external > context.Sessions.Number;

    /// <summary>The sessions that this server starts from.</summary>
    public void Restore(ulong number, byte[] sessions) => _sessions[number] = sessions;

    /// <summary>A record of the log, the last of its kind: its checkpoint was advertised once, or nothing would have been
    /// collected.</summary>
    public void Restore(ulong trimmed, CheckpointMark mark, byte[] sessions)
    {
        _recorded = (trimmed, mark, sessions);
        _sessions[mark.Number.Value] = sessions;
        context.Advertised = mark;
    }

    /// <summary>Everything up to a number was delivered, and a checkpoint is due.</summary>
    public void Due(ulong number, Instant now)
    {
        if (_asked == number)
        {
            return;
        }

        _asked = number;
        byte[] sessions = context.Sessions.Serialize();
        _sessions[number] = sessions;
        Prune(_sessions);
        if (!context.Host.TakeCheckpoint(new SequenceNumber(number), sessions))
        {
            Taken(CheckpointBlocks.Mark(new SequenceNumber(number), sessions), now);
        }
    }

    /// <summary>A checkpoint is made here.</summary>
    public void Taken(CheckpointMark mark, Instant now)
    {
        _own[mark.Number.Value] = mark;
        Prune(_own);
        _reportAt = now;
        Compare(context.Advertised);
    }

    /// <summary>A checkpoint is advertised.</summary>
    public void Advertised(CheckpointMark mark)
    {
        if (mark.Number > context.Advertised.Number)
        {
            context.Advertised = mark;
            Compare(mark);
        }
    }

    /// <summary>What is wanted here is kept nowhere: it must come from a checkpoint.</summary>
    public void Want(CheckpointMark mark, Instant now)
    {
        if (mark.Number.Value <= context.Sessions.Number || IsFetching)
        {
            return;
        }

        if (context.Host.FetchCheckpoint(mark))
        {
            _external = mark.Number.Value;
        }
        else if (mark.Size is > 0 and <= MostFetchedBytes)
        {
            _fetch = new CheckpointFetch(mark);
            _fetchAt = now;
        }
    }

    public void OnBlockQuery(NodeId from, in BlockQueryMessage query)
    {
        for (uint i = 0; i < query.Count; i++)
        {
            uint index = query.First + i;
            ReadOnlyMemory<byte> block = context.Host.ReadCheckpoint(new SequenceNumber(query.Number), index);
            if (block.IsEmpty && _sessions.TryGetValue(query.Number, out byte[]? sessions))
            {
                block = CheckpointBlocks.Block(sessions, index);
            }

            context.Send(from, new BlockAnswerMessage(query.Number, index, block));
        }
    }

    public void OnBlock(in BlockAnswerMessage answer, Instant now)
    {
        if (_fetch is null || answer.Number != _fetch.Mark.Number.Value)
        {
            return;
        }

        if (!_fetch.Add(answer.Index, answer.Bytes))
        {
            return;
        }

        _fetchAt = Instant.Min(_fetchAt, now + context.Options.QueryDelay);
        if (_fetch.Bytes is { } bytes)
        {
            Fetched = (_fetch.Mark, bytes);
            _fetch = null;
            _fetchAt = Instant.Never;
        }
    }

    /// <summary>A checkpoint is to be put in place: first the log says so.</summary>
    public bool Install(CheckpointMark mark, byte[] sessions, out ulong position)
    {
        position = AppendRecord(mark.Number.Value, mark, sessions);
        if (position == 0)
        {
            return false;
        }

        _sessions[mark.Number.Value] = sessions;
        return true;
    }

    /// <summary>It is in place.</summary>
    public void Installed(CheckpointMark mark)
    {
        _own[mark.Number.Value] = mark;
        Advertised(mark);
        _fetch = null;
        _external = 0;
        _fetchAt = Instant.Never;
    }

    public void Persisted(ulong position)
    {
        if (_trim.Number != 0 && _trim.Position <= position)
        {
            context.Store.Trim(new SequenceNumber(_trim.Number));
            _trim = default;
        }
    }

    public void Advance(Instant now)
    {
        if (now >= _reportAt)
        {
            Report(now);
        }

        if (now >= _fetchAt && _fetch is not null)
        {
            _fetchAt = now + context.Options.QueryTimeout;
            for (int i = 0; i < 2; i++)
            {
                BlockQueryMessage query = _fetch.Next(i * 16);
                // A turn is taken by a question only: of two servers the same one would be asked each time, whether it has the blocks or
                // not.
                if (query.Count > 0 && (i == 0 || query.First > 0) && PickHolder() is { IsNone: false } server)
                {
                    context.Send(server, query);
                }
            }

            if (context.Advertised.Number > _fetch.Mark.Number && _turn > 64)
            {
                // A newer one is there, and this one may be gone.
                _turn = 0;
                _fetch = new CheckpointFetch(context.Advertised);
            }
        }

        if (now >= _collectAt)
        {
            _collectAt = now + context.Options.ReportInterval;
            Collect(now);
        }
    }

    /// <summary>Copies forward what the log's cut would lose.</summary>
    public void WriteSnapshot(Action<ReadOnlyMemory<byte>> append)
    {
        if (_recorded.Sessions is { } sessions)
        {
            append(GroupRecords.Trimmed(_recorded.Trimmed, _recorded.Checkpoint, sessions));
        }
    }

    private void Report(Instant now)
    {
        _reportAt = Instant.Never;
        if (!context.IsCheckpoint || _own.Count == 0)
        {
            return;
        }

        CheckpointMark mark = default;
        foreach (CheckpointMark own in _own.Values)
        {
            mark = own;
        }

        if (mark.Number > context.Advertised.Number || (context.Sequencer == context.Self && mark.Number == context.Advertised.Number))
        {
            if (!context.Sequencer.IsNone)
            {
                context.Send(context.Sequencer, new CheckpointReportMessage(mark));
            }

            _reportAt = now + context.Options.ReportInterval;
        }
    }

    // Every second time among all: whoever let go what it covers has it in the log, while one of those that reported it may have lost it in
    // a crash, and the others may be gone for good.
    private NodeId PickHolder()
    {
        GroupRoles roles = context.Roles;
        VoterSet among = _turn % 2 == 0 ? roles.Checkpoint : roles.Checkpoint | roles.Commit | roles.Data;
        return context.Pick(among, _turn++ / 2);
    }

    private void Compare(CheckpointMark advertised)
    {
        if (_own.TryGetValue(advertised.Number.Value, out CheckpointMark own) && own != advertised)
        {
            context.Host.Note(new GroupEvent.StateDiffers(advertised.Number));
        }
    }

    // What may go: covered by an advertised checkpoint that is here too, by assigned numbers; kept a little longer for stragglers. Where
    // there is no application the checkpoint has the sessions only, and messages go by age and size.
    private void Collect(Instant now)
    {
        ulong covered = context.Advertised.Number.Value;
        if (_trim.Number != 0 || !_sessions.TryGetValue(covered, out byte[]? sessions) || covered > context.Sessions.Number
            || (context.HasApplication && covered > context.Store.CommittedDurable.Value))
        {
            return;
        }

        ulong trimmed = context.Store.Trimmed.Value;
        ulong upTo = SeededBug.Is("collected-beyond-the-checkpoint") ? context.Sessions.Number : covered;
        upTo = context.HasApplication
            ? upTo - Math.Min(upTo, context.Options.RetainNumbers) : Math.Min(upTo, context.Store.Expendable.Value);
        if (upTo > trimmed)
        {
            AppendTrimmed(upTo, context.Advertised, sessions);
        }
    }

    // ◆ The record that lets records up to n go says that n is committed: a server that forgot both would have a new sequencer fill numbers
    // that were committed.
    private void AppendTrimmed(ulong trimmed, CheckpointMark checkpoint, byte[] sessions)
    {
        ulong position = AppendRecord(trimmed, checkpoint, sessions);
        if (position != 0)
        {
            _trim = (position, trimmed);
        }
    }

    private ulong AppendRecord(ulong trimmed, CheckpointMark checkpoint, byte[] sessions)
    {
        byte[] record = GroupRecords.Trimmed(trimmed, checkpoint, sessions);
        if (!context.Host.CanAppend(record.Length))
        {
            return 0;
        }

        _recorded = (trimmed, checkpoint, sessions);
        context.Figures.Records++;
        return context.Host.Append(record);
    }

    private void Prune<T>(SortedDictionary<ulong, T> kept)
    {
        while (kept.Count > MostKept)
        {
            ulong oldest = 0;
            foreach (ulong number in kept.Keys)
            {
                if (number != context.Advertised.Number.Value)
                {
                    oldest = number;
                    break;
                }
            }

            kept.Remove(oldest);
        }
    }
}
