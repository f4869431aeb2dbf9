using System.Collections.Immutable;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Core = Carillon.Protocols.VectorExchange.VectorExchange;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>
/// A few cores of vector exchange on a virtual network: each message takes a while or is lost, each flush takes a while, a crash keeps what
/// was flushed. One seed decides a run.
/// </summary>
internal sealed class ExchangeLab
{
    private readonly PriorityQueue<Action, (long Ticks, long Order)> _events = new();
    private readonly RandomSource _random;
    private long _order;

    public ExchangeLab(int servers, ulong seed, VectorExchangeOptions? options = null, bool hasFeed = false)
    {
        _random = new RandomSource(seed);
        Feed = hasFeed ? new LabFeed(this) : null;
        Options = options ?? new VectorExchangeOptions();
        Configuration = new ClusterConfiguration("lab", 1, [.. Enumerable.Range(1, servers).Select(i => new ServerRecord
        {
            Name = NodeId.Parse($"s{i}"), Disk = new DiskId((UInt128)i), Host = "127.0.0.1", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
        })]);
        foreach (NodeId name in Configuration.Voters)
        {
            Servers.Add(name, new LabServer(this, name));
        }

        foreach (LabServer server in Servers.Values)
        {
            server.Start();
        }

        Reconnect();
    }

    public ClusterConfiguration Configuration { get; private set; }

    /// <summary>What the version in force carries.</summary>
    public ImmutableArray<CarriedTag> Carried { get; set; } = [];

    public VectorExchangeOptions Options { get; }

    /// <summary>What orders the agreed, or null: then they are applied as they come.</summary>
    public LabFeed? Feed { get; }

    public SortedDictionary<NodeId, LabServer> Servers { get; } = [];

    public Instant Now { get; private set; } = new(TimeSpan.TicksPerHour);

    public double Loss { get; set; }

    /// <summary>Part of the messages that come twice.</summary>
    public double Duplicates { get; set; }

    /// <summary>Hears of every message that is put on the wire, and of every record.</summary>
    public Action<NodeId, NodeId, ReadOnlyMemory<byte>>? OnSend { get; set; }

    /// <inheritdoc cref="OnSend"/>
    public Action<NodeId, byte[]>? OnAppend { get; set; }

    public TimeSpan Delay { get; set; } = TimeSpan.FromMilliseconds(1);

