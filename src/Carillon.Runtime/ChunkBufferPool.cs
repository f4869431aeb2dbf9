using System.Numerics;
using Carillon.Node;
using Carillon.Protocols;

namespace Carillon.Runtime;

/// <summary>
/// The buffers that chunks pass through between socket, disk and peers: reused, and bounded in bytes for the whole server. Who
/// asks beyond the bound waits in line, so memory does not grow with files or with peers. Safe for any thread.
/// </summary>
/// <param name="maxBytes">The bound; a chunk larger than it can't be held at all.</param>
public sealed class ChunkBufferPool(long maxBytes)
{
    // Sizes are powers of two from 64 KiB (smaller ones are rare: the last chunk of a file) to 64 MiB (the largest chunk).
    private const int SmallestExponent = 16;
    private const int LargestExponent = 26;

    private readonly Lock _gate = new();
    private readonly Stack<byte[]>[] _free =
        [.. Enumerable.Range(0, LargestExponent - SmallestExponent + 1).Select(_ => new Stack<byte[]>())];
    private readonly LinkedList<Waiter> _line = [];
    private long _inUse;
    private long _kept;

    /// <summary>The largest buffer, in bytes.</summary>
    public const int LargestBuffer = 1 << LargestExponent;

    /// <summary>Bytes of the buffers that are out.</summary>
    public long BytesInUse => Volatile.Read(ref _inUse);

    /// <summary>Takes a buffer for so many bytes, waiting for its turn.</summary>
    /// <exception cref="ArgumentOutOfRangeException">No buffer is that large.</exception>
    public ValueTask<PooledChunk> RentAsync(int size, CancellationToken cancellation = default)
    {
        int exponent = ExponentOf(size);
        if (exponent > LargestExponent || 1L << exponent > maxBytes)
        {
            throw new ArgumentOutOfRangeException(nameof(size), size, "No buffer is that large.");
        }

        lock (_gate)
        {
            if (_line.Count == 0 && TryTake(exponent) is { } array)
            {
                return ValueTask.FromResult(new PooledChunk(this, array, size));
            }

            return new ValueTask<PooledChunk>(WaitAsync(size, _line.AddLast(new Waiter(exponent)), cancellation));
        }
    }

    /// <summary>Forgets the buffers that nobody uses.</summary>
    public void DropFree()
    {
        lock (_gate)
        {
            foreach (Stack<byte[]> free in _free)
            {
                free.Clear();
            }

            _kept = 0;
        }
    }

    /// <summary>Gives a buffer back.</summary>
    internal void Return(byte[] array)
    {
        lock (_gate)
        {
            _inUse -= array.Length;
            Invariant.That(_inUse >= 0);

            // What is kept and what is out never exceed the bound together.
            if (_inUse + _kept + array.Length <= maxBytes)
            {
                _free[ExponentOf(array.Length) - SmallestExponent].Push(array);
                _kept += array.Length;
            }

            Serve();
        }
    }

    private static int ExponentOf(int size) => size <= 1 << SmallestExponent ? SmallestExponent : BitOperations.Log2((uint)size - 1) + 1;

    private async Task<PooledChunk> WaitAsync(int size, LinkedListNode<Waiter> place, CancellationToken cancellation)
    {
        using CancellationTokenRegistration giveUp = cancellation.UnsafeRegister(_ => GiveUp(place, cancellation), null);
        return new PooledChunk(this, await place.Value.Buffer.Task.ConfigureAwait(false), size);
    }

    private void GiveUp(LinkedListNode<Waiter> place, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (place.List is not null)
            {
                _line.Remove(place);
                place.Value.Buffer.SetCanceled(cancellation);
                Serve(); // the one behind may need less
            }
        }
    }

    private void Serve()
    {
        while (_line.First is { } first && TryTake(first.Value.Exponent) is { } array)
        {
            _line.RemoveFirst();
            first.Value.Buffer.SetResult(array);
        }
    }

    private byte[]? TryTake(int exponent)
    {
        int size = 1 << exponent;
        if (_inUse + size > maxBytes)
        {
            return null;
        }

        _inUse += size;
        if (_free[exponent - SmallestExponent].TryPop(out byte[]? array))
        {
            _kept -= size;
            return array;
        }

        for (int other = LargestExponent; other >= SmallestExponent && _inUse + _kept > maxBytes; other--)
        {
            Stack<byte[]> free = _free[other - SmallestExponent];
            while (_inUse + _kept > maxBytes && free.TryPop(out byte[]? dropped))
            {
                _kept -= dropped.Length;
            }
        }

        return GC.AllocateUninitializedArray<byte>(size);
    }

    private sealed record Waiter(int Exponent)
    {
        public TaskCompletionSource<byte[]> Buffer { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}

/// <summary>A buffer while it is being filled. Either <see cref="Seal"/> it, or dispose of it.</summary>
public sealed class PooledChunk : IDisposable
{
    private readonly ChunkBufferPool _pool;
    private readonly int _size;
    private byte[]? _array;

    internal PooledChunk(ChunkBufferPool pool, byte[] array, int size)
    {
        _pool = pool;
        _array = array;
        _size = size;
    }

    /// <summary>Where to write: as many bytes as were asked for.</summary>
    public Memory<byte> Memory => _array.AsMemory(0, _size);

    /// <summary>Makes it a chunk of the first <paramref name="length"/> bytes; its last release gives the buffer back.</summary>
    public ChunkBuffer Seal(int length)
    {
        Invariant.That(_array is not null && length <= _size);
        byte[] array = _array;
        _array = null;
        return new ChunkBuffer(array.AsMemory(0, length), _ => _pool.Return(array));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _array, null) is { } array)
        {
            _pool.Return(array);
        }
    }
}
