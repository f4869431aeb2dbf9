using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Carillon.Node.Requests;

/// <summary>A client's submission as the gateway hands it to the node.</summary>
/// <param name="Operations">What to do, each name once.</param>
/// <param name="Key">The idempotency key.</param>
/// <param name="Upload">The tag under which the operations' chunks were stored (see <c>BeginUpload</c>), or none where all is
/// inline.</param>
/// <param name="Fence">The epoch of the primary whose effect it is, or none.</param>
public sealed record SubmitRequest(ImmutableArray<Operation> Operations, string Key, Tag Upload, Fence Fence = default);