    public TimeSpan FlushTime { get; set; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Longest time that a server takes for each number of the feed; drawn anew for each.</summary>
    public TimeSpan LongestApply { get; set; }

    /// <summary>True if servers are told a number before they apply it, as nodes are.</summary>
    public bool TellsNumbers { get; init; }

    public TimeSpan ApplyTime() => TimeSpan.FromMilliseconds(0.1) + (LongestApply > TimeSpan.Zero ? _random.Below(LongestApply) : default);

    /// <summary>Pairs that can't reach each other.</summary>
    public HashSet<(NodeId, NodeId)> Cut { get; } = [];

    public long VectorMessages { get; private set; }

    public LabServer this[string name] => Servers[NodeId.Parse(name)];

    public Moment Moment(TimeSpan skew = default) =>
        new(Now, new WallTime(1_700_000_000_000 + (Now.Ticks / TimeSpan.TicksPerMillisecond) + (long)skew.TotalMilliseconds));

    public void At(TimeSpan delay, Action action) => _events.Enqueue(action, ((Now + delay).Ticks, _order++));

    public RandomSource Fork() => _random.Fork();

    public bool Reaches(NodeId a, NodeId b) => !Cut.Contains((a, b)) && !Cut.Contains((b, a)) && Servers[a].IsUp && Servers[b].IsUp;

    /// <summary>Tells everybody whom it can reach.</summary>
    public void Reconnect()
    {
        foreach (LabServer server in Servers.Values.Where(s => s.IsUp))
        {
            VoterSet connected = default;
            foreach (NodeId other in Configuration.Voters)
            {
                connected = other == server.Name || Reaches(server.Name, other) ? connected.With(Configuration.BitOf(other)) : connected;
            }

            server.Core.SetConnected(connected, server.Moment);
            server.Settle();
        }
    }

    /// <summary>The next version: some close the present one and report, and all that are up apply it. A replaced server is up again, on
    /// an empty disk.</summary>
    public void Change(ClusterChange change, params string[] closing)
    {
        ClusterConfiguration next = change.Apply(Configuration, out string fault)!;
        Xunit.Assert.Equal("", fault);
        NodeId leaving = change.Kind == ClusterChangeKind.Replace ? change.Server!.Name : default;
        var proposal = new ConfigurationProposal(Configuration, next, leaving);
        foreach (LabServer server in closing.Select(name => this[name]))
        {
            server.Core.Close(Configuration.Version);
            proposal.Hear(server.Name, new ClosingMessage(
                false, 1, Configuration.Version, 0, IsClosed: true, IsSettled: true, server.Core.Carried(), [], []));
        }

        Xunit.Assert.True(proposal.IsReady);
        ConfigurationEntry entry = proposal.ToEntry();
        Configuration = next;
        Carried = entry.Carried;
        foreach (LabServer server in Servers.Values.Where(s => s.IsUp))
        {
            server.Core.Reconfigure(next, entry.Carried, server.Moment);
            server.Settle();
        }

        if (!leaving.IsNone)
        {
            Servers[leaving].Replace();
        }

        Reconnect();
    }

    /// <summary>The change that gives a server another, empty disk.</summary>
    public ClusterChange Replacement(string name, int disk) => new(
        ClusterChangeKind.Replace, Configuration.Find(NodeId.Parse(name))! with { Disk = new DiskId((UInt128)disk) });

    public void Isolate(string name)
    {
        foreach (NodeId other in Configuration.Voters)
        {
            Cut.Add((NodeId.Parse(name), other));
        }

        Reconnect();
    }

    public void Heal()
    {
        Cut.Clear();
        Loss = 0;
        Reconnect();
    }

    /// <summary>Index merge stands beside vector exchange; here it is one stroke.</summary>
    public void Merge()
    {
        foreach (LabServer from in Servers.Values)
        {
            foreach (LabServer to in Servers.Values)
            {
                foreach (Submission submission in from.Catalog.Values.ToArray())
                {
                    to.Core.Learned(submission, to.Moment);
                    to.Settle();
                }
            }
        }

        Run(TimeSpan.FromSeconds(30));
    }

    public void Carry(NodeId from, NodeId to, ReadOnlyMemory<byte> message)
    {
        if (message.Span[1] == (byte)MessageType.Vector)
        {
            VectorMessages++;
        }

        OnSend?.Invoke(from, to, message);
        if (_random.Chance(Loss))
        {
            return;
        }

        if (Duplicates > 0 && _random.Chance(Duplicates))
        {
            Deliver(from, to, message);
        }

        Deliver(from, to, message);
    }

    private void Deliver(NodeId from, NodeId to, ReadOnlyMemory<byte> message)
    {
        ulong life = Servers[to].Life;
        At(Delay + _random.Below(Delay), () =>
        {
            if (Reaches(from, to) && Servers[to].Life == life)
            {
                Servers[to].Receive(from, message);
            }
        });
    }

    /// <summary>Runs until nothing is left to do before the time is over.</summary>
    public void Run(TimeSpan duration)
    {
        Instant end = Now + duration;
        while (true)
        {
            Instant next = end;
            if (_events.TryPeek(out _, out (long Ticks, long Order) due) && due.Ticks < next.Ticks)
            {
                next = new Instant(due.Ticks);
            }

            foreach (LabServer server in Servers.Values.Where(s => s.IsUp))
            {
                next = Instant.Min(next, server.Core.NextDeadline);
            }

            Now = next > Now ? next : Now;
            if (Now >= end)
            {
                return;
            }

            foreach (LabServer server in Servers.Values.Where(s => s.IsUp && s.Core.NextDeadline <= Now))
            {
                server.Core.Advance(server.Moment);
                server.Settle();
            }

            if (_events.TryPeek(out _, out due) && due.Ticks <= Now.Ticks)
            {
                _events.Dequeue()();
            }
        }
    }
}

/// <summary>One server of the lab: a core, a log and a catalog.</summary>
internal sealed class LabServer : IExchangeHost
{
    private readonly ExchangeLab _lab;
    private readonly List<byte[]> _flushed = [];
    private readonly List<byte[]> _unflushed = [];
    private readonly List<(NodeId To, ReadOnlyMemory<byte> Message, ulong After)> _gated = [];
    private readonly Queue<Submission> _toApply = new();
    private readonly Dictionary<Tag, Submission> _applied = [];
    private readonly Dictionary<Tag, Tag> _rejected = [];
    private readonly LabFeedState _state = new();
    private int _told;
    private bool _applying;
    private bool _flushing;
    private long _moved;

