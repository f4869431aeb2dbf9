using System.Collections.Immutable;
using System.IO.Pipelines;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Writes an object's bytes: chunk after chunk, each from this disk, else from a server that has it; every chunk is verified before a byte
/// of it leaves. The next chunk is fetched while one is written.
/// </summary>
/// <param name="fetch">The stored bytes of a chunk, verified; the reader releases them.</param>
/// <param name="buffers">Where chunks are decompressed.</param>
internal sealed class ObjectReader(Func<ChunkId, CancellationToken, Task<ChunkBuffer>> fetch, ChunkBufferPool buffers)
{
    public async Task WriteAsync(ObjectManifest manifest, long offset, long length, PipeWriter output, CancellationToken cancellation)
    {
        if (manifest.Form == ContentForm.Inline)
        {
            await output.WriteAsync(manifest.Inline.Slice((int)offset, (int)length), cancellation);
            return;
        }

        Task<ChunkBuffer>? ahead = null;
        (ChunkReference Chunk, int From, int Count) current = default;
        try
        {
            await foreach ((ChunkReference Chunk, int From, int Count) next in PiecesAsync(manifest, offset, length, cancellation))
            {
                Task<ChunkBuffer> fetched = fetch(next.Chunk.Id, cancellation);
                if (ahead is not null)
                {
                    Task<ChunkBuffer> due = ahead;
                    ahead = fetched;
                    await WritePieceAsync(due, current, output, cancellation);
                }

                ahead = fetched;
                current = next;
            }

            if (ahead is not null)
            {
                Task<ChunkBuffer> due = ahead;
                ahead = null;
                await WritePieceAsync(due, current, output, cancellation);
            }
        }
        finally
        {
            if (ahead is not null)
            {
                // Whatever becomes of the download: a chunk that comes too late still has its buffer.
                _ = ahead.ContinueWith(
                    static t => t.Result.Release(),
                    CancellationToken.None,
                    TaskContinuationOptions.OnlyOnRanToCompletion,
                    TaskScheduler.Default);
            }
        }
    }

    private async Task WritePieceAsync(
        Task<ChunkBuffer> fetched, (ChunkReference Chunk, int From, int Count) piece, PipeWriter output, CancellationToken cancellation)
    {
        ChunkBuffer stored = await fetched;
        try
        {
            if (piece.Chunk.Compression == Compression.None)
            {
                await output.WriteAsync(stored.Memory.Slice(piece.From, piece.Count), cancellation);
                return;
            }

            using PooledChunk content = await buffers.RentAsync((int)piece.Chunk.Length, cancellation);
            if (!ChunkCompression.TryDecompress(piece.Chunk.Compression, stored.Memory, content.Memory.Span[..(int)piece.Chunk.Length]))
            {
                throw new ContentUnavailableException($"Chunk {piece.Chunk.Id} does not decompress to what its manifest says.");
            }

            await output.WriteAsync(content.Memory.Slice(piece.From, piece.Count), cancellation);
        }
        finally
        {
            stored.Release();
        }
    }

    /// <summary>The chunks that a range touches, with the run of each.</summary>
    private async IAsyncEnumerable<(ChunkReference Chunk, int From, int Count)> PiecesAsync(
        ObjectManifest manifest, long offset, long length,
            [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        long end = offset + length;
        long at = 0;
        await foreach (ImmutableArray<ChunkReference> run in ListsAsync(manifest, cancellation))
        {
            foreach (ChunkReference chunk in run)
            {
                long from = Math.Max(offset, at);
                long to = Math.Min(end, at + chunk.Length);
                if (from < to)
                {
                    yield return (chunk, (int)(from - at), (int)(to - from));
                }

                at += chunk.Length;
            }

            if (at >= end)
            {
                yield break;
            }
        }
    }

    private async IAsyncEnumerable<ImmutableArray<ChunkReference>> ListsAsync(
        ObjectManifest manifest, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        if (manifest.Form == ContentForm.Chunks)
        {
            yield return manifest.Chunks;
            yield break;
        }

        foreach (ChunkReference part in manifest.Chunks)
        {
            ChunkBuffer stored = await fetch(part.Id, cancellation);
            ImmutableArray<ChunkReference>? list;
            try
            {
                list = ChunkLists.Read(part, stored.Memory);
            }
            finally
            {
                stored.Release();
            }

            yield return list ?? throw new ContentUnavailableException($"Chunk list {part.Id} is not what its manifest says.");
        }
    }
}
