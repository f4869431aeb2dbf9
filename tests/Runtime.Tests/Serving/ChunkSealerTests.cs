using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Serving;

namespace Carillon.Runtime.Tests.Serving;

public sealed class ChunkSealerTests
{
    private const int ChunkBytes = 64 << 10;

    [Fact]
    public async Task Uploads_that_hold_all_buffers_are_compressed_all_the_same()
    {
        ChunkBufferPool content = new(2 * ChunkBytes);
        ChunkBufferPool scratch = new(ChunkBytes);
        var sealer = new ChunkSealer(scratch);
        Task<(ChunkReference Reference, ChunkBuffer Stored)>[] uploads = [.. Enumerable.Range(0, 2).Select(async number =>
        {
            PooledChunk plain = await content.RentAsync(ChunkBytes);
            plain.Memory.Span.Fill((byte)number);
            await Task.Yield();
            return await sealer.SealAsync(plain, ChunkBytes, Compression.Brotli, TestContext.Current.CancellationToken);
        })];
        for (int i = 0; i < uploads.Length; i++)
        {
            (ChunkReference reference, ChunkBuffer stored) = await Wait.For(uploads[i]);
            byte[] back = new byte[ChunkBytes];
            Assert.Equal((uint)stored.Memory.Length, reference.StoredLength);
            Assert.Equal(ChunkId.Of(stored.Memory.Span), reference.Id);
            Assert.True(ChunkCompression.TryDecompress(reference.Compression, stored.Memory, back));
            Assert.All(back, value => Assert.Equal(i, value));
            stored.Release();
        }

        Assert.Equal(0, content.BytesInUse + scratch.BytesInUse);
    }

    [Fact]
    public async Task Chunk_that_does_not_shrink_is_stored_as_it_is()
    {
        ChunkBufferPool pool = new(1 << 20);
        PooledChunk plain = await pool.RentAsync(ChunkBytes);
        byte[] noise = new byte[ChunkBytes];
        new Random(1).NextBytes(noise);
        noise.CopyTo(plain.Memory);
        (ChunkReference reference, ChunkBuffer stored) =
            await new ChunkSealer(pool).SealAsync(plain, ChunkBytes, Compression.Deflate, TestContext.Current.CancellationToken);
        Assert.Equal(new ChunkReference(ChunkId.Of(noise), ChunkBytes, ChunkBytes, Compression.None), reference);
        Assert.Equal(noise, stored.Memory.ToArray());
    }

    [Theory]
    [InlineData(Compression.Brotli)]
    [InlineData(Compression.Deflate)]
    public async Task Chunk_of_a_few_bytes_is_what_its_reference_says(Compression compression)
    {
        ChunkBufferPool pool = new(1 << 20);
        var sealer = new ChunkSealer(pool);
        for (int bits = 1; bits < 1 << 12; bits++)
        {
            // All words of up to eleven letters out of two.
            byte[] word = [.. Convert.ToString(bits, 2)[1..].Select(bit => bit == '0' ? (byte)'a' : (byte)'b')];
            PooledChunk plain = await pool.RentAsync(word.Length);
            word.CopyTo(plain.Memory);
            (ChunkReference reference, ChunkBuffer stored) =
                await sealer.SealAsync(plain, word.Length, compression, TestContext.Current.CancellationToken);
            byte[] back = new byte[word.Length];
            Assert.True(ChunkCompression.TryDecompress(reference.Compression, stored.Memory, back));
            Assert.Equal(word, back);
            stored.Release();
        }
    }
}
