using System.Security.Cryptography;

namespace Carillon.Protocols.Wire;

/// <summary>
/// Seals this server's datagrams. One object seals for the whole life of an incarnation: a second one would count from 1 again
/// under the same key. Not for several threads at once.
/// </summary>
public sealed class SealedDatagramSealer : IDisposable
{
    private readonly ServerIdentity _self;
    private AesGcm _cipher;
    private uint _keyEpoch;
    private ulong _counter;

    /// <summary>Makes a sealer; the incarnation is durable before.</summary>
    public SealedDatagramSealer(ServerIdentity self, ClusterKey key)
    {
        _self = self;
        _keyEpoch = key.Epoch;
        _cipher = SealedDatagram.DeriveCipher(key, self);
    }

    /// <summary>Bytes that sealing adds.</summary>
    public int Overhead => SealedDatagram.Overhead(_self.Name);

    /// <summary>Seals under a newer key from now on. Peers accept it before: they are given it first.</summary>
    public void Rotate(ClusterKey key)
    {
        Invariant.That(key.Epoch > _keyEpoch);
        _cipher.Dispose();
        _cipher = SealedDatagram.DeriveCipher(key, _self);
        _keyEpoch = key.Epoch;
    }

    /// <summary>Seals a message into a datagram; returns its length, which is the message's and <see cref="Overhead"/>.</summary>
    public int Seal(ReadOnlySpan<byte> message, Span<byte> datagram)
    {
        int headerSize = SealedDatagram.HeaderSize(_self.Name);
        Span<byte> header = datagram[..headerSize];
        _counter = checked(_counter + 1);
        SealedDatagram.WriteHeader(header, _self, _keyEpoch, _counter);
        Span<byte> nonce = stackalloc byte[SealedDatagram.NonceSize];
        SealedDatagram.WriteNonce(nonce, _counter);
        _cipher.Encrypt(
            nonce, message, datagram.Slice(headerSize, message.Length), datagram.Slice(headerSize + message.Length, SealedDatagram.TagSize),
            header);
        return headerSize + message.Length + SealedDatagram.TagSize;
    }

    /// <inheritdoc/>
    public void Dispose() => _cipher.Dispose();
}
