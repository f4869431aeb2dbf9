using Carillon.Node;
using Carillon.Protocols;

namespace Carillon.Runtime.Tests;

public sealed class ChunkBufferPoolTests
{
    [Fact]
    public async Task Who_asks_beyond_the_bound_waits_in_line_until_enough_is_given_back()
    {
        ChunkBufferPool pool = new(2 << 20);
        PooledChunk first = await pool.RentAsync(1 << 20);
        PooledChunk second = await pool.RentAsync((1 << 20) - 5);
        Assert.Equal((1 << 20) - 5, second.Memory.Length);
        ValueTask<PooledChunk> large = pool.RentAsync(2 << 20);
        ValueTask<PooledChunk> small = pool.RentAsync(1);
        Assert.Equal(2 << 20, pool.BytesInUse);

        first.Dispose();
        first.Dispose();
        Assert.False(large.IsCompleted);
        Assert.False(small.IsCompleted);
        ChunkBuffer sealedSecond = second.Seal(10);
        Assert.Equal(10, sealedSecond.Memory.Length);
        sealedSecond.Retain();
        sealedSecond.Release();
        Assert.False(large.IsCompleted);
        sealedSecond.Release();
        (await Wait.For(large.AsTask())).Dispose();
        (await Wait.For(small.AsTask())).Dispose();
        Assert.Equal(0, pool.BytesInUse);
    }

    [Fact]
    public async Task Buffers_that_nobody_uses_are_forgotten_and_only_those()
    {
        ChunkBufferPool pool = new(4 << 20);
        using PooledChunk held = await pool.RentAsync(1 << 20);
        WeakReference unused = UseOnce(await pool.RentAsync(1 << 20));
        pool.DropFree();
        GC.Collect();
        Assert.False(unused.IsAlive);
        Assert.Equal(1 << 20, pool.BytesInUse);
        Assert.Equal(1 << 20, held.Memory.Length);

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static WeakReference UseOnce(PooledChunk rented)
        {
            using PooledChunk chunk = rented;
            Assert.True(System.Runtime.InteropServices.MemoryMarshal.TryGetArray<byte>(chunk.Memory, out ArraySegment<byte> array));
            return new WeakReference(array.Array);
        }
    }

    [Fact]
    public async Task Who_gives_up_leaves_the_line_and_lets_the_next_one_pass()
    {
        ChunkBufferPool pool = new(1 << 20);
        using PooledChunk held = await pool.RentAsync(1 << 19);
        using CancellationTokenSource patience = new();
        Task<PooledChunk> large = pool.RentAsync(1 << 20, patience.Token).AsTask();
        Task<PooledChunk> small = pool.RentAsync(100).AsTask();
        Assert.False(small.IsCompleted);
        await patience.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Wait.For(large));
        (await Wait.For(small)).Dispose();
    }

    [Fact]
    public async Task Buffer_larger_than_any_is_refused()
    {
        ChunkBufferPool pool = new(1L << 40);
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => pool.RentAsync(ChunkBufferPool.LargestBuffer + 1).AsTask());
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => new ChunkBufferPool(1 << 20).RentAsync((1 << 20) + 1).AsTask());
    }

    [Fact]
    public async Task Random_use_by_many_never_exceeds_the_bound_and_ends_at_zero()
    {
        const long Bound = 4 << 20;
        ChunkBufferPool pool = new(Bound);
        long greatest = 0;
        await Wait.For(Task.WhenAll(Enumerable.Range(0, 8).Select(worker => Task.Run(async () =>
        {
            RandomSource random = new((ulong)worker);
            for (int i = 0; i < 2000; i++)
            {
                PooledChunk chunk = await pool.RentAsync(1 + random.Below(2 << 20));
                Volatile.Write(ref greatest, Math.Max(Volatile.Read(ref greatest), pool.BytesInUse));
                chunk.Memory.Span[^1] = 1;
                await Task.Yield();
                chunk.Dispose();
            }
        }))));
        Assert.InRange(greatest, 1, Bound);
        Assert.Equal(0, pool.BytesInUse);
    }
}
