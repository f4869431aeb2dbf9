using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Makes a chunk of a full buffer: compressed where asked and worth it, and named by the hash of what is stored. What compression gave is
/// copied back into the buffer that it came from, so that the other one is free again at once: nobody keeps two, and nobody waits for long.
/// </summary>
/// <param name="scratch">Where chunks are compressed.</param>
internal sealed class ChunkSealer(ChunkBufferPool scratch)
{
    /// <summary>Seals the first bytes of a buffer; where it throws, the buffer stays the caller's.</summary>
    public async Task<(ChunkReference Reference, ChunkBuffer Stored)> SealAsync(
        PooledChunk buffer, int filled, Compression compression, CancellationToken cancellation)
    {
        (int stored, Compression used) = (filled, Compression.None);
        if (compression != Compression.None)
        {
            using PooledChunk compressed = await scratch.RentAsync(filled, cancellation);
            int length = ChunkCompression.Compress(compression, buffer.Memory.Span[..filled], compressed.Memory.Span);
            if (length > 0)
            {
                compressed.Memory.Span[..length].CopyTo(buffer.Memory.Span);
                (stored, used) = (length, compression);
            }
        }

        return (new ChunkReference(ChunkId.Of(buffer.Memory.Span[..stored]), (uint)stored, (uint)filled, used), buffer.Seal(stored));
    }
}
