using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>One number of the feed, as the catalog takes it up.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Submission">What stands there; null where it was filled, or where the sender's session has it at a lower number.</param>
/// <param name="Value">What was assigned to it, kept for servers that lag until it is collected.</param>
public readonly record struct SequencedEntry(SequenceNumber Number, Submission? Submission, Assignment Value = default);

/// <summary>What to read of the feed, in order of the numbers.</summary>
/// <param name="From">The first number that is wanted.</param>
/// <param name="Bucket">Only this bucket's names; empty for all.</param>
/// <param name="Prefix">Only names that start with this.</param>
/// <param name="Limit">Entries of a page, 1 to 10,000.</param>
public sealed record FeedQuery(SequenceNumber From, string Bucket = "", string Prefix = "", int Limit = 1000);

/// <summary>What an entry of the feed did to one name.</summary>
/// <param name="Kind">A put or a delete.</param>
/// <param name="Target">Bucket and name.</param>
/// <param name="Size">Content in bytes; 0 for a delete.</param>
/// <param name="Sha256">SHA-256 of the content; zeros for a delete.</param>
public readonly record struct FeedOperation(OperationKind Kind, ObjectName Target, long Size, Digest Sha256);

/// <summary>A submission that took effect, at its number.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Tag">Its tag; the UID is the versions' UID.</param>
/// <param name="Verdict">Applied, or superseded: then its names had greater UIDs already.</param>
/// <param name="Operations">What was asked for: all of a changeset's that the query lets through.</param>
public sealed record FeedItem(SequenceNumber Number, Tag Tag, FeedVerdict Verdict, ImmutableArray<FeedOperation> Operations);

/// <summary>A page of the feed. It may be short, or even empty, and not the last: a page looks at a bounded number of entries.</summary>
/// <param name="Items">What took effect and meets the query.</param>
/// <param name="Next">Where to go on: everything below, from the query's number on, is in this page or does not meet the query.</param>
/// <param name="Applied">The greatest number that is applied here; above it there is nothing to read yet.</param>
/// <param name="Oldest">The least number that is kept. A query from below it is too old: start from a listing at
/// <paramref name="Applied"/> or above, or from here with a gap.</param>
public sealed record FeedPage(ImmutableArray<FeedItem> Items, SequenceNumber Next, SequenceNumber Applied, SequenceNumber Oldest)
{
    /// <summary>True if the number that was asked for is no longer kept; then there are no items, and <see cref="Next"/> is
    /// <see cref="Oldest"/>.</summary>
    public bool IsTooOld { get; init; }
}
