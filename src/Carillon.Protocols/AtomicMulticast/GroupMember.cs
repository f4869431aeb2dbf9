using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What one server, or one client, is in a group.</summary>
public sealed record GroupMemberSettings
{
    /// <summary>The group.</summary>
    public required GroupName Group { get; init; }

    /// <summary>Its settings.</summary>
    public required GroupSettings Settings { get; init; }

    /// <summary>Which servers have which role.</summary>
    public required GroupRoles Roles { get; init; }

    /// <summary>This server.</summary>
    public required NodeId Self { get; init; }

    /// <summary>False for a server that only orders: numbers are delivered without their payloads.</summary>
    public bool KeepsPayloads { get; init; } = true;

    /// <summary>True where an application keeps state that checkpoints carry.</summary>
    public bool HasApplication { get; init; }
}

/// <summary>
/// One member of one atomic multicast group (seed 001), with all roles that it holds: every message that is sent to the group is delivered
/// by all members or by none, in one order, with the numbers 1, 2, 3, …. docs/protocols/atomic-multicast.md has the messages, the states
/// and
/// the argument.
/// </summary>
/// <remarks>
/// <para>
/// The node hands in everything that comes (<see cref="Receive"/>, <see cref="Persisted"/>, <see cref="Publish"/>, …) and calls
/// <see cref="Flush"/> when it has handed in all that there was: batches form by that, and nothing waits when it is idle. Received frames
/// are the member's own from then on: payloads are slices of them.
/// </para>
/// <para>
/// Persist before send: records are appended first; what rests on them leaves only once they are durable, and counts here only from
/// <see cref="Persisted"/> on. Synchronous and single-threaded; time and randomness are arguments.
/// </para>
/// </remarks>
public sealed class GroupMember
{
    private const int MostRounds = 8;

    private readonly GroupContext _context;
    private readonly MessageFetcher _fetcher;
    private readonly GroupSender _sender;
    private readonly DataServer _data;
    private readonly CommitServer _commit;
    private readonly Sequencer _sequencer;
    private readonly CheckpointServer _checkpoints;
    private readonly GroupReceiver _receiver;
    private (ulong Checkpoint, byte[] Sessions)? _start;
    private (ulong Position, CheckpointMark Mark, SessionTable Sessions)? _installing;

    /// <summary>Makes the core of one member; then the log is replayed by <see cref="Restore"/>, and <see cref="Start"/> begins. The
    /// store has
    /// its committed messages already; uncommitted ones may come while the log is replayed.</summary>
    public GroupMember(GroupMemberSettings settings, GroupOptions options, IMessageStore store, RandomSource random, IGroupHost host)
    {
        _context = new GroupContext
        {
            Group = settings.Group, Settings = settings.Settings, Options = options, Store = store, Host = host, Random = random,
            Self = settings.Self, Roles = settings.Roles, Numbers = new NumberLog(options.MaxAhead),
            Sessions = new SessionTable(LifetimeOf(settings), settings.Settings.Fifo), KeepsPayloads = settings.KeepsPayloads,
            HasApplication = settings.HasApplication, Place = (uint)random.Below(int.MaxValue),
        };
        if (!SeededBug.Is("committed-number-forgotten"))
        {
            _context.Numbers.Skip(store.Committed.Value);
        }

        _fetcher = new MessageFetcher(_context);
        _sender = new GroupSender(_context);
        _data = new DataServer(_context, _fetcher);
        _commit = new CommitServer(_context, _fetcher);
        _sequencer = new Sequencer(_context, _fetcher);
        _checkpoints = new CheckpointServer(_context);
        _receiver = new GroupReceiver(_context, _fetcher, _sender, _checkpoints);
        _data.Held = (data, _) =>
        {
            _commit.Held(data.Id);
            _sequencer.Held(data);
        };
    }

    /// <summary>Counters for metrics.</summary>
    public GroupFigures Figures => _context.Figures;

    /// <summary>The greatest number that was delivered here; before <see cref="Start"/>, the one behind which deliveries will
    /// begin.</summary>
    public SequenceNumber Delivered => new(Math.Max(_receiver.Delivered, _start?.Checkpoint ?? 0));

