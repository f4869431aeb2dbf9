using System.Buffers.Binary;
using System.Security.Cryptography;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>
/// A table at one number, in the one form that its content has (docs/formats/group-streams.md): "CRT", 1 byte version, 8 bytes number,
/// 8 bytes count, then each entry in the order of its key's bytes: 4 bytes length and the key, 4 bytes length and the value; at the end the
/// SHA-256 of all before. Numbers are little-endian.
/// </summary>
internal static class TableCheckpoint
{
    private const int HeaderBytes = 20;

    private static ReadOnlySpan<byte> Magic => "CRT\u0001"u8;

    /// <summary>Writes a table.</summary>
    public static byte[] Encode(SequenceNumber number, IEnumerable<KeyValuePair<byte[], byte[]>> entries)
    {
        KeyValuePair<byte[], byte[]>[] sorted = [.. entries];
        Array.Sort(sorted, (a, b) => a.Key.AsSpan().SequenceCompareTo(b.Key));
        byte[] bytes = new byte[HeaderBytes + sorted.Sum(e => 8L + e.Key.Length + e.Value.Length) + SHA256.HashSizeInBytes];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(4), number.Value);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(12), sorted.Length);
        int at = HeaderBytes;
        foreach ((byte[] key, byte[] value) in sorted)
        {
            at = Append(bytes, at, key);
            at = Append(bytes, at, value);
        }

        SHA256.HashData(bytes.AsSpan(0, at), bytes.AsSpan(at));
        return bytes;
    }

    /// <summary>Reads a table; false where the bytes are not one, whole and unharmed.</summary>
    public static bool TryDecode(
        ReadOnlySpan<byte> bytes, out SequenceNumber number, out List<KeyValuePair<byte[], byte[]>> entries)
    {
        number = default;
        entries = [];
        int end = bytes.Length - SHA256.HashSizeInBytes;
        if (end < HeaderBytes || !bytes[..4].SequenceEqual(Magic) || !SHA256.HashData(bytes[..end]).AsSpan().SequenceEqual(bytes[end..]))
        {
            return false;
        }

        number = new SequenceNumber(BinaryPrimitives.ReadUInt64LittleEndian(bytes[4..]));
        long count = BinaryPrimitives.ReadInt64LittleEndian(bytes[12..]);
        ReadOnlySpan<byte> left = bytes[HeaderBytes..end];
        for (long i = 0; i < count; i++)
        {
            if (!TryTake(ref left, out byte[] key) || !TryTake(ref left, out byte[] value))
            {
                return false;
            }

            entries.Add(new(key, value));
        }

        return left.IsEmpty;
    }

    private static int Append(byte[] bytes, int at, byte[] part)
    {
        BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(at), part.Length);
        part.CopyTo(bytes, at + 4);
        return at + 4 + part.Length;
    }

    private static bool TryTake(ref ReadOnlySpan<byte> left, out byte[] part)
    {
        part = [];
        int length = left.Length < 4 ? -1 : BinaryPrimitives.ReadInt32LittleEndian(left);
        if (length < 0 || length > left.Length - 4)
        {
            return false;
        }

        part = left.Slice(4, length).ToArray();
        left = left[(4 + length)..];
        return true;
    }
}
