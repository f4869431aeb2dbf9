using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Carillon.Node.Requests;

/// <summary>At what a client wants its write to be answered.</summary>
public enum AckWanted : byte
{
    /// <summary>Its number in the feed, applied at the server that answers: who lists or watches there sees it. Where none comes in time it
    /// is answered as agreed, without a number.</summary>
    Sequenced = 0,

    /// <summary>As soon as it is agreed; what the feed decides, a changeset or a write with preconditions, is answered with its number all
    /// the same, and so is all in a bucket that does not allow this (<c>ackAgreed</c>).</summary>
    Agreed = 1,
}

/// <summary>A client's submission as the gateway hands it to the node.</summary>
/// <param name="Operations">What to do, each name once, with its precondition.</param>
/// <param name="Key">The idempotency key.</param>
/// <param name="Upload">The tag under which the operations' chunks were stored (see <c>BeginUpload</c>), or none where all is
/// inline.</param>
/// <param name="Fence">The epoch of the primary whose effect it is, or none.</param>
public sealed record SubmitRequest(ImmutableArray<Operation> Operations, string Key, Tag Upload, Fence Fence = default)
{
    /// <summary>At what it is answered.</summary>
    public AckWanted Ack { get; init; }
}