    /// <summary>The greatest number that is known here, with all below it, to be committed.</summary>
    public SequenceNumber Committed => new(_context.Numbers.Known);

    /// <summary>The greatest number that was heard of as committed.</summary>
    public SequenceNumber Heard => new(_context.Numbers.Heard);

    /// <summary>The number at which deliveries stand still, since it can't be read here any more and has not come from another server;
    /// none otherwise.</summary>
    public SequenceNumber DamagedAt => new(_context.DamagedAt);

    /// <summary>The first number whose message is kept here.</summary>
    public SequenceNumber First => _context.Store.Trimmed.Next;

    /// <summary>What this server does as sequencer.</summary>
    public SequencerState SequencerState => _sequencer.State;

    /// <summary>Who sequences, as far as was heard; none if nobody was.</summary>
    public NodeId Sequencer => _context.Sequencer;

    /// <summary>How often a sequencer's word was heard: one that leads is heard each <see cref="GroupOptions.GossipInterval"/>.</summary>
    public ulong SequencerWords => _context.SequencerWords;

    /// <summary>In which epoch.</summary>
    public Epoch Epoch => _context.SequencerEpoch;

    /// <summary>The newest checkpoint that is advertised.</summary>
    public CheckpointMark Advertised => _context.Advertised;

    /// <summary>Which servers have which role, as far as is known here.</summary>
    public GroupRoles Roles => _context.Roles;

    /// <summary>Messages of this server's senders that are under way.</summary>
    public int Sending => _sender.Count;

    /// <summary>Sessions that are not retired.</summary>
    public int Sessions => _context.Sessions.Count;

    /// <summary>True if a message has a number that is delivered here, or its sender has settled it.</summary>
    public bool IsNumbered(MessageId id) => _context.Sessions.Judge(id, ulong.MaxValue, out _) == SessionVerdict.Numbered;

    /// <summary>The sessions as they are behind what was delivered: <see cref="StartFrom"/> takes them, and an application's checkpoint
    /// carries them.</summary>
    public byte[] SerializeSessions() => _context.Sessions.Serialize();

    /// <summary>True for a record that a group's cores wrote.</summary>
    public static bool Owns(ReadOnlySpan<byte> record) =>
        record.Length > 0 && record[0] is >= (byte)GroupRecordType.Promised and <= (byte)GroupRecordType.Trimmed;

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline
    {
        get
        {
            Instant due = Instant.Min(_sender.NextDeadline, _data.NextDeadline);
            due = Instant.Min(due, Instant.Min(_sequencer.NextDeadline, _checkpoints.NextDeadline));
            return Instant.Min(due, Instant.Min(_receiver.NextDeadline, _fetcher.NextDeadline));
        }
    }

    /// <summary>
    /// Asks the sequencer how far it has committed: everything that anybody was told to be committed before now is up to there.
    /// <see cref="IGroupHost.CommittedTold"/> takes the answer, perhaps at once, perhaps never.
    /// </summary>
    /// <param name="question">Comes back with the answer; never used twice, by no life of this server.</param>
    /// <param name="now">The time, read after what asks had come in.</param>
    /// <returns>False: no sequencer is known here that could be asked.</returns>
    public bool AskCommitted(ulong question, Instant now)
    {
        if (_sequencer.State == SequencerState.Leading)
        {
            bool isKnown = _sequencer.TryTell(now, out ulong committed);
            _context.Host.CommittedTold(question, isKnown ? new SequenceNumber(committed) : null);
            return true;
        }

        NodeId sequencer = _context.Sequencer;
        if (sequencer.IsNone || sequencer == _context.Self || !_context.Host.IsConnected(sequencer))
        {
            return false;
        }

        _context.Send(sequencer, new NumberQueryMessage(question));
        return true;
    }

