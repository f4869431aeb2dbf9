using System.Collections.Immutable;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>A read's answer.</summary>
public abstract record ReadOutcome
{
    private ReadOutcome()
    {
    }

    /// <summary>The number of what was read, version or tombstone; none where it is only agreed yet, or nothing ever was there.</summary>
    public SequenceNumber Number { get; init; }

    /// <summary>A version with content.</summary>
    public sealed record Found(Uid Uid, Tag Tag, ObjectManifest Manifest) : ReadOutcome;

    /// <summary>No version, or a tombstone (then its UID).</summary>
    public sealed record Absent(Uid Tombstone) : ReadOutcome;

    /// <summary>It could not be decided within the deadline; never a guess.</summary>
    public sealed record Unavailable(string Why) : ReadOutcome;
}

/// <summary>What is known of a submission.</summary>
public enum SubmissionState
{
    /// <summary>Not decided yet.</summary>
    Pending,

    /// <summary>Accepted.</summary>
    Accepted,

    /// <summary>Never will be accepted.</summary>
    Rejected,

    /// <summary>Too old: its outcome is no longer kept.</summary>
    Forgotten,
}

/// <summary>The answer of <c>submission show</c>.</summary>
/// <param name="Id">The tag; of the accepted attempt where one was.</param>
/// <param name="State">Its outcome.</param>
/// <param name="Vector">Per entry server: whether its yes bit is known here.</param>
public sealed record SubmissionReport(Tag Id, SubmissionState State, ImmutableArray<(NodeId Server, bool Bit)> Vector)
{
    /// <summary>What the feed made of it, if that is known here. A refused one is rejected; an accepted one without a number is only agreed
    /// yet.</summary>
    public FeedOutcome Sequenced { get; init; }
}
