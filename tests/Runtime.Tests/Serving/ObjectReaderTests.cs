using System.Collections.Concurrent;
using System.IO.Pipelines;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Serving;

namespace Carillon.Runtime.Tests.Serving;

public sealed class ObjectReaderTests
{
    private const int ChunkBytes = 64 << 10;

    private readonly ChunkBufferPool _stored = new(1 << 20);
    private readonly ConcurrentDictionary<ChunkId, TaskCompletionSource> _loads = new();

    [Fact]
    public async Task Download_given_up_while_its_next_chunk_is_loaded_gives_that_chunks_buffer_back()
    {
        ObjectManifest manifest = Manifest(Chunk(1), Chunk(2));
        using CancellationTokenSource patience = new();
        var client = new Pipe(new PipeOptions(pauseWriterThreshold: 1024, resumeWriterThreshold: 512));
        Task writing = Reader().WriteAsync(manifest, 0, manifest.Size, client.Writer, patience.Token);
        LoadOf(1).SetResult();
        await client.Reader.ReadAtLeastAsync(ChunkBytes, TestContext.Current.CancellationToken);
        await Wait.Until(() => _loads.ContainsKey(IdOf(2)));
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Wait.For(writing));
        LoadOf(2).SetResult();
        await Wait.Until(() => _stored.BytesInUse == 0);
    }

    private ObjectReader Reader() => new(LoadAsync, new ChunkBufferPool(1 << 20));

    private async Task<ChunkBuffer> LoadAsync(ChunkId id, CancellationToken cancellation)
    {
        PooledChunk buffer = await _stored.RentAsync(ChunkBytes, cancellation);
        await LoadOf(id).Task;
        return buffer.Seal(ChunkBytes);
    }

    private TaskCompletionSource LoadOf(byte number) => LoadOf(IdOf(number));

    private TaskCompletionSource LoadOf(ChunkId id) =>
        _loads.GetOrAdd(id, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));

    private static ObjectManifest Manifest(params ChunkReference[] chunks) => new()
    {
        Size = chunks.Sum(chunk => chunk.Length), Sha256 = default, ContentType = "", Form = ContentForm.Chunks, Chunks = [.. chunks],
    };

    private static ChunkReference Chunk(byte number) => new(IdOf(number), ChunkBytes, ChunkBytes, Compression.None);

    private static ChunkId IdOf(byte number) => ChunkId.Of([number]);
}