    /// <summary>Takes one record of the groups' log that this member wrote; false for bytes that are none of its own.</summary>
    public bool Restore(ReadOnlySpan<byte> record)
    {
        var reader = new WireReader(record);
        switch ((GroupRecordType)reader.U8())
        {
            case GroupRecordType.Promised:
                return _commit.RestorePromise(ref reader);
            case GroupRecordType.Assigned:
                return _commit.RestoreAssigned(ref reader);
            case GroupRecordType.Trimmed:
                ulong trimmed = reader.U64();
                CheckpointMark mark = reader.Mark();
                byte[] sessions = reader.Blob(int.MaxValue).ToArray();
                if (reader.Failed || !SessionTable.TryRead(sessions, ulong.MaxValue, out SessionTable table)
                    || table.Number != mark.Number.Value)
                {
                    return false;
                }

                _checkpoints.Restore(trimmed, mark, sessions);
                if (!SeededBug.Is("committed-number-forgotten"))
                {
                    _context.Numbers.Skip(mark.Number.Value);
                }

                _start = (mark.Number.Value, sessions);
                return true;
            default:
                return false;
        }
    }

    /// <summary>
    /// An application's state is as it was behind this number, with these sessions: deliveries begin behind it, if no record says that they
    /// begin later. After the log was replayed, before <see cref="Start"/>.
    /// </summary>
    /// <returns>False: deliveries begin earlier, and the application passes over those that it has. Either the bytes are no table of
    /// sessions
    /// at that number; or the store has not got all up to it: a crash took the last of it, and what others may need is delivered to it
    /// again.</returns>
    public bool StartFrom(SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        ulong covered = Math.Max(_context.Store.Committed.Value, _context.Advertised.Number.Value);
        if (number.Value > covered || !SessionTable.TryRead(sessions.Span, ulong.MaxValue, out SessionTable table)
            || table.Number != number.Value)
        {
            return false;
        }

        if (_start is not { } start || start.Checkpoint <= number.Value)
        {
            _start = (number.Value, sessions.ToArray());
            _context.Numbers.Skip(number.Value);
        }

        return true;
    }

    /// <summary>The log is replayed, and the store is there: this member takes part from now on.</summary>
    public void Start(Instant now)
    {
        if (_start is { } start)
        {
            SessionTable.TryRead(start.Sessions, Lifetime, out SessionTable table, _context.Settings.Fifo);
            _context.Sessions = table;
            _checkpoints.Restore(start.Checkpoint, start.Sessions);
            if (_context.Store.Committed.Value < start.Checkpoint)
            {
                _context.Store.StartAfter(new SequenceNumber(start.Checkpoint));
            }
        }

        _commit.Start();
        _data.Start(now);
        Flush(now);
    }

    /// <summary>Copies forward what is still needed, before the log is cut.</summary>
    public void WriteSnapshot(Action<ReadOnlyMemory<byte>> append)
    {
        _context.Numbers.Release(Math.Min(_receiver.Delivered, _context.Store.CommittedDurable.Value));
        _checkpoints.WriteSnapshot(append);
        _commit.WriteSnapshot(append);
    }

    /// <summary>
    /// Step 1: a client's message. Unless it has come to an end already, <see cref="IGroupHost.Sent"/> tells its end.
    /// </summary>
    /// <param name="id">Given by its sender; the same id always ends at the same number, whichever server it is sent to.</param>
    /// <param name="settled">All counters of the session up to this are known to the sender as committed or given up.</param>
    /// <param name="timestamp">Logical timestamp: the greatest number that the sender knew when it sent the message first, to whichever
    /// server. Null: it sends it for the first time now, and knows what this server knows.</param>
    /// <param name="payload">At most <see cref="GroupSettings.MaxPayloadBytes"/>; the member's own from now on.</param>
    /// <param name="now">The time.</param>
    /// <param name="number">Its number, if it has one already.</param>
    public PublishAnswer Publish(
        MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, Instant now, out SequenceNumber number)
    {
        // A sender may know more than this server, but nothing that is not there; less than it knew is always safe.
        ulong first = Math.Min(timestamp ?? ulong.MaxValue, _context.Sessions.Number);
        PublishAnswer answer = _sender.Publish(id, settled, first, payload, now, out ulong known);
        number = new SequenceNumber(known);
        return answer;
    }

    /// <summary>Nobody waits for the message any more: this server does not send it again.</summary>
    public void Abandon(MessageId id) => _sender.Abandon(id);

