using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Chunks;

namespace Carillon.Node.Requests;

/// <summary>The end of a chunk's put: no reason, or why it failed.</summary>
public readonly record struct ChunkPutOutcome(RejectionReason? Reason, string Detail);

/// <summary>Where a chunk is: on this disk, or fetched (the receiver releases it), or nowhere that can be reached.</summary>
public readonly record struct ChunkFound(ChunkLocation? Location, ChunkBuffer? Fetched);
