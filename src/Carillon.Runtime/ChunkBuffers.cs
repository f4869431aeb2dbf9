namespace Carillon.Runtime;

/// <summary>
/// The memory of chunks on their way through one server: a pool of its own for each step that waits for another. Whoever holds a buffer
/// never waits for one of the same pool, and between pools, of this server and of its peers, only downwards in the order below; so
/// somebody can always go on, however little room there is and however large the chunks are. Were sending and receiving one, two servers
/// could each fill their memory with chunks for the other, and neither would read.
/// </summary>
/// <param name="contentBytes">The bound of <see cref="Content"/>; at least the largest chunk, as for every pool.</param>
/// <param name="receivedBytes">The bound of <see cref="Received"/>.</param>
internal sealed class ChunkBuffers(long contentBytes, long receivedBytes)
{
    /// <summary>What clients send, until enough servers have stored it; and what is read from this disk for a client. It waits for the
    /// writers to the peers.</summary>
    public ChunkBufferPool Content { get; } = new(contentBytes);

    /// <summary>What is read from this disk for a peer, by the writer to it; it waits until the peer has received it.</summary>
    public ChunkBufferPool Sent { get; } = new(ChunkBufferPool.LargestBuffer);

    /// <summary>What peers have sent, until it is on this disk or a client has it; it waits for the disk and for
    /// <see cref="Scratch"/>.</summary>
    public ChunkBufferPool Received { get; } = new(receivedBytes);

    /// <summary>
    /// Chunks being compressed or decompressed. Who holds one of these waits for no other buffer, at most for its client. At least the
    /// largest chunk.
    /// </summary>
    public ChunkBufferPool Scratch { get; } = new(ChunkBufferPool.LargestBuffer);

    /// <summary>Bytes of the buffers that are out.</summary>
    public long BytesInUse => Content.BytesInUse + Sent.BytesInUse + Received.BytesInUse + Scratch.BytesInUse;

    /// <summary>Forgets the buffers that nobody uses.</summary>
    public void DropFree()
    {
        Content.DropFree();
        Sent.DropFree();
        Received.DropFree();
        Scratch.DropFree();
    }
}
