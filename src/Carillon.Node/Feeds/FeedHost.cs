using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Feeds;

/// <summary>
/// The catalog's group on this server (4-atomic-multicast.md): what is agreed gets a number, and committed numbers go to the catalog in
/// their order. Its records are in the server's own log, between those of vector exchange, so that one flush serves both.
/// </summary>
internal sealed class FeedHost : IGroupHost, ISequencedGroup
{
    // Messages of this size and more don't share the agreement stream.
    private const int LargeMessage = 128 << 10;

    /// <summary>The sessions' state is kept when so many numbers have come since, or so much time has passed: what came behind it is
    /// delivered again after a start.</summary>
    private const ulong SessionsEvery = 4096;

    private static readonly TimeSpan SessionsTime = TimeSpan.FromSeconds(1);

    private readonly ServerNode _node;
    private readonly CatalogReader _reader;
    private readonly bool _mayLead;
    private readonly Queue<GroupEvent> _events = new();
    private readonly List<Submission> _arrivals = [];
    private readonly List<SequencedEntry> _delivered = [];
    private (ulong Number, Instant At) _sessionsKept;
    private Instant _toldAt;
    private ulong _told;
    private bool _isStarted;
    private bool _isPutting;
    private SessionTable? _sessionsAtStart;
    private GroupRoles? _roles;

    public FeedHost(ServerNode node, CatalogReader reader, NodeOptions options, RandomSource random)
    {
        _node = node;
        _reader = reader;
        _mayLead = options.FeedLead;
        Service = ServiceName.OfSequencer(GroupName.Catalog.Name);
        Store = new FeedStore(reader, CanAppend, Learn);
        var settings = new GroupMemberSettings
        {
            Group = GroupName.Catalog, Settings = new GroupSettings(), Roles = GroupRoles.Of(node.Configuration), Self = node.Self.Name,
            HasApplication = true,
        };
        Member = new GroupMember(settings, options.Feed, Store, random, this);
        (_, byte[] sessions) = reader.Sessions();
        Sessions = sessions;
    }

    public string Title => "the catalog's feed";

    public ServiceName Service { get; }

    public FeedStore Store { get; }

    public GroupMember Member { get; }

    public string Trouble => _node.NotVotingBecause;

    public bool CanLead => _mayLead && _node.MayVote;

    public bool IsDirty { get; set; }

    /// <summary>The sessions' state that the catalog kept last; empty before the first.</summary>
    public ReadOnlyMemory<byte> Sessions { get; private set; }

    /// <summary>True if a message has a number, or its sender has settled it, as far as is known here.</summary>
    public bool IsNumbered(MessageId id) => _isStarted
        ? Member.IsNumbered(id)
        : (_sessionsAtStart ??= _reader.SessionsAsApplied()).Judge(id, ulong.MaxValue, out _) == SessionVerdict.Numbered;

    /// <summary>When <see cref="Advance"/> is due.</summary>
    public Instant NextDeadline { get; private set; } = Instant.Never;

    public bool MayVote => _node.MayVote;

    public bool HasListeners => false;

    public ulong Durable => (ulong)_node.Log.Durable.Value;

    public bool IsConnected(NodeId node) => _node.Members.IsConnected(node);

    public bool CanAppend(int bytes) => _node.Log.CanAppend(bytes, urgent: true);

    public ulong Append(ReadOnlySpan<byte> record) => _node.AppendToLog(record);

