using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.VectorExchange;

/// <summary>
/// Distributed agreement on submissions (seed 000, figures 2 and 3): any entry server accepts one; it answers "accepted" only when a quorum
/// has it on stable storage and knows it. docs/protocols/vector-exchange.md has the messages, the states and the argument.
/// </summary>
/// <remarks>
/// <para>
/// Each tag is one instance of single-decree agreement. Round 0 is the accepting server's own exchange and can only say yes; later rounds
/// are taken by whoever the open tag blocks, as in Paxos (Lamport, "The Part-Time Parliament", 1998): promises from a quorum, then the
/// value of the greatest round that any of them showed.
/// </para>
/// <para>
/// Persist before send: a record is appended first, and every message that rests on it names the log's position; the node lets it leave
/// once that is durable. What this server itself counts (its own bit, its own promise) counts from <see cref="Persisted"/> on.
/// </para>
/// <para>Synchronous and single-threaded. Time and randomness are arguments; the outcome of every call depends on its inputs alone.</para>
/// </remarks>
public sealed partial class VectorExchange
{
    /// <summary>A put of a few KiB; greater ones are rarer, and cost more than an allocation anyway.</summary>
    private const int UsualRecord = 16 << 10;

    private ClusterConfiguration _configuration;
    private readonly NodeId _self;
    private readonly DiskId _disk;
    private int _bit;
    private readonly VectorExchangeOptions _options;
    private readonly RandomSource _random;
    private readonly IExchangeHost _host;
    private readonly BallotBook _book;
    private readonly StampClock _stamps;
    private readonly Queue<(ulong Position, Action<Moment> Then)> _waiting = new();
    private readonly PriorityQueue<(Ballot? Ballot, ulong Id), Instant> _timers = new();
    private readonly SortedDictionary<ulong, Attempt> _attempts = [];
    private readonly SortedSet<Tag> _uploads = [];
    private readonly byte[] _record = new byte[UsualRecord];
    private VoterSet _connected;
    private ulong _lastId = SweepTimer;

    /// <summary>Makes the core of one server; then the log is replayed by <see cref="Restore"/>, and <see cref="Start"/> begins.</summary>
    public VectorExchange(
        ClusterConfiguration configuration, NodeId self, VectorExchangeOptions options, RandomSource random, IExchangeHost host)
    {
        _configuration = configuration;
        _self = self;
        _disk = configuration.Find(self)?.Disk ?? default;
        _bit = configuration.BitOf(self);
        _options = options;
        _random = random;
        _host = host;
        _book = new BallotBook(self);
        _stamps = new StampClock(options.StampBlock);
        Invariant.That(_bit >= 0);
        _connected = default(VoterSet).With(_bit);
    }

    /// <summary>Clients that wait for an answer.</summary>
    public int OpenAttempts => _attempts.Count;

    /// <summary>Open tags, for figures.</summary>
    public int OpenTags => _book.Count;

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline => _timers.TryPeek(out _, out Instant due) ? due : Instant.Never;

    /// <summary>Counters for metrics.</summary>
    public ExchangeFigures Figures { get; } = new();

    private Quorum Quorum => _configuration.Quorum;

    /// <summary>Tells which entry servers can be talked to; this one is always among them.</summary>
    public void SetConnected(VoterSet connected, Moment now)
    {
        VoterSet fresh = connected.Without(_bit) & new VoterSet(~_connected.Bits);
        _connected = connected.With(_bit);
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            if (fresh.Contains(bit))
            {
                GreetPeer(bit);
            }
        }

