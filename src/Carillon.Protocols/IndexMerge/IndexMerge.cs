using System.Collections.Immutable;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.IndexMerge;

/// <summary>
/// Index merge (seed 000 names it; VE-65, VE-75): on connecting, and every minute, peers compare digests over (tag, outcome) of all that they keep, range by range
/// down to lists of tags, and fetch what differs by tag, so that a changeset arrives whole. So every server converges to the same listing, however long it was
/// away. docs/protocols/index-merge.md has the messages.
/// </summary>
/// <remarks>
/// One run goes on per peer and direction: this server asks, the peer answers from its index as it stands; in a leaf that differs this server also sends what it has, so that
/// one run serves both. Every message may be lost: a run without progress is given up, and the next one finds what is left.
/// </remarks>
public sealed class IndexMerge
{
    private readonly IndexMergeOptions _options;
    private readonly RandomSource _random;
    private readonly IMergeIndex _index;
    private readonly IIndexMergeHost _host;
    private readonly SortedDictionary<NodeId, Run> _peers = [];
    private ulong _lastRun;

    public IndexMerge(IndexMergeOptions options, RandomSource random, IMergeIndex index, IIndexMergeHost host)
    {
        _options = options;
        _random = random;
        _index = index;
        _host = host;
    }

    /// <summary>Submissions learned from peers.</summary>
    public long Learned { get; private set; }

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline
    {
        get
        {
            Instant next = Instant.Never;
            foreach (Run run in _peers.Values)
            {
                next = Instant.Min(next, run.Due);
            }

            return next;
        }
    }

    /// <summary>A peer can be talked to: it is compared with soon.</summary>
    public void PeerUp(NodeId peer, Instant now) => _peers[peer] = new Run { Due = now + _random.Below(_options.ConnectDelay) };

    /// <summary>A peer is away.</summary>
    public void PeerDown(NodeId peer) => _peers.Remove(peer);

    /// <summary>Compares with a connected peer at once: something was missed.</summary>
    public void Hurry(NodeId peer, Instant now)
    {
        if (_peers.TryGetValue(peer, out Run? run) && !run.IsActive)
        {
            run.Due = Instant.Min(run.Due, now);
        }
    }

    /// <summary>Time went on.</summary>
    public void Advance(Instant now)
    {
        foreach ((NodeId peer, Run run) in _peers)
        {
            if (run.Due <= now)
            {
                Begin(peer, run, now);
            }
        }
    }

    /// <summary>Reads a peer's message; false if it can't be read.</summary>
    public bool Receive(NodeId from, ReadOnlySpan<byte> bytes, Instant now)
    {
        if (!MergeMessage.TryRead(bytes, out MergeMessage message))
        {
            return false;
        }

        switch (message.Type)
        {
            case MergeMessageType.Compare:
                Answer(from, message);
                return true;
            case MergeMessageType.Fetch:
                SendRecords(from, message);
                return true;
            case MergeMessageType.Record:
                return Take(from, message, now);
        }

        if (!_peers.TryGetValue(from, out Run? run))
        {
            return true;
        }

        if (message.Type == MergeMessageType.Items && message.Run != run.Number)
        {
            // The other side's run met a leaf that differs, and shows what it has.
            Consider(run, message.Items);
            Pump(from, run, now);
            return true;
        }

        if (run.IsActive && message.Run == run.Number)
        {
            run.Due = now + _options.Stall;
            Continue(run, from, message);
            Pump(from, run, now);
        }

        return true;
    }

    private void Begin(NodeId peer, Run run, Instant now)
    {
        run.Reset(++_lastRun, now, now + _options.Stall);
        run.ToCompare.Enqueue(MergeRange.Root);
        Pump(peer, run, now);
    }

    /// <summary>The asked side: equal, the parts, or the items.</summary>
    private void Answer(NodeId to, MergeMessage asked)
    {
        if (_index.DigestOf(asked.Range) == asked.Digest)
        {
            Send(to, new MergeMessage(MergeMessageType.Same, asked.Run, asked.Range));
        }
        else if (asked.Range.IsLeaf)
        {
            SendItems(to, asked.Run, asked.Range);
        }
        else
        {
            Send(to, new MergeMessage(MergeMessageType.Parts, asked.Run, asked.Range) { Parts = _index.PartsOf(asked.Range) });
        }
    }

    private void SendItems(NodeId to, ulong run, MergeRange leaf)
    {
        Tag after = default;
        while (true)
        {
            ImmutableArray<MergeItem> items = _index.ItemsIn(leaf, after, MergeMessage.MaxItems);
            bool more = items.Length == MergeMessage.MaxItems;
            Send(to, new MergeMessage(MergeMessageType.Items, run, leaf) { More = more, Items = items });
            if (!more)
            {
                return;
            }

            after = items[^1].Tag;
        }
    }

    private void Continue(Run run, NodeId peer, MergeMessage answer)
    {
        switch (answer.Type)
        {
            case MergeMessageType.Same:
                run.Compared.Remove(answer.Range);
                break;
            case MergeMessageType.Parts:
                if (run.Compared.Remove(answer.Range))
                {
                    CompareParts(run, answer);
                }

                break;
            case MergeMessageType.Items:
                Consider(run, answer.Items);
                if (!answer.More && run.Compared.Remove(answer.Range))
                {
                    // Under number zero the peer knows that this is no answer of its own run.
                    SendItems(peer, 0, answer.Range);
                }

                break;
            case MergeMessageType.Gone:
                foreach (Tag tag in answer.Tags)
                {
                    run.Fetching.Remove(tag);
                }

                break;
        }
    }