    public void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after) => _node.Post(
        peer, message.Length >= LargeMessage ? TrafficKind.Push : TrafficKind.Agreement, Protocol.Feed, message, after,
        mayBeLost: true);

    public void Multicast(GroupChannel channel, ReadOnlyMemory<byte> message)
    {
        foreach (NodeId voter in _node.Configuration.Voters)
        {
            if (voter != _node.Self.Name && _node.Members.IsConnected(voter))
            {
                Send(voter, message, 0);
            }
        }
    }

    public void Delivered(ReadOnlySpan<DeliveredMessage> run)
    {
        Store.Delivered(run, _delivered);
        if (_delivered.Count == 0)
        {
            return;
        }

        SequenceNumber last = run[^1].Number;
        Instant now = _node.Now;
        ReadOnlyMemory<byte>? sessions = null;
        if (last.Value >= _sessionsKept.Number + SessionsEvery || now >= _sessionsKept.At + SessionsTime)
        {
            sessions = Member.SerializeSessions();
            _sessionsKept = (last.Value, now);
        }

        _node.QueueEntries(_delivered, sessions);
        foreach (SequencedEntry entry in _delivered)
        {
            if (entry.Submission is { } submission && ConfigurationEntry.TryRead(submission, out ConfigurationEntry? configuration)
                && _node.ConfigurationDelivered(configuration, entry.Number))
            {
                _roles = GroupRoles.Of(configuration.Configuration);
            }
        }

        _delivered.Clear();
    }

    public void Sent(MessageId id, SendVerdict verdict, SequenceNumber number)
    {
        // Nothing is sent: what is agreed is everywhere already.
    }

    /// <summary>A version that a checkpoint passed over.</summary>
    public void TakeUp(ClusterConfiguration configuration) => _roles = GroupRoles.Of(configuration);

    public bool IsChange(MessageId id) => Store.IsChange(id);

    public void CommittedTold(ulong question, SequenceNumber? number) => _node.CommittedTold(question, number);

    public GroupRoles? TakeRoles()
    {
        GroupRoles? roles = _roles;
        _roles = null;
        return roles;
    }

    public void Note(GroupEvent what) => _events.Enqueue(what);

    public bool TakeCheckpoint(SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        // Also at the number that the catalog has come to: where nothing is written, one is asked for there.
        if (number >= Store.AppliedNumber)
        {
            _node.CheckpointDue(number, sessions);
        }

        return true;
    }

    public bool FetchCheckpoint(CheckpointMark mark)
    {
        _node.BeginFetch(mark);
        return true;
    }

    public ReadOnlyMemory<byte> ReadCheckpoint(SequenceNumber number, uint index) => default;

    /// <summary>The log is replayed, and what is agreed has been told.</summary>
    public void Start(Instant now)
    {
        if (Sessions.Length > 0)
        {
            // The catalog's word: a table of sessions begins with its format's version and its number.
            var number = new SequenceNumber(BitConverter.ToUInt64(Sessions.Span[1..]));
            Invariant.That(Member.StartFrom(number, Sessions), "the catalog's sessions are those of a number that it applied");
        }

        _sessionsKept = (Member.Delivered.Value, now);
        _isStarted = true;
        _sessionsAtStart = null;
        Member.Start(now);
        IsDirty = true;
    }

    /// <summary>A submission is agreed here: it may be numbered, and may be stored at a number ◆.</summary>
    public void Agreed(Submission submission)
    {
        if (Store.Hold(submission) && _isStarted && !_isPutting)
        {
            _arrivals.Add(submission);
            IsDirty = true;
        }
    }

    /// <summary>Deadlines have come.</summary>
    public void Advance(Instant now)
    {
        if (now >= NextDeadline)
        {
            Member.Advance(now);
            IsDirty = true;
        }
    }

    /// <summary>A message of a peer.</summary>
    public bool Receive(NodeId from, ReadOnlyMemory<byte> message, Instant now)
    {
        IsDirty = true;
        return Member.Receive(from, message, now);
    }

    /// <summary>All that there was is handed in: what gathered goes on.</summary>
    public void Flush(Instant now)
    {
        IsDirty = false;
        foreach (Submission submission in _arrivals)
        {
            Member.Arrived(FeedStore.DataOf(submission), now);
        }

        _arrivals.Clear();
        Member.Flush(now);
        NextDeadline = Member.NextDeadline;
        _node.Feed.Update(new CatalogFeedState(Member.Committed, Member.Advertised.Number, Member.Sequencer, Member.Epoch.Value));
    }

    /// <summary>The catalog has applied everything up to a number.</summary>
    public void Applied(SequenceNumber number, Instant now)
    {
        bool wasFull = !Store.CanCommit;
        Store.Applied(number);
        if (wasFull && Store.CanCommit)
        {
            Member.Loaded(now);
            IsDirty = true;
        }
    }

    public bool TryTakeEvent(out GroupEvent what)
    {
        bool any = _events.TryDequeue(out GroupEvent? next);
        what = next!;
        return any;
    }

    public bool IsNews(Instant now, TimeSpan interval)
    {
        if (Member.Committed.Value == _told || now < _toldAt + interval)
        {
            return false;
        }

        (_told, _toldAt) = (Member.Committed.Value, now);
        return true;
    }

    public void HasMore() => IsDirty = true;

    /// <inheritdoc/>
    public override string ToString() =>
        $"delivered {Member.Delivered}, applied {Store.AppliedNumber}, committed {Member.Committed}, heard of {Member.Heard}, "
        + $"open {Store.OpenCount}, {Member.SequencerState} in {Member.Epoch} of {Member.Sequencer}, checkpoint {Member.Advertised.Number}";

    private void Learn(Submission submission)
    {
        // The core that puts it knows that it is here.
        _isPutting = true;
        _node.LearnAgreed(submission);
        _isPutting = false;
    }
}