        foreach (Attempt attempt in _attempts.Values.ToArray())
        {
            if (attempt.Phase == AttemptPhase.Pushing)
            {
                Evaluate(attempt, now);
            }
        }
    }

    /// <summary>Everything up to a position is durable.</summary>
    public void Persisted(ulong position, Moment now)
    {
        while (_waiting.TryPeek(out (ulong Position, Action<Moment> Then) next) && next.Position <= position)
        {
            _waiting.Dequeue();
            next.Then(now);
        }
    }

    /// <summary>A submission that <see cref="IExchangeHost.Agreed"/> was told of is in the catalog, or was there already.</summary>
    public void Applied(Tag tag, Moment now)
    {
        if (_book.Find(tag) is not { } ballot)
        {
            return;
        }

        Invariant.That(ballot.State == TagState.Accepted);
        _book.Remove(ballot);
        if (ballot.Attempt is { HasAnswered: false } attempt)
        {
            Finish(attempt, new SubmitOutcome.Accepted(tag, Replayed: false));
        }

        Settle(tag, TagState.Accepted, default, now);
    }

    /// <summary>A peer holds a submission as agreed (index merge); no bit of one's own is needed to apply it.</summary>
    public void Learned(Submission submission, Moment now)
    {
        if (_host.Outcome(submission.Tag).State == TagState.Accepted)
        {
            return;
        }

        Ballot ballot = _book.Find(submission.Tag) ?? _book.Add(new Ballot(submission.Tag, now.Now));
        if (ballot.Submission is null)
        {
            // Where it was agreed without the record, this is the end of that.
            ballot.FetchAt = Instant.Never;
            TakeAgreedRecord(ballot, submission, now);
            return;
        }

        Decide(ballot, TagState.Accepted, default, now);
    }

    /// <summary>A peer holds an open tag as rejected (index merge).</summary>
    public void LearnedRejected(Tag tag, Tag successor, Moment now)
    {
        if (_book.Find(tag) is { IsOpen: true })
        {
            Bury(tag, successor, default, now);
        }
    }

    /// <summary>Reads one message of a peer. Bad ones are dropped and counted.</summary>
    public bool Receive(NodeId from, ReadOnlySpan<byte> message, Moment now)
    {
        int bit = _configuration.BitOf(from);
        var reader = new WireReader(message);
        if (bit < 0 || bit == _bit || !MessageCodec.TryReadHead(ref reader, out MessageType type) || !Dispatch(bit, type, ref reader, now))
        {
            Figures.BadMessages++;
            return false;
        }

        return true;
    }

    /// <summary>Time went on.</summary>
    public void Advance(Moment now)
    {
        while (_timers.TryPeek(out (Ballot? Ballot, ulong Id) timer, out Instant due) && due <= now.Now)
        {
            _timers.Dequeue();
            if (timer.Ballot is { } ballot)
            {
                ballot.TimerAt = Instant.Never;
                if (_book.Find(ballot.Tag) == ballot)
                {
                    Tick(ballot, now);
                }
            }
            else if (_attempts.TryGetValue(timer.Id, out Attempt? attempt))
            {
                Tick(attempt, now);
            }
            else
            {
                TickQuestion(timer.Id, now);
            }
        }
    }

    private bool Dispatch(int from, MessageType type, ref WireReader reader, Moment now)
    {
        switch (type)
        {
            case MessageType.Push when Push.TryRead(ref reader, out WallTime clock, out ulong version, out ReadOnlySpan<byte> record):
                return OnPush(from, clock, version, record, now);
            case MessageType.PushAnswer when PushAnswer.TryRead(ref reader, out PushAnswer m):
                OnPushAnswer(from, m, now);
                return true;
            case MessageType.Vector when Vector.TryRead(ref reader, out Vector m):
                return OnVector(from, m, now);
            case MessageType.Abort when Abort.TryRead(ref reader, out Abort m):
                return OnAbort(from, m, now);
            case MessageType.AbortAck when TagMessage.TryRead(ref reader, type, out TagMessage m):
                OnAbortAck(from, m.Tag, now);
                return true;
            case MessageType.Ask when Ask.TryRead(ref reader, out Ask m):
                OnAsk(from, m, now);
                return true;
            case MessageType.Promise when Promise.TryRead(ref reader, out Promise m):
                OnPromise(from, m, now);
                return true;
            case MessageType.Barred when Barred.TryRead(ref reader, out Barred m):
                OnBarred(m, now);
                return true;
            case MessageType.Decided when Decided.TryRead(ref reader, out Decided m):
                OnDecided(from, m, now);
                return true;
            case MessageType.Fetch when TagMessage.TryRead(ref reader, type, out TagMessage m):
                OnFetch(from, m.Tag);
                return true;
            case MessageType.Fetched when Fetched.TryRead(ref reader, out bool agreed, out ReadOnlySpan<byte> record):
                return OnFetched(agreed, record, now);
            default:
                return DispatchQuestion(from, type, ref reader, now);
        }
    }

    private bool DispatchQuestion(int from, MessageType type, ref WireReader reader, Moment now)
    {
        switch (type)
        {
            case MessageType.ReadAsk when ReadAsk.TryRead(ref reader, out ReadAsk m):
                OnReadAsk(from, m);
                return true;
            case MessageType.ReadAnswer when ReadAnswer.TryRead(ref reader, out ReadAnswer m):
                OnReadAnswer(from, m, now);
                return true;
            case MessageType.KeyAsk when KeyAsk.TryRead(ref reader, out KeyAsk m):
                OnKeyAsk(from, m, now);
                return true;
            case MessageType.KeyAnswer when KeyAnswer.TryRead(ref reader, out KeyAnswer m):
                OnKeyAnswer(from, m, now);
                return true;
            case MessageType.Probe when Probe.TryRead(ref reader, out Probe m):
                Send(from, new ProbeAnswer(m.Question, GreatestStamp(m.Names)));
                return true;
            case MessageType.ProbeAnswer when ProbeAnswer.TryRead(ref reader, out ProbeAnswer m):
                OnProbeAnswer(from, m, now);
                return true;
            case MessageType.Inquire when TagMessage.TryRead(ref reader, type, out TagMessage m):
                OnInquire(from, m.Tag, now);
                return true;
            default:
                return false;
        }
    }

    /// <summary>A peer can be talked to again: tell it what it may have missed.</summary>
    private void GreetPeer(int bit)
    {
        foreach (Attempt attempt in _attempts.Values)
        {
            if (attempt.Phase == AttemptPhase.Pushing && !attempt.Held.Contains(bit))
            {
                attempt.Refusals.Remove(bit);
                SendPush(attempt, bit);
            }
        }

        foreach (Ballot ballot in _book.InOrder())
        {
            // A bit that is on its way to the disk comes with the next re-send; the others have had theirs (services' seed 646).
            if (ballot is { IsOpen: true, OwnBitDurable: true })
            {
                SendVector(ballot, bit, again: true);
            }
        }

        TellGraves(bit);
    }

    private bool Send<T>(int bit, in T message, ulong after = 0)
        where T : struct, IMessage =>
        _host.Send(_configuration.Voters[bit], MessageCodec.Encode(message), after);

    private void SendToConnected<T>(in T message, ulong after = 0)
        where T : struct, IMessage
    {
        byte[] bytes = MessageCodec.Encode(message);
        for (int bit = 0; bit < _configuration.Voters.Length; bit++)
        {
            // All that goes this way is asked or told again by some timer, so any of it may be lost.
            bool isLost = Buggify.Here("broadcast-misses-one")
                || (message is Vector { Value: false } && Buggify.Here("no-bit-missed", 0.8));
            if (bit != _bit && _connected.Contains(bit) && !isLost)
            {
                _host.Send(_configuration.Voters[bit], bytes, after);
            }
        }
    }

    private ulong Persist(ReadOnlySpan<byte> record) => _host.Append(record);

    /// <summary>Most bytes of the log are pending records: those of usual size are put together in one place.</summary>
    private ulong PersistPending(Submission submission)
    {
        ReadOnlySpan<byte> encoded = submission.Encoded.Span;
        return Persist(encoded.Length < _record.Length ? Records.Pending(encoded, _record) : Records.Pending(encoded));
    }

    private void WhenDurable(ulong position, Action<Moment> then) => _waiting.Enqueue((position, then));

    private void Schedule(Ballot ballot, Instant due)
    {
        if (due < ballot.TimerAt)
        {
            ballot.TimerAt = due;
            _timers.Enqueue((ballot, 0), due);
        }
    }

    private Instant Schedule(ulong id, Instant due)
    {
        _timers.Enqueue((null, id), due);
        return due;
    }

    private bool IsOwn(Tag tag) => tag.Uid.Server == _self;

    private bool IsAcceptorConnected(Tag tag) => _connected.Contains(_configuration.BitOf(tag.Uid.Server));

    private Timestamp GreatestStamp(ImmutableArray<ObjectName> names)
    {
        Timestamp greatest = default;
        foreach (ObjectName name in names)
        {
            greatest = Timestamp.Max(greatest, GreatestKnown(name).Stamp);
        }

        return greatest;
    }

    /// <summary>The greatest UID that this server holds for a name: applied, agreed, or open.</summary>
    private Uid GreatestKnown(ObjectName name) => Uid.Max(_host.GreatestApplied(name).Uid, _book.GreatestHeld(name));
}