    public LabServer(ExchangeLab lab, NodeId name)
    {
        _lab = lab;
        Name = name;
        Core = null!;
    }

    public NodeId Name { get; }

    public Core Core { get; private set; }

    public bool IsUp { get; private set; }

    public ulong Life { get; private set; }

    public TimeSpan Skew { get; set; }

    public bool IsFull { get; set; }

    public List<string> Told { get; } = [];

    public IReadOnlyDictionary<Tag, Submission> Catalog => _applied;

    public IReadOnlyDictionary<Tag, Tag> Noes => _rejected;

    /// <summary>Applied tags whose records are gone: newer versions took their place.</summary>
    public HashSet<Tag> Trimmed { get; } = [];

    /// <summary>Keys whose time is over in the catalog.</summary>
    public HashSet<string> ForgottenKeys { get; } = new(StringComparer.Ordinal);

    public Moment Moment => _lab.Moment(Skew);

    public bool MayVote => true;

    public bool ClockNearQuorum { get; set; } = true;

    public Timestamp OutcomesSince { get; set; }

    public Timestamp OutcomeHorizon { get; set; }

    /// <summary>True while it takes nothing of the feed.</summary>
    public bool Lags { get; set; }

    /// <summary>What it has applied of the feed.</summary>
    public LabFeedState State => _state;

    public bool HasFeed => _lab.Feed is not null;

    public ulong Durable => (ulong)(_moved + _flushed.Count);

    public void Start()
    {
        Life++;
        IsUp = true;
        Core = new Core(_lab.Configuration, Name, _lab.Options, _lab.Fork(), this);
        ulong position = Durable - (ulong)_flushed.Count;
        foreach (byte[] record in _flushed.ToArray())
        {
            Xunit.Assert.True(Core.Restore(record, ++position, Moment));
        }

        Core.Hold(_lab.Carried, Moment);
        Core.Start(Moment);
        Settle();
        FeedGrew();
    }

    /// <summary>Starts with nothing: its disk is another one.</summary>
    public void Replace()
    {
        Crash();
        _moved += _flushed.Count;
        _flushed.Clear();
        _applied.Clear();
        _rejected.Clear();
        Start();
    }

    public void Crash()
    {
        IsUp = false;
        _unflushed.Clear();
        _gated.Clear();
        _toApply.Clear();
        _applying = false;
        _flushing = false;
        _told = 0;
        Life++;
    }

    /// <summary>Cuts the log behind a snapshot, and checks that a core restored from it writes the same one. Not during a flush.</summary>
    public void Compact()
    {
        if (_unflushed.Count > 0)
        {
            return;
        }

        List<byte[]> snapshot = SnapshotOf(Core);
        var restored = new Core(_lab.Configuration, Name, _lab.Options, new RandomSource(1), this);
        foreach (byte[] record in snapshot)
        {
            Xunit.Assert.True(restored.Restore(record, Durable, Moment));
        }

        Xunit.Assert.Equal(snapshot.Select(Convert.ToHexString), SnapshotOf(restored).Select(Convert.ToHexString));
        if (snapshot.Count <= _flushed.Count)
        {
            _moved += _flushed.Count - snapshot.Count;
            _flushed.Clear();
            _flushed.AddRange(snapshot);
        }
    }

    private List<byte[]> SnapshotOf(Core core)
    {
        var records = new List<byte[]>();
        core.WriteSnapshot(record => records.Add(record.ToArray()), Moment);
        return records;
    }

