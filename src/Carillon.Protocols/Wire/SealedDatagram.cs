using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Carillon.Protocols.Wire;

/// <summary>The secret that all servers of a cluster share, and which of its successive ones it is. Rotation raises the epoch.</summary>
public sealed record ClusterKey
{
    /// <summary>Bytes of the secret.</summary>
    public const int SecretSize = 32;

    /// <summary>Takes over a secret of <see cref="SecretSize"/> bytes.</summary>
    public ClusterKey(uint epoch, ReadOnlyMemory<byte> secret)
    {
        Invariant.That(secret.Length == SecretSize);
        Epoch = epoch;
        Secret = secret;
    }

    /// <summary>Counts up with each rotation; in the clear on every datagram.</summary>
    public uint Epoch { get; }

    internal ReadOnlyMemory<byte> Secret { get; }

    /// <summary>The epoch; never the secret, which must not reach a log.</summary>
    public override string ToString() => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"cluster key {Epoch}");
}

/// <summary>What became of a datagram.</summary>
public enum DatagramVerdict
{
    /// <summary>It is what its sender sealed, and it is new.</summary>
    Opened,

    /// <summary>Too short, or a header that is none: truncated, or of another program.</summary>
    Malformed,

    /// <summary>A format version that this program does not know.</summary>
    UnknownVersion,

    /// <summary>The name of no server of this cluster.</summary>
    Stranger,

    /// <summary>Sealed under a cluster key that is not, or no longer, accepted.</summary>
    UnknownKey,

    /// <summary>From an earlier incarnation than one already heard, or behind the replay window.</summary>
    Old,

    /// <summary>Its counter was seen before.</summary>
    Replayed,

    /// <summary>Changed on its way, or sealed by somebody without the cluster key.</summary>
    NotAuthentic,
}

/// <summary>
/// The form in which datagrams between servers travel: AES-256-GCM (NIST SP 800-38D) under a key that belongs to one incarnation
/// of one disk alone, so that a counter can be the nonce and none is used twice, whatever a restart forgets (docs/formats/datagram.md).
/// </summary>
/// <remarks>
/// <code>
/// u8 version = 1 │ sender: u8 n, name n │ disk 16 │ u64 incarnation │ u32 key epoch │ u64 counter │ ciphertext │ tag 16
/// └──────────────────────── in the clear, authenticated ────────────────────────────────────────┘
/// key = HKDF-SHA-256 (RFC 5869) of the cluster key, info = "carillon datagram" │ name │ disk │ incarnation │ key epoch
/// nonce = 4 zero bytes │ counter
/// </code>
/// The length is the datagram's own, and authenticated by the tag.
/// </remarks>
public static class SealedDatagram
{
    /// <summary>Bytes of the tag at the end.</summary>
    public const int TagSize = 16;

    internal const byte FormatVersion = 1;

    internal const int CounterSize = 8;

    internal const int NonceSize = 12;

    private const int KeySize = 32;

    private const int FixedHeaderSize = 1 + 1 + DiskId.Size + 8 + 4 + CounterSize;

    /// <summary>Bytes that sealing adds to a message of this sender's.</summary>
    public static int Overhead(NodeId sender) => HeaderSize(sender) + TagSize;

    internal static int HeaderSize(NodeId sender) => FixedHeaderSize + sender.Name.Length;

    internal static void WriteHeader(Span<byte> header, ServerIdentity sender, uint keyEpoch, ulong counter)
    {
        var writer = new WireWriter(header);
        writer.U8(FormatVersion);
        writer.Node(sender.Name);
        writer.Disk(sender.Disk);
        writer.U64(sender.Incarnation.Value);
        writer.U32(keyEpoch);
        writer.U64(counter);
    }

    internal static void WriteNonce(Span<byte> nonce, ulong counter)
    {
        nonce[..(NonceSize - CounterSize)].Clear();
        BinaryPrimitives.WriteUInt64LittleEndian(nonce[(NonceSize - CounterSize)..], counter);
    }

    internal static AesGcm DeriveCipher(ClusterKey key, ServerIdentity sender)
    {
        // Only the name varies in length, and everything behind it has a fixed size: no two senders have the same info.
        ReadOnlySpan<byte> label = "carillon datagram"u8;
        Span<byte> info = stackalloc byte[label.Length + sender.Name.Name.Length + DiskId.Size + 8 + 4];
        var writer = new WireWriter(info);
        writer.Bytes(label);
        writer.Bytes(Encoding.ASCII.GetBytes(sender.Name.Name));
        writer.Disk(sender.Disk);
        writer.U64(sender.Incarnation.Value);
        writer.U32(key.Epoch);
        Span<byte> derived = stackalloc byte[KeySize];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, key.Secret.Span, derived, salt: [], info);
        var cipher = new AesGcm(derived, TagSize);
        CryptographicOperations.ZeroMemory(derived);
        return cipher;
    }
}
