using System.Collections.Immutable;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.IndexMerge;

/// <summary>
/// Index merge (seed 000 names it; VE-65, VE-75): on connecting, and every minute, peers compare digests over (tag, outcome) of all that
/// they keep, range by range down to lists of tags, and fetch what differs by tag, so that a changeset arrives whole. So every server
/// converges to the same listing, however long it was away. docs/protocols/index-merge.md has the messages.
/// </summary>
/// <remarks>
/// A server asks for what a peer has and it lacks; the peer answers from its index as it stands and remembers nothing. The other direction
/// is the peer's own run. Every message may be lost, doubled or late: what was not answered is asked again. What a run holds is bounded:
/// ranges are taken depth first, and none is asked about while many tags wait to be fetched.
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

        // Numbers of an earlier life of this server may still be on their way.
        _lastRun = random.Next() >> 1;
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

    /// <summary>Compares with a connected peer at once, or once more after the run that is going on: it has something new.</summary>
    public void Hurry(NodeId peer, Instant now)
    {
        if (_peers.TryGetValue(peer, out Run? run))
        {
            run.IsWantedAgain = run.IsActive;
            run.Due = run.IsActive ? run.Due : Instant.Min(run.Due, now);
        }
    }

    /// <summary>Time went on.</summary>
    public void Advance(Instant now)
    {
        foreach ((NodeId peer, Run run) in _peers)
        {
            if (run.Due > now)
            {
                continue;
            }

            if (run.IsActive)
            {
                AskAgain(peer, run, now);
            }
            else
            {
                run.Begin(++_lastRun, now);
                run.Patience = _options.Stall;
                run.Due = now + run.Patience;
                Pump(peer, run, now);
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
                if (!Submission.TryRead(message.Record.Span, out Submission submission))
                {
                    return false;
                }

                Take(submission);
                Progress(from, message, submission.Tag, now);
                return true;
            default:
                Progress(from, message, default, now);
                return true;
        }
    }

    /// <summary>The asked side: equal, the parts, or the items.</summary>
    private void Answer(NodeId to, MergeMessage asked)
    {
        MergeDigest own = _index.DigestOf(asked.Range);
        if (own == asked.Digest)
        {
            Send(to, new MergeMessage(MergeMessageType.Same, asked.Run, asked.Range));
        }
        else if (asked.Range.IsLeaf || !asked.After.IsNone
            || (own.Count <= (ulong)_options.ListedItems && !Buggify.Here("merge-in-parts", 0.5)))
        {
            ImmutableArray<MergeItem> items = _index.ItemsIn(asked.Range, asked.After, MergeMessage.MaxItems);
            bool more = items.Length == MergeMessage.MaxItems;
            Send(to, new MergeMessage(MergeMessageType.Items, asked.Run, asked.Range) { After = asked.After, More = more, Items = items });
        }
        else
        {
            Send(to, new MergeMessage(MergeMessageType.Parts, asked.Run, asked.Range) { Parts = _index.PartsOf(asked.Range) });
        }
    }

    /// <summary>The asked side: records up to a number of bytes, then which tags are left for later, and which are not kept (any
    /// more).</summary>
    private void SendRecords(NodeId to, MergeMessage asked)
    {
        var gone = ImmutableArray.CreateBuilder<Tag>();
        var later = ImmutableArray.CreateBuilder<Tag>();
        int room = Buggify.Here("merge-sends-one-record", 0.5) ? 0 : _options.AnswerBytes;
        bool any = false;
        foreach (Tag tag in asked.Tags)
        {
            if (any && room <= 0)
            {
                later.Add(tag);
            }
            else if (_index.Submission(tag) is not { } record)
            {
                gone.Add(tag);
            }
            else
            {
                any = true;
                room -= record.Length;
                Send(to, new MergeMessage(MergeMessageType.Record, asked.Run, MergeRange.Root) { Record = record });
            }
        }

        if (gone.Count > 0)
        {
            Send(to, new MergeMessage(MergeMessageType.Gone, asked.Run, MergeRange.Root) { Tags = gone.ToImmutable() });
        }

        if (later.Count > 0)
        {
            Send(to, new MergeMessage(MergeMessageType.Later, asked.Run, MergeRange.Root) { Tags = later.ToImmutable() });
        }
    }

    private void Take(Submission submission)
    {
        bool isTombstone = submission.Operations.All(o => o.Kind == OperationKind.Delete);
        if (!IsKnown(submission.Tag) && !(isTombstone && SeededBug.Is("merge-skips-tombstones")))
        {
            Sometimes.Reached("merge-brings-a-record");
            Learned++;
            _host.Learned(submission);
        }
    }

    /// <summary>An answer to a question of the run that goes on is taken up once; any other is none of ours any more.</summary>
    private void Progress(NodeId from, MergeMessage answer, Tag record, Instant now)
    {
        if (!_peers.TryGetValue(from, out Run? run) || !run.IsActive || run.Number != answer.Run || !IsExpected(run, answer, record))
        {
            return;
        }

        run.Patience = _options.Stall;
        run.Due = now + run.Patience;
        switch (answer.Type)
        {
            case MergeMessageType.Parts:
                Sometimes.Reached("merge-compares-parts");
                CompareParts(run, answer);
                break;
            case MergeMessageType.Items:
                Consider(run, answer);
                break;
            case MergeMessageType.Later:
                Sometimes.Reached("merge-leaves-some-for-later");
                foreach (Tag tag in answer.Tags)
                {
                    if (run.Fetching.Remove(tag))
                    {
                        run.ToFetch.Enqueue(tag);
                    }
                }

                break;
            case MergeMessageType.Gone:
                foreach (Tag tag in answer.Tags)
                {
                    run.Fetching.Remove(tag);
                }

                break;
        }

        Pump(from, run, now);
    }

    private static bool IsExpected(Run run, MergeMessage answer, Tag record)
    {
        switch (answer.Type)
        {
            case MergeMessageType.Record:
                return run.Fetching.Remove(record);
            case MergeMessageType.Gone or MergeMessageType.Later:
                return true;
            default:
                // A page of items that is not the one asked for would leave a gap behind it.
                return run.Compared.TryGetValue(answer.Range, out Tag after)
                    && (answer.Type != MergeMessageType.Items || answer.After == after)
                    && run.Compared.Remove(answer.Range);
        }
    }

    private void CompareParts(Run run, MergeMessage answer)
    {
        var own = new Dictionary<MergeRange, MergeDigest>();
        foreach ((MergeRange range, MergeDigest digest) in _index.PartsOf(answer.Range))
        {
            own.Add(range, digest);
        }

        // What only this server has is the peer's to ask for.
        foreach ((MergeRange range, MergeDigest theirs) in answer.Parts)
        {
            if (!own.TryGetValue(range, out MergeDigest digest) || digest != theirs)
            {
                run.ToCompare.Push((range, default));
            }
        }
    }

    /// <summary>What a peer has and this server lacks is fetched; rejections are taken as they are.</summary>
    private void Consider(Run run, MergeMessage page)
    {
        foreach (MergeItem item in page.Items)
        {
            if (IsKnown(item.Tag))
            {
                continue;
            }

            if (item.Outcome == TagOutcome.Rejected)
            {
                Sometimes.Reached("merge-brings-a-no");
                _host.LearnedRejected(item);
            }
            else
            {
                run.ToFetch.Enqueue(item.Tag);
            }
        }

        if (page.More && page.Items.Length > 0)
        {
            run.ToCompare.Push((page.Range, page.Items[^1].Tag));
        }
    }

    /// <summary>
    /// Asks once more what was not answered. Whoever did not answer in time may be slow and not away, so it is given more time than
    /// before, lest the same is sent again and again.
    /// </summary>
    private void AskAgain(NodeId peer, Run run, Instant now)
    {
        if (run.Compared.Count + run.Fetching.Count == 0)
        {
            // Nothing was asked, because this server was busy.
            run.Due = now + run.Patience;
            Pump(peer, run, now);
            return;
        }

        TimeSpan longer = run.Patience * 2;
        run.Patience = longer < _options.Interval ? longer : _options.Interval;
        run.Due = now + run.Patience;
        foreach ((MergeRange range, Tag after) in run.Compared)
        {
            SendCompare(peer, run, range, after);
        }

        if (run.Fetching.Count > 0)
        {
            SendFetch(peer, run, [.. run.Fetching]);
        }
    }

    /// <summary>Keeps the windows full; a run ends when nothing is asked, fetched or waiting.</summary>
    private void Pump(NodeId peer, Run run, Instant now)
    {
        if (_host.IsBusy && run.ToCompare.Count + run.ToFetch.Count > 0)
        {
            run.Due = Instant.Min(run.Due, now + _options.BusyDelay);
            return;
        }

        // In this order: after it, tags wait to be fetched only while others are being fetched, so some answer is always to come.
        if (run.Fetching.Count <= _options.FetchWindow / 2)
        {
            Fetch(peer, run);
        }

        while (run.Compared.Count < _options.Window && run.ToFetch.Count < MergeMessage.MaxItems
            && run.ToCompare.TryPop(out (MergeRange Range, Tag After) next))
        {
            run.Compared[next.Range] = next.After;
            SendCompare(peer, run, next.Range, next.After);
        }

        if (run.Compared.Count + run.ToCompare.Count + run.Fetching.Count + run.ToFetch.Count == 0)
        {
            run.IsActive = false;
            bool atOnce = run.IsWantedAgain || Buggify.Here("merge-hurried", 0.2);
            run.Due = atOnce ? now : now + (_options.Interval * (0.75 + (_random.Fraction() / 2)));
            _host.Merged(peer, run.Since);
        }
    }

    private void Fetch(NodeId peer, Run run)
    {
        var tags = ImmutableArray.CreateBuilder<Tag>();
        while (run.Fetching.Count < _options.FetchWindow && run.ToFetch.TryDequeue(out Tag tag))
        {
            // It may have come from another peer meanwhile.
            if (!IsKnown(tag) && run.Fetching.Add(tag))
            {
                tags.Add(tag);
            }
        }

        if (tags.Count > 0)
        {
            SendFetch(peer, run, tags.ToImmutable());
        }
    }

    private bool IsKnown(Tag tag) => _index.Outcome(tag) != TagOutcome.Unknown || _host.IsOnItsWay(tag);

    private void SendCompare(NodeId peer, Run run, MergeRange range, Tag after) =>
        Send(peer, new MergeMessage(MergeMessageType.Compare, run.Number, range) { Digest = _index.DigestOf(range), After = after });

    private void SendFetch(NodeId peer, Run run, ImmutableArray<Tag> tags) =>
        Send(peer, new MergeMessage(MergeMessageType.Fetch, run.Number, MergeRange.Root) { Tags = tags });

    private void Send(NodeId to, MergeMessage message) => _host.Send(to, message.Encode());

    /// <summary>One comparison with one peer.</summary>
    private sealed class Run
    {
        public ulong Number { get; private set; }

        public bool IsActive { get; set; }

        /// <summary>True if something new was announced since it began.</summary>
        public bool IsWantedAgain { get; set; }

        /// <summary>When it began.</summary>
        public Instant Since { get; private set; }

        /// <summary>When the next run begins, or what was not answered is asked again.</summary>
        public Instant Due { get; set; }

        /// <summary>How long it waits for progress.</summary>
        public TimeSpan Patience { get; set; }

        /// <summary>Ranges not asked about yet, each from a tag on.</summary>
        public Stack<(MergeRange Range, Tag After)> ToCompare { get; } = new();

        /// <summary>Ranges asked about, each from a tag on.</summary>
        public SortedDictionary<MergeRange, Tag> Compared { get; } = [];

        public Queue<Tag> ToFetch { get; } = new();

        public SortedSet<Tag> Fetching { get; } = [];

        public void Begin(ulong number, Instant now)
        {
            Number = number;
            IsActive = true;
            IsWantedAgain = false;
            Since = now;
            ToCompare.Push((MergeRange.Root, default));
        }
    }
}
