namespace Carillon.Protocols.Replicast;

/// <summary>
/// What a server has on its disk, as the replication core sees it; the chunk store implements it. Only durable chunks count.
/// Used on the event loop only; nothing here reads the disk.
/// </summary>
public interface IChunkInventory
{
    /// <summary>Rows of the hash allocation table: the first byte of a chunk's id (5-replicast.md, "Placement").</summary>
    const int Rows = 256;

    /// <summary>The most replicas that can be asked for.</summary>
    const int MaxReplicas = 16;

    /// <summary>How many chunks are here.</summary>
    int Count { get; }

    /// <summary>True if the chunk is here, durably.</summary>
    bool Contains(ChunkId id);

    /// <summary>True if an open put-intent names the chunk: it must not be collected (rule R1).</summary>
    bool HasIntent(ChunkId id);

    /// <summary>Its stored length, and how many replicas its puts asked for at most; false if it is not here.</summary>
    bool TryDescribe(ChunkId id, out uint storedLength, out int replicas);

    /// <summary>
    /// The digest of the chunks of a row that should have more than <paramref name="rank"/> replicas: those that the designated server
    /// of that rank must hold.
    /// </summary>
    SetDigest DigestOf(int row, int rank);

    /// <summary>Up to <paramref name="count"/> chunks above <paramref name="after"/>, in order of their ids.</summary>
    IReadOnlyList<ChunkId> From(ChunkId after, int count);
}