    /// <summary>True while this server does not vote, since what it acknowledged and promised is lost.</summary>
    public bool HasForgotten => _commit.HasForgotten;

    /// <summary>The greatest epoch that was promised here.</summary>
    public Epoch Promised => _commit.Promised;

    /// <summary>What this server acknowledged and promised is lost with its disk ◆: it votes again under an epoch above all that the others
    /// promised meanwhile, once it has delivered all that this recovered and committed.</summary>
    public void Forget(Epoch upTo) => _commit.Forget(upTo);

    /// <summary>As <see cref="Forget"/>, where the disk is another one since some version of the configuration: nothing that the lost one
    /// promised was promised under the version in force ◆.</summary>
    public void ForgetLostDisk() => _commit.ForgetLostDisk();

    /// <summary>Up to here the store is to be durable soon: this server votes again then. Zero: it waits for nothing.</summary>
    public ulong DurableWanted => _commit.DurableWanted;

    /// <summary>The store asked for a message by its own means, and holds it from now on (the catalog: the submission is agreed here,
    /// whether it was asked for or not).</summary>
    public void Arrived(in GroupData message, Instant now) => _data.Arrived(message, now);

    /// <summary>The store has read what it was asked for.</summary>
    public void Loaded(Instant now) => _receiver.Deliver(now);

    /// <summary>Everything up to a position of the groups' log is durable.</summary>
    public void Persisted(ulong position, Instant now)
    {
        _data.Persisted(position);
        _commit.Persisted(position);
        _checkpoints.Persisted(position);
        if (_installing is { } installing && installing.Position <= position)
        {
            _installing = null;
            Adopt(installing.Mark, installing.Sessions);
        }
    }

    /// <summary>Primacy says: this server has the epoch of the group's sequencer, until then.</summary>
    public void BecomeSequencer(Epoch epoch, Instant leaseEnd, Instant now) => _sequencer.Begin(epoch, leaseEnd, now);

    /// <summary>The lease lasts longer.</summary>
    public void ExtendLease(Epoch epoch, Instant leaseEnd) => _sequencer.ExtendLease(epoch, leaseEnd);

    /// <summary>Primacy says: this server does not sequence any more.</summary>
    public void StepDown(Instant now) => _sequencer.StepDown();

    /// <summary>Somebody has committed numbers up to this: what is missing here is asked for, whoever sequences.</summary>
    public void HearAny(SequenceNumber number, Instant now)
    {
        _context.Numbers.HearAny(number.Value);
        _receiver.Advance(now);
    }

    /// <summary>Another version of the configuration is applied here.</summary>
    public void SetRoles(GroupRoles roles, Instant now)
    {
        _context.Roles = roles;
        _sequencer.RolesChanged();
    }

    /// <summary>The application's checkpoint at a number that <see cref="IGroupHost.TakeCheckpoint"/> asked for is made; told again after a
    /// start, of the newest.</summary>
    public void CheckpointTaken(CheckpointMark mark, Instant now) => _checkpoints.Taken(mark, now);

    /// <summary>The application's state is that of a checkpoint now, durably. Deliveries go on behind it once that is in the log
    /// too.</summary>
    /// <returns>False: the bytes are no table of sessions at its number, this member is past it, or the log is full.</returns>
    public bool Install(CheckpointMark mark, ReadOnlyMemory<byte> sessions, Instant now)
    {
        ulong number = mark.Number.Value;
        if (number <= _context.Sessions.Number
            || !SessionTable.TryRead(sessions.Span, Lifetime, out SessionTable table, _context.Settings.Fifo)
            || table.Number != number || !_checkpoints.Install(mark, sessions.ToArray(), out ulong position))
        {
            return false;
        }

        _installing = (position, mark, table);
        _receiver.IsHeld = true;
        return true;
    }

    /// <summary>A message of a peer; <paramref name="from"/> is vouched for, what it says is not trusted to be well formed.</summary>
    /// <returns>False: it could not be read.</returns>
    public bool Receive(NodeId from, ReadOnlyMemory<byte> frame, Instant now)
    {
        var reader = new WireReader(frame.Span);
        if (!GroupCodec.TryReadHead(ref reader, _context.Group, out GroupMessageType type)
            || !Read(from, type, ref reader, frame, now))
        {
            _context.Figures.BadMessages++;
            return false;
        }

        return true;
    }

