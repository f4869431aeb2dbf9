using System.Buffers;
using System.Buffers.Binary;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// Cuts a stream into chunks: the header into an array of its own, the body straight into a pooled buffer. While no buffer is
/// free the stream is not read, and its sender has to wait.
/// </summary>
internal sealed class ChunkReader(TunnelInput input, int maxBodyBytes, ChunkBufferPool pool) : IDisposable
{
    private readonly byte[] _ahead = ArrayPool<byte>.Shared.Rent(32 << 10);
    private int _start;
    private int _end;

    /// <summary>The next chunk, or null at the stream's end. The buffer is the caller's.</summary>
    /// <exception cref="TunnelProtocolException">A length above its limit, or a stream that ends within a chunk.</exception>
    public async ValueTask<(byte[] Header, PooledChunk Body, int Length)?> ReadAsync(CancellationToken cancellation)
    {
        if (!await FillAsync(ChunkSendQueue.PrefixBytes).ConfigureAwait(false))
        {
            return null;
        }

        uint rest = BinaryPrimitives.ReadUInt32LittleEndian(_ahead.AsSpan(_start));
        int headerLength = BinaryPrimitives.ReadUInt16LittleEndian(_ahead.AsSpan(_start + 4));
        long bodyLength = (long)rest - 2 - headerLength;
        if (headerLength > ChunkSendQueue.MaxHeaderBytes || bodyLength < 0 || bodyLength > maxBodyBytes)
        {
            throw new TunnelProtocolException(
                $"it sent a chunk of {bodyLength} bytes with a header of {headerLength}, "
                + $"the limits are {maxBodyBytes} and {ChunkSendQueue.MaxHeaderBytes}");
        }

        _start += ChunkSendQueue.PrefixBytes;
        byte[] header = new byte[headerLength];
        await ReadExactlyAsync(header).ConfigureAwait(false);

        PooledChunk body = await pool.RentAsync((int)bodyLength, cancellation).ConfigureAwait(false);
        try
        {
            await ReadExactlyAsync(body.Memory).ConfigureAwait(false);
            return (header, body, (int)bodyLength);
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => ArrayPool<byte>.Shared.Return(_ahead);

    private async ValueTask ReadExactlyAsync(Memory<byte> target)
    {
        int ready = Math.Min(_end - _start, target.Length);
        _ahead.AsMemory(_start, ready).CopyTo(target);
        _start += ready;
        target = target[ready..];
        while (!target.IsEmpty)
        {
            int count = await input.ReadAsync(target).ConfigureAwait(false);
            if (count == 0)
            {
                throw new TunnelProtocolException("its stream ended inside a chunk");
            }

            target = target[count..];
        }
    }

    // False at the stream's end, if that is at a chunk's end too.
    private async ValueTask<bool> FillAsync(int needed)
    {
        if (_end - _start >= needed)
        {
            return true;
        }

        _ahead.AsSpan(_start, _end - _start).CopyTo(_ahead);
        (_start, _end) = (0, _end - _start);
        while (_end < needed)
        {
            int count = await input.ReadAsync(_ahead.AsMemory(_end)).ConfigureAwait(false);
            if (count == 0)
            {
                return _end == 0 ? false : throw new TunnelProtocolException("its stream ended inside a chunk");
            }

            _end += count;
        }

        return true;
    }
}
