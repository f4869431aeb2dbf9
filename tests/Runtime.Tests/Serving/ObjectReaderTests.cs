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

    private readonly ChunkBufferPool _scratch = new(1 << 20);
    private readonly ConcurrentDictionary<ChunkId, byte[]> _kept = new();
    private ChunkBufferPool _stored = new(1 << 20);
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

    [Fact]
    public async Task Next_chunk_is_asked_for_only_when_the_one_before_it_is_there()
    {
        // The next one could take the last buffer, which the one before it then waits for.
        ObjectManifest manifest = Manifest(Chunk(1), Chunk(2));
        var client = new Pipe(new PipeOptions(pauseWriterThreshold: 0));
        Task writing = Reader().WriteAsync(manifest, 0, manifest.Size, client.Writer, TestContext.Current.CancellationToken);
        Assert.Equal(IdOf(1), Assert.Single(_loads).Key);
        LoadOf(1).SetResult();
        LoadOf(2).SetResult();
        await Wait.For(writing);
        Assert.Equal(0, _stored.BytesInUse);
    }

    [Fact]
    public async Task List_of_chunks_is_fetched_when_no_chunk_is_held()
    {
        _stored = new ChunkBufferPool(ChunkBytes);
        ObjectManifest manifest = Manifest([List(Chunk(1)), List(Chunk(2))]) with { Form = ContentForm.ChunkedList, Size = 2 * ChunkBytes };
        LoadOf(1).SetResult();
        LoadOf(2).SetResult();
        var client = new Pipe(new PipeOptions(pauseWriterThreshold: 0));
        await Wait.For(Reader().WriteAsync(manifest, 0, manifest.Size, client.Writer, TestContext.Current.CancellationToken));
        Assert.Equal(2 * ChunkBytes, client.Writer.UnflushedBytes + (await client.Reader.ReadAsync()).Buffer.Length);
    }

    [Fact]
    public async Task Compressed_chunk_is_given_back_before_its_content_waits_for_the_client()
    {
        byte[] compressed = new byte[ChunkBytes];
        int length = ChunkCompression.Compress(Compression.Brotli, new byte[ChunkBytes], compressed);
        ChunkId id = Keep(compressed[..length]);
        ObjectManifest manifest = Manifest(new ChunkReference(id, (uint)length, ChunkBytes, Compression.Brotli));
        var client = new Pipe(new PipeOptions(pauseWriterThreshold: 1024, resumeWriterThreshold: 512));
        Task writing = Reader().WriteAsync(manifest, 0, manifest.Size, client.Writer, TestContext.Current.CancellationToken);
        ReadResult read = await client.Reader.ReadAtLeastAsync(ChunkBytes, TestContext.Current.CancellationToken);
        Assert.Equal(0, _stored.BytesInUse);
        Assert.Equal(ChunkBytes, _scratch.BytesInUse);
        client.Reader.AdvanceTo(read.Buffer.End);
        await Wait.For(writing);
        Assert.Equal(0, _scratch.BytesInUse);
    }

    private ObjectReader Reader() => new(LoadAsync, _scratch);

    private async Task<ChunkBuffer> LoadAsync(ChunkId id, CancellationToken cancellation)
    {
        PooledChunk buffer = await _stored.RentAsync(ChunkBytes, cancellation);
        await LoadOf(id).Task;
        if (_kept.TryGetValue(id, out byte[]? bytes))
        {
            bytes.CopyTo(buffer.Memory);
        }

        return buffer.Seal(bytes?.Length ?? ChunkBytes);
    }

    /// <summary>Bytes that are there to be loaded.</summary>
    private ChunkId Keep(byte[] bytes)
    {
        var id = ChunkId.Of(bytes);
        _kept[id] = bytes;
        LoadOf(id).SetResult();
        return id;
    }

    private ChunkReference List(ChunkReference chunk)
    {
        var list = new ChunkListBuilder();
        list.Add(chunk);
        byte[] part = list.TakePart();
        return new ChunkReference(Keep(part), (uint)part.Length, (uint)part.Length, Compression.None);
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
