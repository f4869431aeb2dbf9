using System.Buffers;
using System.Buffers.Binary;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// A batch of whole messages in one rented buffer, as they stood on the wire: <c>u32 length, payload</c>, again and again. Passed
/// along as one item; enumerated once by whoever handles it, and then disposed of. Not to be used after that.
/// </summary>
public readonly struct ReceivedMessages : IDisposable
{
    internal const int PrefixBytes = 4;

    private readonly byte[] _buffer;
    private readonly int _length;

    internal ReceivedMessages(byte[] buffer, int length)
    {
        _buffer = buffer;
        _length = length;
    }

    /// <summary>Bytes of the batch, prefixes included.</summary>
    public int Length => _length;

    internal ReadOnlySpan<byte> Bytes => _buffer.AsSpan(0, _length);

    /// <summary>Goes through the messages in order.</summary>
    public Enumerator GetEnumerator() => new(_buffer.AsMemory(0, _length));

    /// <inheritdoc/>
    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);

    /// <summary>Goes through the messages; each is valid until the batch is disposed of.</summary>
    public struct Enumerator
    {
        private ReadOnlyMemory<byte> _rest;

        internal Enumerator(ReadOnlyMemory<byte> rest)
        {
            _rest = rest;
            Current = default;
        }

        /// <summary>One message, without its length.</summary>
        public ReadOnlyMemory<byte> Current { get; private set; }

        /// <summary>Goes on to the next; false at the end.</summary>
        public bool MoveNext()
        {
            if (_rest.IsEmpty)
            {
                return false;
            }

            int length = (int)BinaryPrimitives.ReadUInt32LittleEndian(_rest.Span);
            Current = _rest.Slice(PrefixBytes, length);
            _rest = _rest[(PrefixBytes + length)..];
            return true;
        }
    }
}