    /// <summary>Deadlines have come.</summary>
    public void Advance(Instant now)
    {
        _sender.Advance(now);
        _data.Advance(now);
        _checkpoints.Advance(now);
        Flush(now);
    }

    /// <summary>All that had come was handed in: what has gathered is sent, stored, delivered.</summary>
    public void Flush(Instant now)
    {
        int rounds = 0;
        do
        {
            _sender.Flush(_data, now);
            if (_sequencer.Advance(_commit, now))
            {
                _data.TellAll(now);
            }

            _sequencer.Flush(_commit, now);
            _commit.Flush();
            _receiver.Deliver(now);
            _commit.VoteAgain();
            if (_context.Host.TakeRoles() is { } roles)
            {
                SetRoles(roles, now);
            }

            if (_checkpoints.Fetched is { } fetched)
            {
                _checkpoints.TakeFetched();
                Install(fetched.Mark, fetched.Sessions, now);
            }

            _receiver.Advance(now);
            _fetcher.Advance(now);
            _data.Flush();
        }
        while (TakeOwn(now) && ++rounds < MostRounds);
    }

    private ulong Lifetime => _context.IsCatalog ? SessionTable.NoLifetime : _context.Settings.Lifetime;

    private static ulong LifetimeOf(GroupMemberSettings settings) =>
        settings.Group == GroupName.Catalog ? SessionTable.NoLifetime : settings.Settings.Lifetime;

    private void Adopt(CheckpointMark mark, SessionTable sessions)
    {
        ulong before = _context.Sessions.Number;
        _receiver.IsHeld = false;
        _context.Sessions = sessions;
        _context.Numbers.Skip(mark.Number.Value);
        if (_context.Store.Committed < mark.Number)
        {
            _context.Store.StartAfter(mark.Number);
        }

        _checkpoints.Installed(mark);
        _context.Host.Note(new GroupEvent.Skipped(new SequenceNumber(before + 1), mark.Number));
        _sender.JudgeAll();
    }

    // What this member sent to itself.
    private bool TakeOwn(Instant now)
    {
        bool any = false;
        while (_context.TryTakeOwn(out IGroupMessage message))
        {
            any = true;
            switch (message)
            {
                case AckMessage ack:
                    _sequencer.OnAck(_context.Self, ack, now);
                    break;
                case PrepareMessage prepare:
                    _commit.OnPrepare(_context.Self, prepare);
                    break;
                case PreparedMessage prepared:
                    _sequencer.OnPrepared(_context.Self, prepared, now);
                    break;
                case NumberRequestMessage request:
                    _sequencer.OnRequest(_context.Self, request, now);
                    break;
                case CheckpointReportMessage report:
                    _sequencer.OnReport(_context.Self, report.Mark);
                    break;
                case SendAnswerMessage answer:
                    _sender.Answered(answer, now);
                    break;
            }
        }

        return any;
    }

    private bool Read(NodeId from, GroupMessageType type, ref WireReader reader, ReadOnlyMemory<byte> frame, Instant now)
    {
        switch (type)
        {
            case GroupMessageType.Data when DataMessage.TryRead(ref reader, frame, out DataMessage data):
                _data.Take(from, _receiver.TakeDamaged(data.Run), now);
                return true;
            case GroupMessageType.Request when NumberRequestMessage.TryRead(ref reader, out NumberRequestMessage request):
                _sequencer.OnRequest(from, request, now);
                return true;
            case GroupMessageType.Assign when AssignMessage.TryRead(ref reader, out AssignMessage assign):
                HearCommitted(from, assign.Epoch, assign.Committed);
                _commit.OnAssign(from, assign, now);
                return true;
            case GroupMessageType.Ack when AckMessage.TryRead(ref reader, out AckMessage ack):
                _sequencer.OnAck(from, ack, now);
                return true;
            case GroupMessageType.Commit when CommitMessage.TryRead(ref reader, out CommitMessage commit):
                OnCommit(from, commit);
                return true;
            case GroupMessageType.Gossip when GossipMessage.TryRead(ref reader, out GossipMessage gossip):
                HearCommitted(from, gossip.Epoch, gossip.Committed);
                _commit.HearRecovered(gossip.Configuration, gossip.Epoch, gossip.Committed);
                _commit.AskForNewEpoch(from, gossip.Epoch);
                _checkpoints.Advertised(gossip.Checkpoint);
                _context.CheckpointDue = gossip.Epoch >= _context.SequencerEpoch ? gossip.Due : _context.CheckpointDue;
                return true;
            case GroupMessageType.Prepare when PrepareMessage.TryRead(ref reader, out PrepareMessage prepare):
                _commit.OnPrepare(from, prepare);
                return true;
            case GroupMessageType.Prepared when PreparedMessage.TryRead(ref reader, out PreparedMessage prepared):
                _sequencer.OnPrepared(from, prepared, now);
                return true;
            default:
                return ReadRepair(from, type, ref reader, frame, now);
        }
    }

