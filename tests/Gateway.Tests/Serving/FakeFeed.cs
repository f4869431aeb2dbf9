using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Feeds;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Tests.Serving;

/// <summary>A feed in memory; gates of several gateways may share it, as servers share a cluster's.</summary>
internal sealed class FakeFeed : IFeedGate
{
    private readonly Lock _lock = new();
    private readonly List<FeedItem> _items = [];
    private readonly List<Action> _listeners = [];
    private ulong _oldest = 1;
    private ulong _applied;
    private int _reads;

    /// <inheritdoc/>
    public SequenceNumber Applied => new(Volatile.Read(ref _applied));

    /// <summary>How often a page was read.</summary>
    public int Reads => Volatile.Read(ref _reads);

    /// <summary>Is thrown by the next readings.</summary>
    public Exception? Fault { get; set; }

    /// <summary>How many of the next readings fail.</summary>
    public int Faults { get; set; }

    /// <inheritdoc/>
    public Action? Changed { get; set; }

    /// <summary>A number with these operations, each "BUCKET/NAME", a deletion with a minus in front; none: a number without
    /// effect.</summary>
    public SequenceNumber Add(params string[] operations) => Add(FeedVerdict.Applied, operations);

    public SequenceNumber Add(FeedVerdict verdict, params string[] operations)
    {
        ulong number = Applied.Value + 1;
        var tag = new Tag(new Uid(new Timestamp((1_700_000_000_000UL << 16) + number), NodeId.Parse("s1")), number);
        return Add(tag, verdict, [.. operations.Select(Operation)]);
    }

    /// <summary>A submission's number.</summary>
    public SequenceNumber Add(Tag tag, FeedVerdict verdict, ImmutableArray<Operation> operations) => Add(
        tag, verdict,
        [.. operations.Select(o => new FeedOperation(o.Kind, o.Target, o.Manifest?.Size ?? 0, o.Manifest?.Sha256 ?? default))]);

    private SequenceNumber Add(Tag tag, FeedVerdict verdict, ImmutableArray<FeedOperation> operations)
    {
        SequenceNumber number;
        lock (_lock)
        {
            number = new SequenceNumber(_applied + 1);
            if (operations.Length > 0)
            {
                _items.Add(new FeedItem(number, tag, verdict, operations));
            }

            Volatile.Write(ref _applied, number.Value);
        }

        Changed?.Invoke();
        foreach (Action listener in _listeners)
        {
            listener();
        }

        return number;
    }

    /// <summary>Numbers before this one are forgotten.</summary>
    public void Trim(ulong oldest)
    {
        lock (_lock)
        {
            _oldest = oldest;
            _items.RemoveAll(item => item.Number.Value < oldest);
        }
    }

    /// <summary>Goes on from a checkpoint: what lies in between was never applied one by one.</summary>
    public void Jump(ulong applied)
    {
        Trim(applied + 1);
        Volatile.Write(ref _applied, applied);
        Changed?.Invoke();
    }

    /// <summary>The same feed at another server.</summary>
    public IFeedGate Another()
    {
        var other = new Shared(this);
        _listeners.Add(() => other.Changed?.Invoke());
        return other;
    }

    /// <inheritdoc/>
    public FeedPage Read(FeedQuery query)
    {
        Interlocked.Increment(ref _reads);
        if (Fault is { } fault)
        {
            throw fault;
        }

        if (Faults > 0)
        {
            Faults--;
            throw new InvalidOperationException("one page is broken");
        }

        lock (_lock)
        {
            var applied = new SequenceNumber(_applied);
            var oldest = new SequenceNumber(_oldest);
            SequenceNumber from = SequenceNumber.Max(query.From, new SequenceNumber(1));
            if (from < oldest)
            {
                return new FeedPage([], oldest, applied, oldest) { IsTooOld = true };
            }

            FeedItem[] wanted = [.. _items.Where(item => item.Number >= from).Select(item => Filter(item, query)).OfType<FeedItem>()];
            return wanted.Length > query.Limit
                ? new FeedPage([.. wanted.Take(query.Limit)], wanted[query.Limit].Number, applied, oldest)
                : new FeedPage([.. wanted], SequenceNumber.Max(from, applied.Next), applied, oldest);
        }
    }

    private static FeedItem? Filter(FeedItem item, FeedQuery query)
    {
        ImmutableArray<FeedOperation> operations =
        [
            .. item.Operations.Where(o => (query.Bucket.Length == 0 || o.Target.Bucket == query.Bucket)
                && o.Target.Name.StartsWith(query.Prefix, StringComparison.Ordinal)),
        ];
        return operations.Length == 0 ? null : item with { Operations = operations };
    }

    private static FeedOperation Operation(string text)
    {
        bool isDelete = text.StartsWith('-');
        string[] parts = (isDelete ? text[1..] : text).Split('/', 2);
        return new FeedOperation(
            isDelete ? OperationKind.Delete : OperationKind.Put, new ObjectName(parts[0], parts[1]), isDelete ? 0 : text.Length,
            isDelete ? default : Digest.Of(System.Text.Encoding.UTF8.GetBytes(text)));
    }

    private sealed class Shared(FakeFeed feed) : IFeedGate
    {
        public SequenceNumber Applied => feed.Applied;

        public Action? Changed { get; set; }

        public FeedPage Read(FeedQuery query) => feed.Read(query);
    }
}
