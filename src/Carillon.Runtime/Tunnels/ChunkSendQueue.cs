using System.Buffers;
using System.Buffers.Binary;
using Carillon.Node;

namespace Carillon.Runtime.Tunnels;

/// <summary>A chunk that waits to be sent: with its bytes, or with the way to get them when its turn has come.</summary>
/// <param name="Header">What goes before it; the receiver gets it as it is.</param>
/// <param name="Size">Bytes of the body, for the queue's bound.</param>
/// <param name="Load">Gives the body, on a thread of the pool, or null where there is none to send after all; it waits no longer than its
/// token lets it.</param>
internal readonly record struct OutgoingChunk(
    ReadOnlyMemory<byte> Header, int Size, ChunkBuffer? Body, Func<CancellationToken, ValueTask<ChunkBuffer?>>? Load);

/// <summary>
/// Chunks of one kind that wait for one peer, and their writer. Frame: <c>u32 length of what follows, u16 length of the header,
/// header, body</c>. Bounded in bytes, though one chunk is always let in. Every body taken is released, sent or not.
/// </summary>
internal sealed class ChunkSendQueue(TrafficOptions traffic)
{
    /// <summary>Bytes of the longest header.</summary>
    public const int MaxHeaderBytes = 4096;

    /// <summary>Bytes before the header.</summary>
    public const int PrefixBytes = 6;

    // Chunks without bytes of their own cost little, but not nothing.
    private const int MaxChunks = 4096;

    // Up to here the body travels in one write with its header.
    private const int CopiedBytes = 16 << 10;

    private readonly Lock _gate = new();
    private readonly Queue<OutgoingChunk> _waiting = [];
    private readonly WakeSignal _signal = new();
    private long _bytes;
    private bool _closed;

    /// <summary>Adds a chunk. False: full, closed, or too large; the body then stays the caller's.</summary>
    public bool TryAdd(in OutgoingChunk chunk)
    {
        lock (_gate)
        {
            if (_closed || chunk.Header.Length > MaxHeaderBytes || chunk.Size > traffic.MaxMessageBytes
                || _waiting.Count == MaxChunks || (_waiting.Count > 0 && _bytes + chunk.Size > traffic.QueueBytes))
            {
                return false;
            }

            _waiting.Enqueue(chunk);
            _bytes += chunk.Size;
        }

        _signal.Wake();
        return true;
    }

    /// <summary>Refuses what comes from now on; the writer sends what waits, and ends.</summary>
    public void Close()
    {
        lock (_gate)
        {
            _closed = true;
        }

        _signal.Wake();
    }

    /// <summary>Sends chunks until the queue is closed and empty, or the link ends.</summary>
    public async Task SendAsync(ITunnelOutput output, CancellationToken linkEnds)
    {
        byte[] head = ArrayPool<byte>.Shared.Rent(PrefixBytes + MaxHeaderBytes + CopiedBytes);
        try
        {
            while (await TakeAsync().ConfigureAwait(false) is { } chunk)
            {
                // Not on the thread that woke this writer: it may be in a turn of the event loop, where nothing is read from the disk and
                // nobody waits for room in its queue.
                ChunkBuffer? body = chunk.Body ?? await Task.Run(() => chunk.Load!(linkEnds).AsTask(), linkEnds).ConfigureAwait(false);
                if (body is null)
                {
                    continue;
                }

                try
                {
                    await SendAsync(output, head, chunk.Header, body.Memory).ConfigureAwait(false);
                }
                finally
                {
                    body.Release();
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(head);
            Drop();
        }
    }

    /// <summary>Releases what was not sent.</summary>
    public void Drop()
    {
        lock (_gate)
        {
            _closed = true;
            while (_waiting.TryDequeue(out OutgoingChunk chunk))
            {
                chunk.Body?.Release();
            }
        }
    }

    private static async ValueTask SendAsync(ITunnelOutput output, byte[] head, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body)
    {
        BinaryPrimitives.WriteUInt32LittleEndian(head, (uint)(2 + header.Length + body.Length));
        BinaryPrimitives.WriteUInt16LittleEndian(head.AsSpan(4), (ushort)header.Length);
        header.CopyTo(head.AsMemory(PrefixBytes));
        int length = PrefixBytes + header.Length;
        if (body.Length <= CopiedBytes)
        {
            body.CopyTo(head.AsMemory(length));
            await output.WriteAsync(head.AsMemory(0, length + body.Length), flush: true).ConfigureAwait(false);
            return;
        }

        await output.WriteAsync(head.AsMemory(0, length), flush: false).ConfigureAwait(false);
        await output.WriteAsync(body, flush: true).ConfigureAwait(false);
    }

    private async ValueTask<OutgoingChunk?> TakeAsync()
    {
        while (true)
        {
            lock (_gate)
            {
                if (_waiting.TryDequeue(out OutgoingChunk chunk))
                {
                    _bytes -= chunk.Size;
                    return chunk;
                }

                if (_closed)
                {
                    return null;
                }
            }

            await _signal.WaitAsync().ConfigureAwait(false);
        }
    }
}
