using System.Buffers;
using Carillon.Protocols;

namespace Carillon.Runtime.Datagrams;

/// <summary>What is above the datagrams. Called on the sockets' own threads; it must not wait: what it can't take now it drops.</summary>
public interface IDatagramHandler
{
    /// <summary>An authentic datagram that was not seen before. The receiver owns it and disposes of it.</summary>
    void Receive(ServerIdentity sender, ReceivedDatagram datagram);

    /// <summary>Behind one or more of them, on the same thread: no other has come yet, or many have.</summary>
    void Drained();
}

/// <summary>One datagram's message in a rented buffer; not to be used after it was disposed of.</summary>
public readonly struct ReceivedDatagram : IDisposable
{
    private readonly byte[] _buffer;
    private readonly int _length;

    internal ReceivedDatagram(byte[] buffer, int length)
    {
        _buffer = buffer;
        _length = length;
    }

    /// <summary>The message.</summary>
    public ReadOnlyMemory<byte> Message => _buffer.AsMemory(0, _length);

    /// <inheritdoc/>
    public void Dispose() => ArrayPool<byte>.Shared.Return(_buffer);
}
