using Carillon.Node.Feeds;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Storage.Groups;

namespace Carillon.Node.Groups;

/// <summary>One group on this server: its core, its store, its sequencer's service, and who waits for its messages.</summary>
internal sealed class GroupHost : IGroupHost, ISequencedGroup
{
    private readonly ServerNode _node;
    private readonly GroupSet _set;
    private readonly PendingPublishes _pending;
    private readonly Queue<GroupEvent> _events = new();
    private bool _hasMore;
    private SequenceNumber _archivedFrom;
    private Instant _toldAt;
    private Instant _wordAt;
    private ulong _words;
    private bool _hasNewDisk;
    private ulong _told;

    public GroupHost(ServerNode node, GroupSet set, GroupName name, GroupRecord record, MessageArchive? archive, RandomSource random)
    {
        (_node, _set, Name, Record) = (node, set, name, record);
        Wire = GroupRecord.NameOf(record.Id);
        Service = ServiceName.OfSequencer(name.Name);
        GroupsOptions options = set.Options;
        if (archive is not null)
        {
            Disk = new DiskPart(new CommittedMessages(archive, options.Recent));
        }

        (int Messages, long Bytes) most = (options.Recent.MaxRecentMessages, Math.Min(record.Settings.RetainBytes, options.MemoryBytes));
        CommittedPart part = Disk as CommittedPart ?? new MemoryPart(most.Messages, most.Bytes);
        Store = new GroupStore(
            part, options.OpenBytes, CanAppend, archive is null ? null : AppendMessages,
            () => part.Expendable(set.Clock.Wall.Milliseconds, record.Settings));
        _pending = new PendingPublishes(options.PublishPatience);
        var settings = new GroupMemberSettings
        {
            Group = Wire, Settings = record.Settings, Roles = GroupRoles.Of(node.Configuration), Self = node.Self.Name,
        };
        Member = new GroupMember(settings, options.ProtocolOf(record.Settings), Store, random, this);
        Feed = new GroupFeed(name, record, part.NewReader) { Figures = Member.Figures, Memory = archive is null ? most : null };
    }

    public GroupName Name { get; }

    public string Title => $"group '{Name}'";

    public GroupRecord Record { get; }

    /// <summary>Its identity as its messages name it.</summary>
    public GroupName Wire { get; }

    /// <summary>The service whose primary numbers its messages.</summary>
    public ServiceName Service { get; }

    public GroupStore Store { get; }

    /// <summary>Null where it is memory-only.</summary>
    public DiskPart? Disk { get; }

    public GroupMember Member { get; }

    public GroupFeed Feed { get; }

    /// <summary>Why this server does not vote in it, or empty.</summary>
    public string Trouble
    {
        get => field.Length > 0 ? field : Damage;
        set;
    } = "";

    /// <summary>Which damaged message deliveries wait for, or empty: it passes once another server gave it.</summary>
    public string Damage { get; private set; } = "";

    /// <summary>Why its messages can't be numbered, as far as is known here, or empty.</summary>
    public string Silence { get; private set; } = "";

    /// <summary>True where they never can be again.</summary>
    public bool IsLost { get; private set; }

    /// <summary>True if its promises were lost with a disk, and this one has not got yet what they may rest on.</summary>
    public bool IsForgotten
    {
        get;
        set
        {
            field = value;
            _hasNewDisk |= value;
        }
    }

    /// <summary>The same for the next start: what a memory-only group has got is lost with this life, and has to come again ◆.</summary>
    public bool IsForgottenAtStart => IsForgotten || (Disk is null && _hasNewDisk);

    /// <summary>True for a memory-only group that nobody leads for long: it is lost, perhaps, and is not to hold up the cluster.</summary>
    public bool HasNothingToGet => Disk is null && Silence.Length > 0;

    /// <summary>Something was handed in since the last <see cref="Flush"/>.</summary>
    public bool IsDirty { get; set; }

    /// <summary>The newest states of the sessions that are in the log, so that a start need not read all messages again; the one before
    /// the newest, where a crash took the last messages of the archive.</summary>
    public List<(SequenceNumber Number, ReadOnlyMemory<byte> Sessions)> Kept { get; } = [];

    /// <summary>When <see cref="Advance"/> is due.</summary>
    public Instant NextDeadline { get; private set; } = Instant.Never;

    public bool MayVote => _node.MayVote && _set.IsWritable && Trouble.Length == 0;

    public bool HasListeners { get; init; }

    public ulong Durable => _set.Durable;

    /// <summary>Messages of clients that wait for their numbers.</summary>
    public int Waiting => _pending.Count;

