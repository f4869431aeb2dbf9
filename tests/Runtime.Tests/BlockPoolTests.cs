using System.Buffers;

namespace Carillon.Runtime.Tests;

public sealed class BlockPoolTests
{
    [Fact]
    public void Blocks_are_of_one_size_used_again_and_given_back_once()
    {
        using BlockPool pool = new();
        IMemoryOwner<byte> first = pool.Rent(1);
        IMemoryOwner<byte> second = pool.Rent();
        Assert.Equal(BlockPool.BlockBytes, first.Memory.Length);
        Assert.False(first.Memory.Equals(second.Memory));

        first.Dispose();
        Assert.Same(first, pool.Rent(BlockPool.BlockBytes));
        second.Dispose();
        Assert.Throws<Protocols.InvariantBrokenException>(second.Dispose);
        Assert.Throws<ArgumentOutOfRangeException>(() => pool.Rent(BlockPool.BlockBytes + 1));
    }
}