    private void CompareParts(Run run, MergeMessage answer)
    {
        var own = new SortedDictionary<MergeRange, MergeDigest>();
        foreach ((MergeRange range, MergeDigest digest) in _index.PartsOf(answer.Range))
        {
            own.Add(range, digest);
        }

        foreach ((MergeRange range, MergeDigest theirs) in answer.Parts)
        {
            if (!own.Remove(range, out MergeDigest digest) || digest != theirs)
            {
                run.ToCompare.Enqueue(range);
            }
        }

        foreach (MergeRange onlyHere in own.Keys)
        {
            run.ToCompare.Enqueue(onlyHere);
        }
    }

    /// <summary>What a peer has and this server lacks is fetched; rejections are taken as they are.</summary>
    private void Consider(Run run, ImmutableArray<MergeItem> items)
    {
        foreach (MergeItem item in items)
        {
            if (_index.Outcome(item.Tag) != TagOutcome.Unknown || _host.IsOnItsWay(item.Tag))
            {
                continue;
            }

            if (item.Outcome == TagOutcome.Rejected)
            {
                _host.LearnedRejected(item.Tag, item.Key);
            }
            else if (!run.Fetching.Contains(item.Tag))
            {
                run.ToFetch.Enqueue(item.Tag);
            }
        }
    }

    private void SendRecords(NodeId to, MergeMessage asked)
    {
        var gone = ImmutableArray.CreateBuilder<Tag>();
        foreach (Tag tag in asked.Tags)
        {
            if (_index.Submission(tag) is { } record)
            {
                Send(to, new MergeMessage(MergeMessageType.Record, asked.Run, MergeRange.Root) { Record = record });
            }
            else
            {
                gone.Add(tag);
            }
        }

        if (gone.Count > 0)
        {
            Send(to, new MergeMessage(MergeMessageType.Gone, asked.Run, MergeRange.Root) { Tags = gone.ToImmutable() });
        }
    }

    private bool Take(NodeId from, MergeMessage message, Instant now)
    {
        if (!Submission.TryRead(message.Record.Span, out Submission submission))
        {
            return false;
        }

        if (_peers.TryGetValue(from, out Run? run))
        {
            run.Fetching.Remove(submission.Tag);
            run.Due = run.IsActive ? now + _options.Stall : run.Due;
        }

        bool isTombstone = submission.Operations.All(o => o.Kind == OperationKind.Delete);
        if (_index.Outcome(submission.Tag) == TagOutcome.Unknown && !(isTombstone && SeededBug.Is("merge-skips-tombstones")))
        {
            Learned++;
            _host.Learned(submission);
        }

        if (run is not null)
        {
            Pump(from, run, now);
        }

        return true;
    }

    /// <summary>Keeps the windows full; a run ends when nothing is asked, fetched or waiting.</summary>
    private void Pump(NodeId peer, Run run, Instant now)
    {
        while (run.Compared.Count < _options.Window && run.ToCompare.TryDequeue(out MergeRange range))
        {
            run.Compared.Add(range);
            Send(peer, new MergeMessage(MergeMessageType.Compare, run.Number, range) { Digest = _index.DigestOf(range) });
        }

        if (run.Fetching.Count <= _options.FetchWindow / 2 && run.ToFetch.Count > 0)
        {
            var tags = ImmutableArray.CreateBuilder<Tag>();
            while (run.Fetching.Count < _options.FetchWindow && tags.Count < MergeMessage.MaxItems && run.ToFetch.TryDequeue(out Tag tag))
            {
                if (run.Fetching.Add(tag))
                {
                    tags.Add(tag);
                }
            }

            Send(peer, new MergeMessage(MergeMessageType.Fetch, run.Number, MergeRange.Root) { Tags = tags.ToImmutable() });
        }

        if (run.IsActive && run.Compared.Count == 0 && run.ToCompare.Count == 0 && run.Fetching.Count == 0 && run.ToFetch.Count == 0)
        {
            run.IsActive = false;
            run.Due = now + (_options.Interval * (0.75 + (_random.Fraction() / 2)));
            _host.Merged(peer, run.Since);
        }
    }

    private void Send(NodeId to, MergeMessage message) => _host.Send(to, message.Encode());

    /// <summary>One comparison with one peer.</summary>
    private sealed class Run
    {
        public ulong Number { get; private set; }

        public bool IsActive { get; set; }

        /// <summary>When it began.</summary>
        public Instant Since { get; private set; }

        /// <summary>When the next run begins, or this one is given up and begun anew.</summary>
        public Instant Due { get; set; }

        public Queue<MergeRange> ToCompare { get; } = new();

        public HashSet<MergeRange> Compared { get; } = [];

        public Queue<Tag> ToFetch { get; } = new();

        public HashSet<Tag> Fetching { get; } = [];

        public void Reset(ulong number, Instant now, Instant due)
        {
            Number = number;
            IsActive = true;
            Since = now;
            Due = due;
            ToCompare.Clear();
            Compared.Clear();
            ToFetch.Clear();
            Fetching.Clear();
        }
    }
}
