using System.Buffers;
using System.Buffers.Binary;

namespace Carillon.Client.Groups;

/// <summary>
/// One operation on a table, as a message of its group: 1 byte version (1), 1 byte kind (1 set, 2 remove), 4 bytes length of the key,
/// little-endian, the key, and for a set the value.
/// </summary>
internal static class TableOperation
{
    public const byte Set = 1;
    public const byte Remove = 2;

    private const byte Version = 1;
    private const int HeaderBytes = 6;

    /// <summary>Writes an operation; the value only for a set.</summary>
    public static ReadOnlyMemory<byte> Encode<TKey, TValue>(
        byte kind, TKey key, ITableCodec<TKey> keys, TValue? value, ITableCodec<TValue> values)
    {
        var bytes = new ArrayBufferWriter<byte>();
        bytes.GetSpan(HeaderBytes)[..HeaderBytes].Clear();
        bytes.Advance(HeaderBytes);
        keys.Write(key, bytes);
        int length = bytes.WrittenCount - HeaderBytes;
        if (kind == Set)
        {
            values.Write(value!, bytes);
        }

        byte[] whole = bytes.WrittenSpan.ToArray();
        whole[0] = Version;
        whole[1] = kind;
        BinaryPrimitives.WriteInt32LittleEndian(whole.AsSpan(2), length);
        return whole;
    }

    /// <summary>Takes an operation apart; false where it is none that is known.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out byte kind, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        kind = 0;
        key = default;
        value = default;
        if (bytes.Length < HeaderBytes || bytes[0] != Version || bytes[1] is not (Set or Remove))
        {
            return false;
        }

        int length = BinaryPrimitives.ReadInt32LittleEndian(bytes[2..]);
        if (length < 0 || length > bytes.Length - HeaderBytes)
        {
            return false;
        }

        kind = bytes[1];
        key = bytes.Slice(HeaderBytes, length);
        value = bytes[(HeaderBytes + length)..];
        return kind == Set || value.IsEmpty;
    }
}
