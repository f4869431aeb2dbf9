using System.Buffers.Binary;
using System.Text;
using Carillon.Protocols;

namespace Carillon.Storage.Catalogs;

/// <summary>
/// Tags as the catalog's keys: bytes whose order is the order of tags.
/// <code>
/// stamp 8 (most significant first) │ server, ASCII │ 0 │ nonce 8 (most significant first)
/// </code>
/// The first eight bytes alone are the lower bound of a stamp's tags, and with 0xFF behind them the upper: no server's name has such a
/// byte.
/// </summary>
internal static class TagKey
{
    /// <summary>The longest key, in bytes.</summary>
    public const int MaxSize = 8 + NodeId.MaxLength + 1 + 8;

    /// <summary>Writes a tag's key and gives the part of the buffer that it fills.</summary>
    public static ReadOnlySpan<byte> Of(Tag tag, Span<byte> buffer)
    {
        int length = WriteUid(tag.Uid, buffer);
        BinaryPrimitives.WriteUInt64BigEndian(buffer[length..], tag.Nonce);
        return buffer[..(length + 8)];
    }

    /// <summary>The least key that a tag of this UID can have.</summary>
    public static ReadOnlySpan<byte> LowerBound(Uid uid, Span<byte> buffer) => Of(new Tag(uid, 0), buffer);

    /// <summary>The greatest key that a tag of this UID can have.</summary>
    public static ReadOnlySpan<byte> UpperBound(Uid uid, Span<byte> buffer) => Of(new Tag(uid, ulong.MaxValue), buffer);

    /// <summary>A key below all tags of this stamp, above all of lower ones.</summary>
    public static ReadOnlySpan<byte> LowerBound(Timestamp stamp, Span<byte> buffer)
    {
        BinaryPrimitives.WriteUInt64BigEndian(buffer, stamp.Value);
        return buffer[..8];
    }

    /// <summary>A key above all tags of this stamp, below all of greater ones.</summary>
    public static ReadOnlySpan<byte> UpperBound(Timestamp stamp, Span<byte> buffer)
    {
        BinaryPrimitives.WriteUInt64BigEndian(buffer, stamp.Value);
        buffer[8] = 0xFF;
        return buffer[..9];
    }

    /// <summary>Reads a key of somebody else.</summary>
    public static bool TryRead(ReadOnlySpan<byte> key, out Tag tag)
    {
        bool isOne = key.Length is > 17 and <= MaxSize && key[^9] == 0 && NodeId.TryParse(key[8..^9], out _);
        tag = isOne ? Read(key) : default;
        return isOne;
    }

    /// <summary>Reads a key.</summary>
    /// <exception cref="StorageException">These bytes are no key: the catalog is damaged.</exception>
    public static Tag Read(ReadOnlySpan<byte> key)
    {
        if (key.Length is > 17 and <= MaxSize && key[^9] == 0 && NodeId.TryParse(key[8..^9], out NodeId server))
        {
            var uid = new Uid(new Timestamp(BinaryPrimitives.ReadUInt64BigEndian(key)), server);
            return new Tag(uid, BinaryPrimitives.ReadUInt64BigEndian(key[^8..]));
        }

        throw CatalogDamagedException.AsFault("a tag is not one");
    }

    private static int WriteUid(Uid uid, Span<byte> buffer)
    {
        BinaryPrimitives.WriteUInt64BigEndian(buffer, uid.Stamp.Value);
        int length = 8 + Encoding.ASCII.GetBytes(uid.Server.Name, buffer[8..]);
        buffer[length] = 0;
        return length + 1;
    }
}
