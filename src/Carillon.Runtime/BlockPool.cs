using System.Buffers;
using System.Collections.Concurrent;
using Carillon.Protocols;
using Microsoft.AspNetCore.Connections;

namespace Carillon.Runtime;

/// <summary>
/// Gives web servers buffers of 32 KiB instead of 4 KiB. Each buffer becomes a system call, and with TLS a record of its own, so
/// bulk through the framework's own blocks costs about twice the processor time. To be registered as the server's memory pool
/// factory behind Kestrel's own registration, which counts otherwise.
/// </summary>
public sealed class BlockPoolFactory : IMemoryPoolFactory<byte>
{
    /// <inheritdoc/>
    public MemoryPool<byte> Create(MemoryPoolOptions? options = null) => new BlockPool();
}

/// <summary>A pool of blocks of one size. Free blocks are kept up to a bound; at rest few are in use. Safe for any thread.</summary>
internal sealed class BlockPool : MemoryPool<byte>
{
    /// <summary>Bytes of a block: two HTTP/2 frames, or TLS records, of the largest usual size.</summary>
    public const int BlockBytes = 32 << 10;

    private const int KeptBlocks = 128;

    private readonly ConcurrentStack<Block> _free = [];
    private int _kept;

    /// <inheritdoc/>
    public override int MaxBufferSize => BlockBytes;

    /// <inheritdoc/>
    public override IMemoryOwner<byte> Rent(int minBufferSize = -1)
    {
        ArgumentOutOfRangeException.ThrowIfGreaterThan(minBufferSize, BlockBytes);
        if (_free.TryPop(out Block? block))
        {
            Interlocked.Decrement(ref _kept);
            block.IsFree = false;
            return block;
        }

        return new Block(this);
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing) => _free.Clear();

    private void Return(Block block)
    {
        Invariant.That(!block.IsFree, "a block is given back once");
        block.IsFree = true;
        if (Interlocked.Increment(ref _kept) <= KeptBlocks)
        {
            _free.Push(block);
        }
        else
        {
            Interlocked.Decrement(ref _kept);
        }
    }

    private sealed class Block(BlockPool pool) : IMemoryOwner<byte>
    {
        // Pinned from the start: sockets pin a buffer for each call, and pinned memory in the heap's midst hinders its compaction.
        private readonly byte[] _bytes = GC.AllocateUninitializedArray<byte>(BlockBytes, pinned: true);

        public bool IsFree { get; set; }

        public Memory<byte> Memory => _bytes;

        public void Dispose() => pool.Return(this);
    }
}
