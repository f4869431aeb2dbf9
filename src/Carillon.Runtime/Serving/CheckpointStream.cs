using System.Buffers;
using System.Buffers.Binary;
using System.IO.Pipelines;
using Carillon.Protocols;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Writes checkpoints of the catalog to whoever makes a backup: <c>(u32 length │ block)* u32 0 │ u32 length │ list</c>, little-endian; a
/// block that the asker has is left out. The snapshot is held as long as the asker reads, and the catalog's journal grows meanwhile, so
/// there is one at a time.
/// </summary>
internal sealed class CheckpointStream(Func<CatalogReader> open) : IDisposable
{
    private readonly SemaphoreSlim _turn = new(1, 1);

    public async Task WriteAsync(IReadOnlySet<ChunkId> known, PipeWriter output, CancellationToken cancellation)
    {
        await _turn.WaitAsync(cancellation);
        try
        {
            // Reading the catalog blocks, and so does waiting for the asker in the midst of it: a thread of its own.
            await Task.Factory.StartNew(
                () => Write(known, output, cancellation), cancellation, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        }
        finally
        {
            _turn.Release();
        }
    }

    public void Dispose() => _turn.Dispose();

    private void Write(IReadOnlySet<ChunkId> known, PipeWriter output, CancellationToken cancellation)
    {
        using CatalogReader reader = open();
        using var writer = new CatalogCheckpointWriter(reader);
        CatalogCheckpoint checkpoint = writer.Write(block =>
        {
            if (!known.Contains(ChunkId.Of(block.Span)))
            {
                Put(output, block.Span, cancellation);
            }
        });
        Put(output, [], cancellation);
        Put(output, checkpoint.Write(), cancellation);
    }

    private static void Put(PipeWriter output, ReadOnlySpan<byte> bytes, CancellationToken cancellation)
    {
        Span<byte> length = stackalloc byte[4];
        BinaryPrimitives.WriteInt32LittleEndian(length, bytes.Length);
        output.Write(length);
        output.Write(bytes);
        FlushResult flushed = output.FlushAsync(cancellation).AsTask().GetAwaiter().GetResult();
        if (flushed.IsCompleted || flushed.IsCanceled)
        {
            throw new OperationCanceledException("The asker has gone.");
        }
    }
}
