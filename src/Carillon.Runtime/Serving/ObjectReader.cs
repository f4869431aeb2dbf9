using System.Collections.Immutable;
using System.IO.Pipelines;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Writes an object's bytes: chunk after chunk, each from this disk, else from a server that has it; every chunk is verified before a byte
/// of it leaves. The next chunk is fetched while one is written, but not before that one is in hand: a reader never waits for a chunk
/// while it holds another that only it can give back (<see cref="ChunkBuffers"/>).
/// </summary>
/// <param name="fetch">The stored bytes of a chunk, verified; the reader releases them.</param>
/// <param name="scratch">Where chunks are decompressed.</param>
internal sealed class ObjectReader(Func<ChunkId, CancellationToken, Task<ChunkBuffer>> fetch, ChunkBufferPool scratch)
{
    public async Task WriteAsync(ObjectManifest manifest, long offset, long length, PipeWriter output, CancellationToken cancellation)
    {
        if (manifest.Form == ContentForm.Inline)
        {
            await output.WriteAsync(manifest.Inline.Slice((int)offset, (int)length), cancellation);
            return;
        }

        long end = offset + length;
        long at = 0;
        await foreach (ImmutableArray<ChunkReference> run in ListsAsync(manifest, cancellation))
        {
            // To its last byte, before the next list is fetched: that needs a buffer too.
            await WriteRunAsync(PiecesOf(run, at, offset, end), output, cancellation);
            at += run.Sum(chunk => chunk.Length);
            if (at >= end)
            {
                return;
            }
        }
    }

    private async Task WriteRunAsync(IEnumerable<Piece> run, PipeWriter output, CancellationToken cancellation)
    {
        using IEnumerator<Piece> pieces = run.GetEnumerator();
        Task<ChunkBuffer>? ahead = pieces.MoveNext() ? fetch(pieces.Current.Chunk.Id, cancellation) : null;
        try
        {
            while (ahead is not null)
            {
                Piece piece = pieces.Current;
                ChunkBuffer stored = await ahead;
                ahead = pieces.MoveNext() ? fetch(pieces.Current.Chunk.Id, cancellation) : null;
                await WritePieceAsync(stored, piece, output, cancellation);
            }
        }
        finally
        {
            // Whatever becomes of the download: a chunk that comes too late still has its buffer.
            _ = ahead?.ContinueWith(
                static t => t.Result.Release(),
                CancellationToken.None,
                TaskContinuationOptions.OnlyOnRanToCompletion,
                TaskScheduler.Default);
        }
    }

    private async Task WritePieceAsync(ChunkBuffer stored, Piece piece, PipeWriter output, CancellationToken cancellation)
    {
        if (piece.Chunk.Compression != Compression.None)
        {
            using PooledChunk content = await DecompressAsync(stored, piece.Chunk, cancellation);
            await output.WriteAsync(content.Memory.Slice(piece.From, piece.Count), cancellation);
            return;
        }

        try
        {
            await output.WriteAsync(stored.Memory.Slice(piece.From, piece.Count), cancellation);
        }
        finally
        {
            stored.Release();
        }
    }

    /// <summary>A chunk's content; its stored bytes are released.</summary>
    private async Task<PooledChunk> DecompressAsync(ChunkBuffer stored, ChunkReference chunk, CancellationToken cancellation)
    {
        PooledChunk? content = null;
        try
        {
            content = await scratch.RentAsync((int)chunk.Length, cancellation);
            if (!ChunkCompression.TryDecompress(chunk.Compression, stored.Memory, content.Memory.Span))
            {
                throw new ContentUnavailableException($"Chunk {chunk.Id} does not decompress to what its manifest says.");
            }

            return content;
        }
        catch
        {
            content?.Dispose();
            throw;
        }
        finally
        {
            stored.Release();
        }
    }

    /// <summary>The chunks that a range touches, with the part of each.</summary>
    private static IEnumerable<Piece> PiecesOf(ImmutableArray<ChunkReference> run, long at, long offset, long end)
    {
        foreach (ChunkReference chunk in run)
        {
            long from = Math.Max(offset, at);
            long to = Math.Min(end, at + chunk.Length);
            if (from < to)
            {
                yield return new Piece(chunk, (int)(from - at), (int)(to - from));
            }

            at += chunk.Length;
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

    private readonly record struct Piece(ChunkReference Chunk, int From, int Count);
}