    private bool ReadRepair(NodeId from, GroupMessageType type, ref WireReader reader, ReadOnlyMemory<byte> frame, Instant now)
    {
        switch (type)
        {
            case GroupMessageType.CommitQuery when CommitQueryMessage.TryRead(ref reader, out CommitQueryMessage query):
                _commit.OnQuery(from, query, _data);
                return true;
            case GroupMessageType.CommitAnswer when CommitAnswerMessage.TryRead(ref reader, out CommitAnswerMessage answer):
                _receiver.OnAnswer(answer, now);
                return true;
            case GroupMessageType.DataQuery when DataQueryMessage.TryRead(ref reader, out DataQueryMessage wanted):
                _data.OnQuery(from, wanted);
                return true;
            case GroupMessageType.DataAbsent when DataAbsentMessage.TryRead(ref reader, out DataAbsentMessage absent):
                _fetcher.Absent(absent, now);
                _receiver.OnAbsent(absent, now);
                return true;
            case GroupMessageType.SendAnswer when SendAnswerMessage.TryRead(ref reader, out SendAnswerMessage word):
                _sender.Answered(word, now);
                return true;
            case GroupMessageType.CheckpointReport when CheckpointReportMessage.TryRead(ref reader, out CheckpointReportMessage report):
                _sequencer.OnReport(from, report.Mark);
                return true;
            case GroupMessageType.BlockQuery when BlockQueryMessage.TryRead(ref reader, out BlockQueryMessage blocks):
                _checkpoints.OnBlockQuery(from, blocks);
                return true;
            case GroupMessageType.BlockAnswer when BlockAnswerMessage.TryRead(ref reader, frame, out BlockAnswerMessage block):
                _checkpoints.OnBlock(block, now);
                return true;
            case GroupMessageType.NumberQuery when NumberQueryMessage.TryRead(ref reader, out NumberQueryMessage query):
                bool isKnown = _sequencer.TryTell(now, out ulong committed);
                _context.Send(from, new NumberAnswerMessage(query.Question, isKnown, _sequencer.Epoch, isKnown ? committed : 0));
                return true;
            case GroupMessageType.NumberAnswer when NumberAnswerMessage.TryRead(ref reader, out NumberAnswerMessage told):
                if (told.IsKnown)
                {
                    HearCommitted(from, told.Epoch, told.Committed);
                }

                _context.Host.CommittedTold(told.Question, told.IsKnown ? new SequenceNumber(told.Committed) : null);
                return true;
            default:
                return false;
        }
    }

    // A Commit of an older epoch is valid: what is committed stays so.
    private void OnCommit(NodeId from, in CommitMessage message)
    {
        ReadOnlySpan<Assignment> run = message.Run.Span;
        for (int i = 0; i < run.Length; i++)
        {
            _context.Numbers.Learn(message.First + (ulong)i, run[i]);
        }

        HearCommitted(from, message.Epoch, message.First + (ulong)run.Length - 1);
    }

    private void HearCommitted(NodeId from, Epoch epoch, ulong committed)
    {
        _context.HearSequencer(from, epoch);
        _context.Numbers.HearCommitted(epoch.Value, committed);
    }
}