    /// <summary>A put of some text; the outcome is written to <see cref="Told"/> and given to <paramref name="then"/>.</summary>
    public void Put(string name, string content, string key, Action<SubmitOutcome>? then = null) =>
        Submit([new Operation(OperationKind.Put, new ObjectName("files", name), Manifest(content))], key, then);

    public void Delete(string name, string key, Action<SubmitOutcome>? then = null) =>
        Submit([new Operation(OperationKind.Delete, new ObjectName("files", name), null)], key, then);

    public void Submit(
        ImmutableArray<Operation> operations, string key, Action<SubmitOutcome>? then = null, bool untilSequenced = true)
    {
        Core.Submit(operations, key, default, Moment, outcome =>
        {
            Told.Add($"{key}: {outcome}");
            then?.Invoke(outcome);
        }, untilSequenced: untilSequenced);
        Settle();
    }

    public void Read(string name, Action<ReadOutcome> then)
    {
        Core.Read(new ObjectName("files", name), Moment, then);
        Settle();
    }

    public void Receive(NodeId from, ReadOnlyMemory<byte> message)
    {
        Xunit.Assert.True(Core.Receive(from, message.Span, Moment), $"{Name} can't read a message of {from}");
        Settle();
    }

    /// <summary>What a node does after each input: flush, send, apply.</summary>
    public void Settle()
    {
        ulong life = Life;
        if (!_flushing && _unflushed.Count > 0)
        {
            _flushing = true;
            int count = _unflushed.Count;
            _lab.At(_lab.FlushTime, () =>
            {
                if (Life != life)
                {
                    return;
                }

                _flushed.AddRange(_unflushed.Take(count));
                _unflushed.RemoveRange(0, count);
                _flushing = false;
                foreach ((NodeId to, ReadOnlyMemory<byte> message, _) in _gated.Where(g => g.After <= Durable).ToArray())
                {
                    _lab.Carry(Name, to, message);
                }

                _gated.RemoveAll(g => g.After <= Durable);
                Core.Persisted(Durable, Moment);
                Settle();
            });
        }

        while (_toApply.TryDequeue(out Submission? submission))
        {
            _lab.At(TimeSpan.FromMilliseconds(0.1), () =>
            {
                if (Life == life)
                {
                    _applied[submission.Tag] = submission;
                    Core.Applied(submission.Tag, Moment);
                    Settle();
                }
            });
        }
    }

    /// <summary>The feed has numbers that are not applied here: they are told, if this lab tells them, and applied one after the other,
    /// each after a while.</summary>
    public void FeedGrew()
    {
        TellNumbers();
        if (!IsUp || _applying || Lags || _lab.Feed is not { } feed || _state.Applied == feed.Sequence.Count)
        {
            return;
        }

        _applying = true;
        ulong life = Life;
        _lab.At(_lab.ApplyTime(), () =>
        {
            if (Life == life)
            {
                _applying = false;
                Submission submission = feed.Sequence[_state.Applied];
                FeedOutcome outcome = _state.Take(submission);
                Xunit.Assert.False(_rejected.ContainsKey(submission.Tag), $"{submission.Tag} is rejected at {Name} and stands in the feed");
                OnApplied?.Invoke(submission.Tag, outcome);
                Core.Sequenced(submission, outcome, Moment);
                Settle();
                FeedGrew();
            }
        });
    }

    private void TellNumbers()
    {
        if (!IsUp || Lags || _lab.Feed is not { } feed || !_lab.TellsNumbers)
        {
            return;
        }

        _told = Math.Max(_told, _state.Applied);
        while (_told < feed.Sequence.Count)
        {
            Tag tag = feed.Sequence[_told++].Tag;
            Core.Numbered(tag, new SequenceNumber((ulong)_told));
        }

        Settle();
    }

    /// <summary>Hears of each number that is applied here.</summary>
    public Action<Tag, FeedOutcome>? OnApplied { get; set; }

    /// <summary>The catalog keeps outcomes for a while only.</summary>
    public void ForgetNoes() => _rejected.Clear();

    /// <summary>The catalog has trimmed an accepted submission, and forgotten its outcome.</summary>
    public void Forget(Tag tag) => _applied.Remove(tag);

    /// <summary>Tags that the feed has numbers for, known though what became of them is forgotten.</summary>
    public HashSet<Tag> InFeed { get; } = [];

