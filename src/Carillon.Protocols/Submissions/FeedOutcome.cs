using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Protocols.Submissions;

/// <summary>What the feed made of a number, which is the same at every server: it follows from the sequence alone.</summary>
public enum FeedVerdict : byte
{
    /// <summary>Nothing: the number was filled, or held what stands at a lower number already; of a tag, that it has no number
    /// yet.</summary>
    None = 0,

    /// <summary>Applied; its versions are the current ones.</summary>
    Applied = 1,

    /// <summary>A plain put or delete whose name has a greater UID by now: recorded as an older version. No conflict, for the
    /// client.</summary>
    Superseded = 2,

    /// <summary>
    /// Not applied: a changeset or a conditional submission, one of whose names has a greater UID by now. Its accepting server stamps it
    /// afresh; the key stays free for that.
    /// </summary>
    Stale = 3,

    /// <summary>Not applied: a precondition was not met. The key has this outcome for good.</summary>
    Refused = 4,

    /// <summary>Not applied: another tag of its key stands at a lower number, and that one's outcome is this one's.</summary>
    Repeated = 5,
}

/// <summary>A number of the feed, or a tag's place in it, with what became of it there.</summary>
/// <param name="Number">The number; none where the feed has not brought the tag.</param>
/// <param name="Verdict">What was made of it.</param>
public readonly record struct FeedOutcome(SequenceNumber Number, FeedVerdict Verdict)
{
    /// <summary>Repeated: the first tag of the key.</summary>
    public Tag First { get; init; }

    /// <summary>Stale, refused: the name that stood against it.</summary>
    public ObjectName Target { get; init; }

    /// <summary>Stale, refused: the greatest UID of that name, a put's or a tombstone's, or none.</summary>
    public Uid Winner { get; init; }

    /// <summary>True if <see cref="Winner"/> is a version with content; else the name is absent.</summary>
    public bool IsWinnerLive { get; init; }

    /// <summary>Stale: its idempotency key, which a fresh tag may have.</summary>
    public string? Key { get; init; }

    /// <summary>True if its operations are in the catalog, as current versions or as older ones.</summary>
    public bool IsInEffect => Verdict is FeedVerdict.Applied or FeedVerdict.Superseded;
}
