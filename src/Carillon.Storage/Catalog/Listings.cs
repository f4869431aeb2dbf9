using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>What to list: one page, one snapshot, in order of the names' bytes.</summary>
/// <param name="Bucket">The bucket.</param>
/// <param name="Prefix">Names that start with this; empty for all.</param>
/// <param name="Delimiter">Names that go on behind the prefix up to this and further are folded into one prefix; empty for none.</param>
/// <param name="After">Names behind this one; empty from the start.</param>
/// <param name="Limit">Entries and prefixes of a page, 1 to 10,000.</param>
/// <param name="Versions">True: all kept versions and tombstones, the newest of a name first; a page never ends within a name.</param>
public sealed record ListQuery(
    string Bucket, string Prefix = "", string Delimiter = "", string After = "", int Limit = 1000, bool Versions = false);

/// <summary>One kept version with all that is known of it.</summary>
/// <param name="Target">Bucket and name.</param>
/// <param name="Uid">Its UID.</param>
/// <param name="Tag">The submission that made it.</param>
/// <param name="Kind">A put, or a delete (a tombstone).</param>
/// <param name="Manifest">What it holds; null for a tombstone.</param>
public sealed record VersionEntry(ObjectName Target, Uid Uid, Tag Tag, OperationKind Kind, ObjectManifest? Manifest)
{
    /// <summary>Its submission's number in the feed; none before the feed.</summary>
    public SequenceNumber Number { get; init; }
}

/// <summary>One kept version as a listing shows it, without its manifest: a page of those could hold megabytes of inline content.</summary>
/// <param name="Target">Bucket and name.</param>
/// <param name="Uid">Its UID; its stamp's milliseconds are the time of change.</param>
/// <param name="Tag">The submission that made it.</param>
/// <param name="Kind">A put, or a delete (a tombstone).</param>
/// <param name="Size">Content in bytes; 0 for a tombstone.</param>
/// <param name="Sha256">SHA-256 of the content; zeros for a tombstone.</param>
/// <param name="IsCurrent">True for the name's greatest UID.</param>
/// <param name="ContentType">Media type, or empty.</param>
/// <param name="Metadata">In order of the keys: what a client needs to restore a folder without asking about each file.</param>
public sealed record ListedVersion(
    ObjectName Target, Uid Uid, Tag Tag, OperationKind Kind, long Size, Digest Sha256, bool IsCurrent, string ContentType,
    ImmutableArray<KeyValuePair<string, string>> Metadata)
{
    /// <summary>Its submission's number in the feed; none before the feed.</summary>
    public SequenceNumber Number { get; init; }
}

/// <summary>A page of a listing. It may be short, or even empty, and still have a next one: a page looks at a bounded number of
/// rows.</summary>
/// <param name="Objects">Current versions (or all, if asked for); without tombstones unless versions were asked for.</param>
/// <param name="Prefixes">Folded prefixes.</param>
/// <param name="Next">Pass as <c>After</c> for the next page; empty on the last.</param>
public sealed record ListPage(ImmutableArray<ListedVersion> Objects, ImmutableArray<string> Prefixes, string Next)
{
    /// <summary>The feed's number that the page is the state of: exactly what is applied up to it; none before the feed.</summary>
    public SequenceNumber Number { get; init; }
}