    /// <summary>The record, as applied here, by which no write is answered at its agreement; or none.</summary>
    public Tag Numbered { get; set; }

    public string? Content(string name)
    {
        Tag tag = GreatestApplied(new ObjectName("files", name));
        Dictionary<Tag, Submission> records = HasFeed ? _state.Records : _applied;
        return tag.IsNone ? null : records[tag].Operations.First(o => o.Target.Name == name).Manifest is { } manifest
            ? System.Text.Encoding.UTF8.GetString(manifest.Inline.Span) : null;
    }

    public static ObjectManifest Manifest(string content)
    {
        byte[] bytes = System.Text.Encoding.UTF8.GetBytes(content);
        return new ObjectManifest { Size = bytes.Length, Sha256 = Digest.Of(bytes), Inline = bytes };
    }

    bool IExchangeHost.IsClockGood(NodeId server) => true;

    bool IExchangeHost.CanAppend(int bytes, bool urgent) => urgent || !IsFull;

    ulong IExchangeHost.Append(ReadOnlySpan<byte> record)
    {
        _unflushed.Add(record.ToArray());
        _lab.OnAppend?.Invoke(Name, _unflushed[^1]);
        return Durable + (ulong)_unflushed.Count;
    }

    bool IExchangeHost.Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after)
    {
        if (after <= Durable)
        {
            _lab.Carry(Name, peer, message);
        }
        else
        {
            _gated.Add((peer, message, after));
        }

        return true;
    }

    public Tag GreatestApplied(ObjectName name)
    {
        if (HasFeed)
        {
            return _state.Greatest(name);
        }

        Tag greatest = default;
        foreach ((Tag tag, Submission submission) in _applied)
        {
            greatest = tag > greatest && submission.Operations.Any(o => o.Target == name) ? tag : greatest;
        }

        return greatest;
    }

    /// <summary>If set, the disk that made them.</summary>
    public DiskId? NumberedOf { get; set; }

    bool IExchangeHost.IsNumbered(Tag tag, DiskId disk) => InFeed.Contains(tag) && (NumberedOf is null || NumberedOf == disk);

    AppliedOutcome IExchangeHost.Outcome(Tag tag) =>
        _applied.ContainsKey(tag) || _state.Outcomes.ContainsKey(tag) ? new AppliedOutcome(TagState.Accepted, default)
        : _rejected.TryGetValue(tag, out Tag successor) ? new AppliedOutcome(TagState.Rejected, successor) : default;

    (Tag Tag, Digest Fingerprint) IExchangeHost.AcceptedKey(string key)
    {
        if (_state.Keys.TryGetValue(key, out Submission? first))
        {
            return (first.Tag, first.Fingerprint);
        }

        Submission? found = ForgottenKeys.Contains(key) ? null : _applied.Values.FirstOrDefault(s => s.Key == key);
        return found is null ? default : (found.Tag, found.Fingerprint);
    }

    Submission? IExchangeHost.Applied(Tag tag) => Trimmed.Contains(tag) ? null
        : _applied.GetValueOrDefault(tag) ?? _state.Records.GetValueOrDefault(tag);

    FeedOutcome IExchangeHost.Sequenced(Tag tag) => _state.Outcomes.GetValueOrDefault(tag);

    bool IExchangeHost.HasConditionalAbove(ObjectName name, Uid uid) => _state.HasConditionalAbove(name, uid);

    PushVerdict? IExchangeHost.RefusePush(Submission submission) =>
        Numbered.IsNone || submission.AwaitsNumber ? null : PushVerdict.Unnumbered;

    Tag IExchangeHost.NumberedBy(string bucket) => Numbered;

    Tag IExchangeHost.DurablyNumberedBy(string bucket) => Numbered;

    void IExchangeHost.Agreed(Submission submission)
    {
        if (_lab.Feed is { } feed)
        {
            feed.Hand(submission);
        }
        else
        {
            _toApply.Enqueue(submission);
        }
    }

    void IExchangeHost.Rejected(Tag tag, Tag successor) => _rejected.TryAdd(tag, successor);

    void IExchangeHost.RoundTaken(Tag tag, uint round)
    {
    }
}
