using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Feeds;

/// <summary>The end of the feed as it was read once for all who are near it. Never changed: a longer one takes its place.</summary>
/// <param name="From">The first number that it covers.</param>
/// <param name="Next">The first number behind it.</param>
/// <param name="Items">What stands in between, in order.</param>
internal sealed record FeedTail(SequenceNumber From, SequenceNumber Next, ReadOnlyMemory<FeedItem> Items)
{
    /// <summary>Entries that are kept for those who are a little behind: a few hundred bytes each.</summary>
    public const int MaxItems = 1024;

    /// <summary>Covers nothing yet, and goes on from a number.</summary>
    public static FeedTail At(SequenceNumber next) => new(next, next, default);

    /// <summary>What stands in it from a number on, which it covers.</summary>
    public ReadOnlyMemory<FeedItem> Since(SequenceNumber number)
    {
        ReadOnlySpan<FeedItem> items = Items.Span;
        int low = 0;
        int high = items.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            (low, high) = items[middle].Number < number ? (middle + 1, high) : (low, middle);
        }

        return Items[low..];
    }

    /// <summary>This one, and behind it a page of the whole feed that begins where it ends; the oldest entries give way.</summary>
    public FeedTail With(FeedPage page)
    {
        if (page.Items.Length == 0)
        {
            return this with { Next = page.Next };
        }

        int added = Math.Min(page.Items.Length, MaxItems);
        int kept = Math.Min(Items.Length, MaxItems - added);
        var items = new FeedItem[kept + added];
        Items.Span[^kept..].CopyTo(items);
        page.Items.AsSpan()[^added..].CopyTo(items.AsSpan(kept));
        bool isWhole = kept == Items.Length && added == page.Items.Length;
        return new FeedTail(isWhole ? From : items[0].Number, page.Next, items);
    }
}
