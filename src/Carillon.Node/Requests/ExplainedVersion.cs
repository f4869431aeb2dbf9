using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Node.Requests;

/// <summary>What a server said of a chunk when it was asked for <c>explain</c>.</summary>
public enum CopyState
{
    /// <summary>It is on its disk.</summary>
    Held,

    /// <summary>It is not.</summary>
    Absent,

    /// <summary>There is no connection to it.</summary>
    NotReachable,

    /// <summary>It was asked, and did not answer in time.</summary>
    Silent,
}

/// <summary>One chunk of a version, for <c>explain</c>.</summary>
/// <param name="Chunk">The chunk.</param>
/// <param name="Designated">The servers that should hold it, by the placement.</param>
/// <param name="Copies">What was found out about these, and about any other server that holds it, in order of their names.</param>
public sealed record ExplainedChunk(
    ChunkId Chunk, ImmutableArray<NodeId> Designated, ImmutableArray<(NodeId Server, CopyState State)> Copies);

/// <summary>One version or open submission of a name, for <c>explain</c>.</summary>
public sealed record ExplainedVersion(
    Uid Uid, Tag Tag, OperationKind Kind, string State, uint Round, ImmutableArray<(NodeId Server, bool Bit)> Vector,
    ImmutableArray<ExplainedChunk> Chunks);
