using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Node.Requests;

/// <summary>A client's submission as the gateway hands it to the node.</summary>
/// <param name="Operations">What to do, each name once.</param>
/// <param name="Key">The idempotency key.</param>
/// <param name="Upload">The tag under which the operations' chunks were stored (see <c>BeginUpload</c>), or none where all is inline.</param>
public sealed record SubmitRequest(ImmutableArray<Operation> Operations, string Key, Tag Upload);

/// <summary>A read's answer.</summary>
public abstract record ReadOutcome
{
    private ReadOutcome()
    {
    }

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
public sealed record SubmissionReport(Tag Id, SubmissionState State, ImmutableArray<(NodeId Server, bool Bit)> Vector);

/// <summary>One version or open submission of a name, for <c>explain</c>.</summary>
public sealed record ExplainedVersion(
    Uid Uid, Tag Tag, OperationKind Kind, string State, uint Round, ImmutableArray<(NodeId Server, bool Bit)> Vector,
    ImmutableArray<(ChunkId Chunk, ImmutableArray<NodeId> Holders)> Chunks);
