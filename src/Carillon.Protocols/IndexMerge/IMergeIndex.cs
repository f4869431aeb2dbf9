using System.Collections.Immutable;

namespace Carillon.Protocols.IndexMerge;

/// <summary>What a server's catalog knows of a tag.</summary>
public enum TagOutcome : byte
{
    /// <summary>Nothing: never heard of, or its outcome is no longer kept.</summary>
    Unknown = 0,

    /// <summary>Agreed and applied; its versions may have been trimmed since.</summary>
    Accepted = 1,

    /// <summary>Decided *no*, or aborted by its accepting server.</summary>
    Rejected = 2,
}

/// <summary>One item that peers compare.</summary>
/// <param name="Tag">The tag.</param>
/// <param name="Outcome">Accepted, for a tag of which a version is kept; or rejected.</param>
/// <param name="Key">The idempotency key of a rejected tag, since its record is not fetched; empty for an accepted one, or where it is not
/// known.</param>
/// <param name="Successor">
/// The fresh tag that took a rejected one's place, or none. It travels with the outcome: without it, whoever asks about the old tag would
/// be told *rejected* although its submission may be accepted.
/// </param>
public readonly record struct MergeItem(Tag Tag, TagOutcome Outcome, string Key, Tag Successor);

/// <summary>
/// What index merge asks of the catalog: the accepted tags of which a version or tombstone is kept, and the rejected tags that are
/// remembered. Each call reads a bounded number of rows.
/// </summary>
public interface IMergeIndex
{
    /// <summary>The digest of a range's items.</summary>
    MergeDigest DigestOf(MergeRange range);

    /// <summary>The parts of a range that have items, with their digests, in order; none for a leaf.</summary>
    ImmutableArray<(MergeRange Range, MergeDigest Digest)> PartsOf(MergeRange range);

    /// <summary>At most <paramref name="limit"/> items of a range above <paramref name="after"/> (default: from the first), in order of
    /// their tags.</summary>
    ImmutableArray<MergeItem> ItemsIn(MergeRange range, Tag after, int limit);

    /// <summary>What is known of a tag, trimmed ones included while they are remembered.</summary>
    TagOutcome Outcome(Tag tag);

    /// <summary>The record of an accepted tag of which a version is kept, or null.</summary>
    byte[]? Submission(Tag tag);
}
