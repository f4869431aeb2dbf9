using System.Buffers.Binary;
using System.Security.Cryptography;

namespace Carillon.Protocols;

/// <summary>A SHA-256 digest (FIPS 180-4), held as four words so that it can be a key without allocation.</summary>
public readonly record struct Digest(ulong A, ulong B, ulong C, ulong D) : IComparable<Digest>
{
    /// <summary>Bytes on the wire and on disk.</summary>
    public const int Size = 32;

    // To set the library's state up costs as much as to hash a small record: each thread keeps one.
    [ThreadStatic] private static IncrementalHash? _hash;

    /// <summary>The digest of some bytes.</summary>
    public static Digest Of(ReadOnlySpan<byte> bytes)
    {
        Span<byte> hash = stackalloc byte[Size];
        IncrementalHash sha256 = _hash ??= IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        sha256.AppendData(bytes);
        sha256.GetHashAndReset(hash);
        return Read(hash);
    }

    /// <summary>Reads 32 bytes, most significant first, so that the order of digests is the order of their bytes.</summary>
    public static Digest Read(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt64BigEndian(bytes),
        BinaryPrimitives.ReadUInt64BigEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt64BigEndian(bytes[16..]),
        BinaryPrimitives.ReadUInt64BigEndian(bytes[24..]));

    /// <summary>Writes 32 bytes.</summary>
    public void Write(Span<byte> bytes)
    {
        BinaryPrimitives.WriteUInt64BigEndian(bytes, A);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[8..], B);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[16..], C);
        BinaryPrimitives.WriteUInt64BigEndian(bytes[24..], D);
    }

    /// <inheritdoc/>
    public int CompareTo(Digest other)
    {
        int order = A.CompareTo(other.A);
        order = order != 0 ? order : B.CompareTo(other.B);
        order = order != 0 ? order : C.CompareTo(other.C);
        return order != 0 ? order : D.CompareTo(other.D);
    }

    /// <summary>64 lower-case hexadecimal digits.</summary>
    public override string ToString()
    {
        Span<byte> bytes = stackalloc byte[Size];
        Write(bytes);
        return Convert.ToHexStringLower(bytes);
    }

    /// <summary>Reads 64 hexadecimal digits.</summary>
    public static bool TryParse(ReadOnlySpan<char> text, out Digest digest)
    {
        digest = default;
        Span<byte> bytes = stackalloc byte[Size];
        if (text.Length != Size * 2
            || Convert.FromHexString(text, bytes, out _, out int written) != System.Buffers.OperationStatus.Done || written != Size)
        {
            return false;
        }

        digest = Read(bytes);
        return true;
    }
}

/// <summary>A chunk's name: the SHA-256 of the bytes that are stored (after optional compression).</summary>
public readonly record struct ChunkId(Digest Digest) : IComparable<ChunkId>
{
    /// <summary>Bytes on the wire and on disk.</summary>
    public const int Size = Digest.Size;

    /// <summary>The name of some stored bytes.</summary>
    public static ChunkId Of(ReadOnlySpan<byte> stored) => new(Digest.Of(stored));

    /// <inheritdoc/>
    public int CompareTo(ChunkId other) => Digest.CompareTo(other.Digest);

    /// <inheritdoc/>
    public override string ToString() => Digest.ToString();
}
