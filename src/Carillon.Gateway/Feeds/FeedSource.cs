using Carillon.Gateway.Streams;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Feeds;

/// <summary>What one who watches reads: pages of the catalog while it is far behind, the tail that all share near the end, nothing while
/// nothing comes that it wants.</summary>
internal sealed class FeedSource : IStreamSource<FeedItem>
{
    private const int PageItems = 1000;

    private readonly FeedHub _hub;

    public FeedSource(FeedHub hub, FeedFilter filter, SequenceNumber start)
    {
        _hub = hub;
        Filter = filter;
        Next = start;
        hub.Enter();
    }

    /// <summary>What it wants.</summary>
    public FeedFilter Filter { get; }

    /// <summary>The first number that it has not seen. While it rests the hub's, under its lock.</summary>
    public SequenceNumber Next { get; set; }

    /// <summary>Whom to wake while it rests; the hub's, under its lock.</summary>
    public OpenStream? Resting { get; set; }

    /// <summary>Its place among those that rest; the hub's, under its lock.</summary>
    public int Place { get; set; }

    /// <inheritdoc/>
    public SequenceNumber Position => new(Next.Value - 1);

    /// <inheritdoc/>
    public StreamRead Read(OpenStream stream, out ReadOnlyMemory<FeedItem> run)
    {
        run = default;
        _hub.Rise(this);
        FeedTail tail = _hub.Tail;
        if (Next >= tail.Next)
        {
            return _hub.Rest(this, stream) ? StreamRead.NothingNow : StreamRead.Entries;
        }

        if (Next >= tail.From)
        {
            run = Wanted(tail.Since(Next));
            Next = tail.Next;
            return StreamRead.Entries;
        }

        FeedPage page = _hub.Read(new FeedQuery(Next, Filter.Bucket, Filter.Prefix, PageItems));
        if (page.IsTooOld)
        {
            throw new FeedTooOldException(page.Oldest);
        }

        run = Wanted(page.Items.AsMemory());
        Next = page.Next;
        return StreamRead.Entries;
    }

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _hub.Leave(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>The entries that the filter lets through; the same memory where all of them are.</summary>
    private ReadOnlyMemory<FeedItem> Wanted(ReadOnlyMemory<FeedItem> items)
    {
        ReadOnlySpan<FeedItem> span = items.Span;
        FeedItem[]? some = null;
        int count = 0;
        for (int i = 0; i < span.Length; i++)
        {
            FeedItem? wanted = Filter.Of(span[i]);
            if (some is null && !ReferenceEquals(wanted, span[i]))
            {
                some = new FeedItem[span.Length];
                span[..i].CopyTo(some);
                count = i;
            }

            if (some is not null && wanted is not null)
            {
                some[count++] = wanted;
            }
        }

        return some is null ? items : some.AsMemory(0, count);
    }
}
