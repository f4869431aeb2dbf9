using System.Collections.Immutable;

namespace Carillon.Client.Feeds;

/// <summary>What one write did to one name.</summary>
public sealed record FeedChange
{
    public string Bucket { get => field ?? ""; init; } = "";

    public string Name { get => field ?? ""; init; } = "";

    /// <summary><c>put</c> or <c>delete</c>.</summary>
    public string Kind { get => field ?? ""; init; } = "";

    /// <summary>Content in bytes; 0 for a delete.</summary>
    public long Size { get; init; }

    /// <summary>SHA-256 of the content, hexadecimal; null for a delete.</summary>
    public string? Sha256 { get; init; }

    /// <summary>The entry's number, as each line tells it.</summary>
    internal ulong Sequence { get; init; }

    internal string Uid { get; init; } = "";

    internal bool Superseded { get; init; }
}

/// <summary>One number of the feed: a put, a delete, or a changeset, whose changes became visible together.</summary>
/// <param name="Sequence">Its number, the same at every server, for good.</param>
/// <param name="Uid">The UID of its versions.</param>
/// <param name="IsSuperseded">True if its name had a greater UID by then: it is an older version, and nothing that is current
/// changed.</param>
/// <param name="Changes">What was asked for and wanted of it; never empty.</param>
public sealed record FeedEntry(ulong Sequence, string Uid, bool IsSuperseded, ImmutableArray<FeedChange> Changes);
