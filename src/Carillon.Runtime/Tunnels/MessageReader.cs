using System.Buffers;
using System.Buffers.Binary;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// Cuts a stream into batches of whole messages. It reads straight into the buffer that the batch will own; only the beginning
/// of a message that is not whole yet is copied, into the next one.
/// </summary>
internal sealed class MessageReader(TunnelInput input, int maxMessageBytes, int bufferBytes = MessageReader.BatchBytes) : IDisposable
{
    /// <summary>Bytes that a batch of small messages has at most.</summary>
    public const int BatchBytes = 64 << 10;

    private byte[] _buffer = ArrayPool<byte>.Shared.Rent(bufferBytes);
    private int _filled;

    /// <summary>The next batch, or null at the stream's end.</summary>
    /// <exception cref="TunnelProtocolException">A message above the limit, or a stream that ends within one.</exception>
    public async ValueTask<ReceivedMessages?> ReadAsync()
    {
        while (true)
        {
            int whole = WholeMessages(out int needed);
            if (whole > 0)
            {
                return Detach(whole);
            }

            if (needed > _buffer.Length)
            {
                Move(needed, from: 0);
            }

            int count = await input.ReadAsync(_buffer.AsMemory(_filled)).ConfigureAwait(false);
            if (count == 0)
            {
                return _filled == 0 ? null : throw new TunnelProtocolException("its stream ended inside a message");
            }

            _filled += count;
        }
    }

    /// <summary>The next message alone, for a handshake: what came behind it stays. Null at the stream's end.</summary>
    /// <exception cref="TunnelProtocolException">A message above the limit, or a stream that ends within one.</exception>
    public async ValueTask<byte[]?> ReadOneAsync()
    {
        using ReceivedMessages? batch = await ReadAsync().ConfigureAwait(false);
        if (batch is not { } messages)
        {
            return null;
        }

        ReceivedMessages.Enumerator all = messages.GetEnumerator();
        all.MoveNext();
        byte[] first = all.Current.ToArray();
        PutBack(messages.Bytes[(ReceivedMessages.PrefixBytes + first.Length)..]);
        return first;
    }

    /// <inheritdoc/>
    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);

    /// <summary>Bytes up to the end of the last whole message; and how many the next one needs, its length included.</summary>
    private int WholeMessages(out int needed)
    {
        int end = 0;
        needed = ReceivedMessages.PrefixBytes;
        while (_filled - end >= ReceivedMessages.PrefixBytes)
        {
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(_buffer.AsSpan(end));
            if (length > maxMessageBytes)
            {
                throw new TunnelProtocolException($"it sent a message of {length} bytes, the limit is {maxMessageBytes}");
            }

            needed = ReceivedMessages.PrefixBytes + (int)length;
            if (_filled - end < needed)
            {
                break;
            }

            end += needed;
            needed = ReceivedMessages.PrefixBytes;
        }

        return end;
    }

    private void PutBack(ReadOnlySpan<byte> bytes)
    {
        byte[] all = ArrayPool<byte>.Shared.Rent(Math.Max(bufferBytes, bytes.Length + _filled));
        bytes.CopyTo(all);
        _buffer.AsSpan(0, _filled).CopyTo(all.AsSpan(bytes.Length));
        ArrayPool<byte>.Shared.Return(_buffer);
        _buffer = all;
        _filled += bytes.Length;
    }

    private ReceivedMessages Detach(int whole)
    {
        byte[] batch = _buffer;
        Move(Math.Max(bufferBytes, _filled - whole), from: whole, keep: true);
        return new ReceivedMessages(batch, whole);
    }

    private void Move(int size, int from, bool keep = false)
    {
        byte[] next = ArrayPool<byte>.Shared.Rent(size);
        _buffer.AsSpan(from, _filled - from).CopyTo(next);
        _filled -= from;
        if (!keep)
        {
            ArrayPool<byte>.Shared.Return(_buffer);
        }

        _buffer = next;
    }
}
