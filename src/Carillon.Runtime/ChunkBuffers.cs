namespace Carillon.Runtime;

/// <summary>
/// The memory of chunks on their way through one server: a pool of its own for each step that waits for another. Whoever holds a buffer
/// never waits for one of the same pool, and between pools he waits only downwards in the order below; so somebody can always go on,
/// however little room there is and however large the chunks are.
/// </summary>
internal sealed class ChunkBuffers
{
    /// <summary>What clients send, until enough servers have stored it; and what is read from this disk for a client.</summary>
    public ChunkBufferPool Content { get; } = new(2L * ChunkBufferPool.LargestBuffer);

    /// <summary>
    /// Chunks being compressed or decompressed. Who holds one of these waits for no other buffer, at most for its client. At least the
    /// largest chunk.
    /// </summary>
    public ChunkBufferPool Scratch { get; } = new(ChunkBufferPool.LargestBuffer);

    /// <summary>Bytes of the buffers that are out.</summary>
    public long BytesInUse => Content.BytesInUse + Scratch.BytesInUse;

    /// <summary>Forgets the buffers that nobody uses.</summary>
    public void DropFree()
    {
        Content.DropFree();
        Scratch.DropFree();
    }
}