    public bool IsConnected(NodeId node) => _node.Members.IsConnected(node);

    public bool CanAppend(int bytes) => _set.CanAppend(bytes);

    public ulong Append(ReadOnlySpan<byte> record) => _set.Append(this, record);

    public void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after) =>
        _node.Post(peer, TrafficKind.Groups, Protocol.Groups, message, after, mayBeLost: true);

    public void Multicast(GroupChannel channel, ReadOnlyMemory<byte> message) => _node.MulticastGroup(channel, message);

    public void Delivered(ReadOnlySpan<DeliveredMessage> run)
    {
        Store.Delivered(run);
        _hasMore = true;
    }

    public void Sent(MessageId id, SendVerdict verdict, SequenceNumber number)
    {
        switch (verdict)
        {
            case SendVerdict.Numbered when !number.IsNone:
                _pending.End(id, PublishEnd.Committed, number, "");
                break;
            case SendVerdict.Numbered:
                _pending.End(id, PublishEnd.Settled, default, "");
                break;
            case SendVerdict.Expired:
                _pending.End(id, PublishEnd.Expired, default, "");
                break;
            case SendVerdict.Overtaken:
                _pending.End(id, PublishEnd.Overtaken, default, "");
                break;
            case SendVerdict.Conflict when !number.IsNone:
                _pending.End(id, PublishEnd.Conflict, number, $"another content stands under its id at {number}");
                break;
            default:
                // Which of the two gets the number is not decided.
                _pending.End(id, PublishEnd.Unknown, default, "another content was sent under its id");
                break;
        }
    }

    public void Note(GroupEvent what) => _events.Enqueue(what);

    public bool TakeCheckpoint(SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        if (Disk is not null)
        {
            Keep(number, sessions);
            _set.AppendSessions(this);
        }

        return false;
    }

    public bool FetchCheckpoint(CheckpointMark mark) => false;

    public ReadOnlyMemory<byte> ReadCheckpoint(SequenceNumber number, uint index) => default;

    /// <summary>The log is replayed, or the group is new.</summary>
    public void Start(Instant now)
    {
        for (int i = Kept.Count - 1; i >= 0 && !Member.StartFrom(Kept[i].Number, Kept[i].Sessions); i--)
        {
            // The one before it.
        }

        if (IsForgotten)
        {
            Member.ForgetLostDisk();
        }

        Member.Start(now);
        _wordAt = now;
        IsDirty = true;
    }

    /// <summary>The sessions as they are behind a number.</summary>
    public void Keep(SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        Kept.Add((number, sessions));
        if (Kept.Count > 2)
        {
            Kept.RemoveAt(0);
        }
    }

    /// <summary>A client's message.</summary>
    public void Publish(MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, IPublishCall call, Instant now)
    {
        if (IsLost)
        {
            call.Ended(PublishEnd.Refused, default, Silence);
            return;
        }

        IsDirty = true;
        switch (Member.Publish(id, settled, timestamp, payload, now, out SequenceNumber number))
        {
            case PublishAnswer.Taken:
                _pending.Add(id, call, now);
                break;
            case PublishAnswer.Numbered when !number.IsNone:
                call.Ended(PublishEnd.Committed, number, "");
                break;
            case PublishAnswer.Numbered:
                call.Ended(PublishEnd.Settled, default, "");
                break;
            case PublishAnswer.Expired:
                call.Ended(PublishEnd.Expired, default, "");
                break;
            case PublishAnswer.Overtaken:
                call.Ended(PublishEnd.Overtaken, default, "");
                break;
            case PublishAnswer.Refused:
                call.Ended(PublishEnd.Refused, default, "too many messages are on their way");
                break;
            default:
                string where = number.IsNone ? "is on its way" : $"stands at {number}";
                call.Ended(PublishEnd.Conflict, number, $"another content {where} under its id");
                break;
        }
    }

    /// <summary>Somebody does not wait any longer for a message.</summary>
    public void Abandon(MessageId id, IPublishCall call)
    {
        if (_pending.Remove(id, call))
        {
            Member.Abandon(id);
        }
    }

    /// <summary>Deadlines have come.</summary>
    public void Advance(Instant now)
    {
        while (_pending.TryExpire(now, out MessageId id))
        {
            Member.Abandon(id);
        }

        Member.Advance(now);
        IsDirty = true;
    }

    /// <summary>All that there was is handed in: what gathered goes on.</summary>
    public void Flush(Instant now)
    {
        IsDirty = false;
        Member.Flush(now);
        if (IsForgotten && !Member.HasForgotten && _node.MayVote && _set.IsWritable)
        {
            Sometimes.Reached("group-votes-again-after-a-lost-disk");
            IsForgotten = false;
            if (!IsForgottenAtStart)
            {
                _set.NoteRejoined(this);
            }
        }

        NextDeadline = Instant.Min(Member.NextDeadline, _pending.NextDeadline);
        Listen(now);
        NoteDamage();
        string trouble = Damage.Length > 0 && !IsLost ? Damage : Silence;
        Feed.Update(Member.Committed, Member.First, Member.Sequencer, Member.Epoch.Value, trouble, IsLost, Damage.Length > 0);
        if (_hasMore)
        {
            _hasMore = false;
            Feed.Signal();
        }
    }

    /// <summary>Nobody can number its messages any more: a memory-only group that was forgotten.</summary>
    public void Lose(string why) => (IsLost, Silence) = (true, why);

    /// <summary>What the core told of since.</summary>
    public bool TryTakeEvent(out GroupEvent what)
    {
        bool any = _events.TryDequeue(out GroupEvent? next);
        what = next!;
        return any;
    }

    /// <summary>True if the service is to be told how far this server is: now and then, since ranks need no more.</summary>
    public bool IsNews(Instant now, TimeSpan interval)
    {
        if (Member.Committed.Value == _told || now < _toldAt + interval)
        {
            return false;
        }

        (_told, _toldAt) = (Member.Committed.Value, now);
        return true;
    }

    /// <summary>True if it may be elected to give numbers.</summary>
    public bool CanLead => Trouble.Length == 0 && !IsForgotten && _set.IsWritable;

    /// <summary>Who reads looks again.</summary>
    public void HasMore() => (_hasMore, IsDirty) = (true, true);

    /// <summary>The archive has taken something, or read something.</summary>
    public void DiskCame(Instant now)
    {
        // Who waits below what is kept now, behind a checkpoint that was skipped to, is told that.
        SequenceNumber first = Disk!.Messages.Archive.First;
        _hasMore |= Disk.Refill() | first != _archivedFrom;
        _archivedFrom = first;
        Member.Loaded(now);
        IsDirty = true;
    }

    /// <summary>The group is no longer here.</summary>
    public void End(string why)
    {
        _pending.EndAll(PublishEnd.Unknown, why);
        Feed.End();
    }

    /// <summary>Closes its files, which nobody writes to any more.</summary>
    public void Close() => Disk?.Messages.Dispose();

    /// <inheritdoc/>
    public override string ToString() =>
        $"delivered {Member.Delivered}, committed {Member.Committed}, heard of {Member.Heard}, stored {Store.Committed}, durable "
        + $"{Store.CommittedDurable}, first {Member.First}, open {Store.OpenCount}, waiting {Store.Part.WaitingBytes} B, "
        + $"{Member.SequencerState} in {Member.Epoch} of {Member.Sequencer}, checkpoint {Member.Advertised.Number}"
        + (Trouble.Length > 0 ? $", {Trouble}" : "")
        + (Disk?.Messages.Archive is { } archive ? $", archive {archive.Health} {archive.Trouble}" : "");

    // It can't lead, and has no room for messages without end: it takes no part until it has what it lacks. Who waits here for more goes to
    // another server.
    private void NoteDamage()
    {
        bool wasDamaged = Damage.Length > 0;
        if (Member.DamagedAt.IsNone)
        {
            if (wasDamaged)
            {
                Sometimes.Reached("damaged-group-message-fetched");
                Damage = "";
            }

            return;
        }

        Damage = $"its message {Member.DamagedAt} can't be read on this disk any more, and no other server gave it yet";
        if (!wasDamaged)
        {
            _hasMore = true;
            _node.Tell(NodeEventKind.NotVoting, _node.Self.Name, $"{Title}: {Damage}");
        }
    }

    // Where one acknowledgement says "message and assignment both durable here", a message's own flush would tell nobody anything: it would
    // only hold up the one that its assignment needs, which comes at once.
    private void Listen(Instant now)
    {
        if (Member.SequencerWords != _words || Member.SequencerState == SequencerState.Leading)
        {
            (_words, _wordAt, IsLost, Silence) = (Member.SequencerWords, now, false, "");
        }
        else if (!IsLost && now - _wordAt >= _set.Options.PublishPatience)
        {
            Silence = $"nobody has numbered its messages for {(long)(now - _wordAt).TotalSeconds} s";
        }
    }

    private ulong AppendMessages(GroupData[] run) => _set.AppendMessages(this, run, Member.Roles.IsShortCut);
}
