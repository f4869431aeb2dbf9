using System.Buffers.Binary;

namespace Carillon.Storage.Log;

/// <summary>How an entry of a batch relates to a record: most are one; a record too long for a batch is cut into pieces.</summary>
internal enum EntryKind
{
    /// <summary>A record.</summary>
    Whole,

    /// <summary>The first piece of one.</summary>
    First,

    /// <summary>A piece between.</summary>
    Middle,

    /// <summary>The last piece: here the record is complete.</summary>
    Last,
}

/// <summary>The inside of a batch: entries of four bytes (kind in the two highest bits, length in the others) and then the bytes.</summary>
internal static class BatchPayload
{
    /// <summary>Bytes before each entry's own.</summary>
    public const int Prefix = 4;

    private const uint LengthBits = (1u << 30) - 1;

    public static void WritePrefix(Span<byte> into, EntryKind kind, int length) =>
        BinaryPrimitives.WriteUInt32LittleEndian(into, ((uint)kind << 30) | (uint)length);

    /// <summary>Takes the next entry off the front; false at the end, or where an entry says more than there is.</summary>
    public static bool TryTake(ref ReadOnlySpan<byte> rest, out EntryKind kind, out ReadOnlySpan<byte> entry)
    {
        kind = default;
        entry = default;
        if (rest.Length < Prefix)
        {
            return false;
        }

        uint prefix = BinaryPrimitives.ReadUInt32LittleEndian(rest);
        uint length = prefix & LengthBits;
        if (length > rest.Length - Prefix)
        {
            return false;
        }

        kind = (EntryKind)(prefix >> 30);
        entry = rest.Slice(Prefix, (int)length);
        rest = rest[(Prefix + (int)length)..];
        return true;
    }

    /// <summary>True if entries fill it to the last byte.</summary>
    public static bool IsWellFormed(ReadOnlySpan<byte> payload)
    {
        while (TryTake(ref payload, out _, out _))
        {
        }

        return payload.IsEmpty;
    }
}
