using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Gateway.Problems;

/// <summary>One failure as it is told (RFC 9457).</summary>
/// <param name="Type">Its kind.</param>
/// <param name="Detail">What is particular to this occurrence: what failed, why, and what to do where that can be said.</param>
internal sealed record Problem(ProblemType Type, string Detail)
{
    /// <summary>The submission to ask about.</summary>
    public string? Submission { get; init; }

    /// <summary>The UID of the version that a precondition met instead.</summary>
    public string? Winner { get; init; }

    /// <summary>The feed's number at which a precondition was judged, or of the tombstone; none where there is none.</summary>
    public SequenceNumber Sequence { get; init; }

    /// <summary>The UID of the tombstone, where a name was deleted.</summary>
    public string? Tombstone { get; init; }

    /// <summary>The message's id, under which it may be sent again.</summary>
    public string? MessageId { get; init; }

    /// <summary>What was known of the group when the message was sent first: goes with it when it is sent again.</summary>
    public ulong? Timestamp { get; init; }

    /// <summary>The first number of a group or the feed that is still kept.</summary>
    public ulong? First { get; init; }

    /// <summary>The feed's number behind which one who is too late can go on, with a listing.</summary>
    public ulong? Checkpoint { get; init; }
}
