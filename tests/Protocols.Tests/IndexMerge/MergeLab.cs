using System.Collections.Immutable;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Core = Carillon.Protocols.IndexMerge.IndexMerge;

namespace Carillon.Protocols.Tests.IndexMerge;

/// <summary>Servers with catalogs that are plain sets, joined by pipes that lose, double, delay and overtake as the test says. Virtual
/// time.</summary>
internal sealed class MergeLab
{
    private readonly RandomSource _random;
    private readonly PriorityQueue<(Server From, Server To, ReadOnlyMemory<byte> Bytes), (long At, int Order)> _pipe = new();
    private int _sent;

    public MergeLab(ulong seed, int servers, IndexMergeOptions? options = null)
    {
        _random = new RandomSource(seed);
        Servers = [.. Enumerable.Range(1, servers).Select(
            i => new Server(this, NodeId.Parse($"s{i}"), options ?? new IndexMergeOptions(), _random.Fork()))];
    }

    public ImmutableArray<Server> Servers { get; }

    public Instant Now { get; private set; } = new(1);

    /// <summary>Probability that a message is lost.</summary>
    public double Loss { get; set; }

    /// <summary>Probability that a message comes twice.</summary>
    public double Doubling { get; set; }

    /// <summary>The longest time that a message is under way.</summary>
    public TimeSpan Delay { get; set; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Time from a submission being learned to being applied, at most.</summary>
    public TimeSpan ApplyDelay { get; set; }

    /// <summary>Submissions on their way into the catalog from which on a server is busy.</summary>
    public int BusyAt { get; set; } = int.MaxValue;

    /// <summary>Messages sent, by type.</summary>
    public Dictionary<MergeMessageType, int> Sent { get; } = [];

    public bool IsConverged => Servers.All(s => s.DigestOf(MergeRange.Root) == Servers[0].DigestOf(MergeRange.Root));

    /// <summary>All servers become connected.</summary>
    public void Connect()
    {
        foreach (Server a in Servers)
        {
            foreach (Server b in Servers.Where(s => s != a))
            {
                a.Core.PeerUp(b.Name, Now);
            }
        }
    }

    /// <summary>Lets time pass, up to a moment or until the condition holds.</summary>
    public bool Run(TimeSpan time, Func<bool>? until = null)
    {
        Instant end = Now + time;
        while (until is null || !until())
        {
            Instant next = Servers.Min(s => Instant.Min(s.Core.NextDeadline, s.NextApply));
            if (_pipe.TryPeek(out _, out (long At, int Order) first))
            {
                next = Instant.Min(next, new Instant(first.At));
            }

            if (next > end)
            {
                Now = end;
                return until?.Invoke() ?? true;
            }

            Now = next > Now ? next : Now;
            Step();
        }

        return true;
    }

    private void Step()
    {
        foreach (Server server in Servers)
        {
            server.ApplyDue();
            server.Core.Advance(Now);
        }

        while (_pipe.TryPeek(out _, out (long At, int Order) first) && first.At <= Now.Ticks)
        {
            (Server from, Server to, ReadOnlyMemory<byte> bytes) = _pipe.Dequeue();
            Xunit.Assert.True(to.Core.Receive(from.Name, bytes.Span, Now));
        }
    }

    private void Send(Server from, NodeId name, ReadOnlyMemory<byte> bytes)
    {
        Server to = Servers.Single(s => s.Name == name);
        MergeMessageType type = (MergeMessageType)bytes.Span[1];
        Sent[type] = Sent.GetValueOrDefault(type) + 1;
        if (_random.Chance(Loss))
        {
            return;
        }

        for (int copies = _random.Chance(Doubling) ? 2 : 1; copies > 0; copies--)
        {
            _pipe.Enqueue((from, to, bytes), ((Now + _random.Below(Delay)).Ticks, ++_sent));
        }
    }

    /// <summary>One server: its core, and the set that stands for its catalog.</summary>
    internal sealed class Server : IMergeIndex, IIndexMergeHost
    {
        private readonly MergeLab _lab;
        private readonly RandomSource _random;
        private readonly SortedDictionary<Tag, (MergeItem Item, byte[]? Record)> _items = [];
        private readonly Dictionary<Tag, (Instant At, MergeItem Item, byte[]? Record)> _onTheWay = [];
        private readonly Dictionary<MergeRange, MergeDigest> _digests = [];

        public Server(MergeLab lab, NodeId name, IndexMergeOptions options, RandomSource random)
        {
            _lab = lab;
            _random = random;
            Name = name;
            Core = new Core(options, random.Fork(), this, this);
        }

        public NodeId Name { get; }

        public Core Core { get; }

        public List<(NodeId Peer, Instant Since, Instant At)> Merges { get; } = [];

        public int LearnedTwice { get; private set; }

        public IEnumerable<MergeItem> Items => _items.Values.Select(i => i.Item);

        public Instant NextApply => _onTheWay.Count == 0 ? Instant.Never : _onTheWay.Values.Min(a => a.At);

        public void Add(Submission submission) =>
            Add(new MergeItem(submission.Tag, TagOutcome.Accepted, "", default), submission.Encoded.ToArray());

        public void Reject(Tag tag, string key, Tag successor) => Add(new MergeItem(tag, TagOutcome.Rejected, key, successor), null);

        /// <summary>A version that was trimmed: no longer compared, still known.</summary>
        public HashSet<Tag> Trimmed { get; } = [];

        public void Trim(Tag tag)
        {
            if (_items.Remove(tag, out (MergeItem Item, byte[]? Record) old))
            {
                Change(old.Item, default(MergeDigest) - MergeDigest.Of(tag, old.Item.Outcome));
                Trimmed.Add(tag);
            }
        }

        public void ApplyDue()
        {
            foreach ((Tag tag, (Instant at, MergeItem item, byte[]? record)) in _onTheWay.Where(a => a.Value.At <= _lab.Now).ToList())
            {
                _onTheWay.Remove(tag);
                Add(item, record);
            }
        }

        public MergeDigest DigestOf(MergeRange range) => _digests.GetValueOrDefault(range);

        public ImmutableArray<(MergeRange Range, MergeDigest Digest)> PartsOf(MergeRange range) =>
            [.. _digests.Where(d => d.Key.Level == range.Level + 1 && range.Contains(d.Key) && !d.Value.IsEmpty).OrderBy(d => d.Key).Select(
                d => (d.Key, d.Value))];

        public ImmutableArray<MergeItem> ItemsIn(MergeRange range, Tag after, int limit) =>
            [.. Items.Where(i => range.Contains(i.Tag.Uid.Stamp) && i.Tag > after).Take(limit)];

        public TagOutcome Outcome(Tag tag) =>
            _items.TryGetValue(tag, out (MergeItem Item, byte[]? Record) known) ? known.Item.Outcome : Trimmed.Contains(tag)
                ? TagOutcome.Accepted : TagOutcome.Unknown;

        public byte[]? Submission(Tag tag) => _items.TryGetValue(tag, out (MergeItem Item, byte[]? Record) known) ? known.Record : null;

        public void Send(NodeId to, ReadOnlyMemory<byte> message) => _lab.Send(this, to, message);

        public void Learned(Submission submission) =>
            Take(new MergeItem(submission.Tag, TagOutcome.Accepted, "", default), submission.Encoded.ToArray());

        public void LearnedRejected(MergeItem item) => Take(item, null);

        public bool IsOnItsWay(Tag tag) => _onTheWay.ContainsKey(tag);

        public bool IsBusy => _onTheWay.Count >= _lab.BusyAt;

        public int MostOnTheWay { get; private set; }

        public void Merged(NodeId peer, Instant since) => Merges.Add((peer, since, _lab.Now));

        private void Take(MergeItem item, byte[]? record)
        {
            MostOnTheWay = Math.Max(MostOnTheWay, _onTheWay.Count);
            LearnedTwice += Outcome(item.Tag) != TagOutcome.Unknown
                || !_onTheWay.TryAdd(item.Tag, (_lab.Now + _random.Below(_lab.ApplyDelay), item, record)) ? 1 : 0;
        }

        private void Add(MergeItem item, byte[]? record)
        {
            if (!Trimmed.Contains(item.Tag) && _items.TryAdd(item.Tag, (item, record)))
            {
                Change(item, MergeDigest.Of(item.Tag, item.Outcome));
            }
        }

        private void Change(MergeItem item, MergeDigest difference)
        {
            for (int level = 0; level <= MergeRange.LeafLevel; level++)
            {
                MergeRange range = MergeRange.Of(level, item.Tag.Uid.Stamp);
                _digests[range] = _digests.GetValueOrDefault(range) + difference;
            }
        }
    }
}
