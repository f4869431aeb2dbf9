using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>How a catalog is kept.</summary>
public sealed record CatalogOptions
{
    /// <summary>
    /// How long an idempotency key, and a rejected tag, is remembered, and an accepted tag past the trimming of its last version
    /// (<c>idempotency.ttl</c>). Measured by the greatest stamp applied, in whole minutes, never by a clock. Too short, and a client's
    /// late retry is taken for a new submission; longer costs some hundred bytes a submission.
    /// </summary>
    public TimeSpan OutcomeTtl { get; init; } = TimeSpan.FromHours(24);

    /// <summary>The most idempotency keys remembered, the newest by UID (<c>idempotency.count</c>). Fewer than a day's submissions shorten
    /// the day.</summary>
    public int KeyCount { get; init; } = 1_000_000;

    /// <summary>
    /// The newest idempotency keys, by UID, that are remembered whatever their age (<c>idempotency.least</c>). Age is told by the stamps,
    /// so a clock that jumps ahead makes all keys old at once: too few, and a retry that is under way is taken for a new submission then.
    /// </summary>
    public int LeastKeys { get; init; } = 1000;

    /// <summary>The most rejected tags remembered, the newest by UID.</summary>
    public int RejectedCount { get; init; } = 100_000;

    /// <summary>The most accepted tags without a kept version that are remembered, the last trimmed ones.</summary>
    public int TrimmedCount { get; init; } = 1_000_000;

    /// <summary>
    /// Numbers of the feed that are kept for <c>watch</c>, the newest; the same at every server of a cluster, as are the other counts.
    /// Fewer, and a watcher that was away has to start from a listing sooner; more costs some 200 bytes a number.
    /// </summary>
    public int FeedCount { get; init; } = 200_000;

    /// <summary>Page cache of the writing connection, in bytes. Too small, and names in random order are read from disk for each
    /// put.</summary>
    public long WriterCacheBytes { get; init; } = 16 << 20;

    /// <summary>Page cache of each reading connection, in bytes.</summary>
    public long ReaderCacheBytes { get; init; } = 4 << 20;

    /// <summary>
    /// Size in bytes up to which a catalog's structure is checked whole when it is opened (about half a second per 256 MiB, from the
    /// disk's cache). Records are checked by their own checksums when they are read, whatever the size.
    /// </summary>
    public long CheckedBytes { get; init; } = 256 << 20;

    /// <summary>Faults of these values, in plain words; none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (OutcomeTtl < TimeSpan.FromMinutes(1))
        {
            yield return "idempotency.ttl is at least a minute";
        }

        if (LeastKeys < 0)
        {
            yield return "the number of keys that are remembered whatever their age is not negative";
        }

        if (KeyCount < 1 || RejectedCount < 1 || TrimmedCount < 1 || FeedCount < 1)
        {
            yield return "counts of remembered keys, outcomes and numbers are at least 1";
        }

        if (WriterCacheBytes < 1 << 20 || ReaderCacheBytes < 1 << 20)
        {
            yield return "a page cache is at least 1 MiB";
        }

        if (CheckedBytes < 0)
        {
            yield return "the size up to which a catalog is checked is not negative";
        }
    }
}

/// <summary>What one transaction of the catalog takes up. Before the feed the order within a batch, and of batches, plays no part in what
/// the catalog says then.</summary>
/// <param name="Position">The position of the segment log up to which everything decided is in the catalog with this batch; a lower one
/// than before is ignored.</param>
/// <param name="Accepted">Agreed submissions; those applied before are passed over.</param>
/// <param name="Rejected">Tags that never will be agreed; those known are passed over.</param>
public sealed record CatalogBatch(
    ulong Position, System.Collections.Immutable.ImmutableArray<Submission> Accepted,
        System.Collections.Immutable.ImmutableArray<RejectedTag> Rejected)
{
    /// <summary>
    /// Numbers of the feed, in order and without a gap, the first of which is at most one above the applied number; those that were applied
    /// before are passed over. A catalog takes either entries, or accepted submissions without a number (before there is a feed), never
    /// both.
    /// </summary>
    public System.Collections.Immutable.ImmutableArray<SequencedEntry> Entries { get; init; } = [];

    /// <summary>
    /// The state of the senders' sessions behind the last of <see cref="Entries"/>, or one before, in bytes that follow from the sequence
    /// alone; null to keep the one that is there. A checkpoint needs the last one's. Ignored if all entries were applied before.
    /// </summary>
    public ReadOnlyMemory<byte>? Sessions { get; init; }

    /// <summary>Numbers up to this are covered by a checkpoint, and need not be kept for servers that lag. It never goes back.</summary>
    public Protocols.AtomicMulticast.SequenceNumber CollectUpTo { get; init; }

    /// <summary>Bytes of its records.</summary>
    public int Bytes
    {
        get
        {
            int bytes = 0;
            foreach (Submission submission in Accepted)
            {
                bytes += submission.Encoded.Length;
            }

            foreach (SequencedEntry entry in Entries)
            {
                bytes += entry.Submission?.Encoded.Length ?? 0;
            }

            return bytes;
        }
    }
}

/// <summary>
/// A tag that never will be agreed, the idempotency key of its submission (empty where that is not known), and the fresh tag that took its
/// place, if one did. The successor is a help for those who ask, not part of what is compared between servers.
/// </summary>
public readonly record struct RejectedTag(Protocols.Tag Tag, string Key, Protocols.Tag Successor = default);
