using System.Buffers.Binary;
using System.Text;

namespace Carillon.Protocols.Wire;

/// <summary>
/// Reads little-endian fields from bytes that nobody vouches for. A field that is not there, or breaks its limit, turns
/// <see cref="Failed"/> on for good and reads as zero: callers read a whole message and look once. It never throws, and
/// checks each length against what is left before anything is allocated.
/// </summary>
public ref struct WireReader(ReadOnlySpan<byte> buffer)
{
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private ReadOnlySpan<byte> _rest = buffer;

    /// <summary>True once any field was missing or out of its limit.</summary>
    public bool Failed { get; private set; }

    /// <summary>Bytes not read yet.</summary>
    public readonly int Remaining => _rest.Length;

    /// <summary>Marks the message as bad: a field has a value that its type excludes.</summary>
    public void Fail()
    {
        Failed = true;
        _rest = default;
    }

    public byte U8() => TryTake(1, out ReadOnlySpan<byte> field) ? field[0] : (byte)0;

    public bool Bool() => U8() != 0;

    public ushort U16() => TryTake(2, out ReadOnlySpan<byte> field) ? BinaryPrimitives.ReadUInt16LittleEndian(field) : (ushort)0;

    public uint U32() => TryTake(4, out ReadOnlySpan<byte> field) ? BinaryPrimitives.ReadUInt32LittleEndian(field) : 0;

    public ulong U64() => TryTake(8, out ReadOnlySpan<byte> field) ? BinaryPrimitives.ReadUInt64LittleEndian(field) : 0;

    public long I64() => TryTake(8, out ReadOnlySpan<byte> field) ? BinaryPrimitives.ReadInt64LittleEndian(field) : 0;

    /// <summary>Exactly <paramref name="count"/> bytes, in place.</summary>
    public ReadOnlySpan<byte> Bytes(int count) => TryTake(count, out ReadOnlySpan<byte> field) ? field : default;

    /// <summary>A length of four bytes, then the bytes, in place.</summary>
    public ReadOnlySpan<byte> Blob(int limit)
    {
        uint length = U32();
        if (length > limit)
        {
            Fail();
            return default;
        }

        return Bytes((int)length);
    }

    /// <summary>A length of two bytes, then well-formed UTF-8.</summary>
    public string Text(int limit)
    {
        int length = U16();
        if (length > limit)
        {
            Fail();
            return "";
        }

        ReadOnlySpan<byte> bytes = Bytes(length);
        if (!System.Text.Unicode.Utf8.IsValid(bytes))
        {
            Fail();
            return "";
        }

        return StrictUtf8.GetString(bytes);
    }

    /// <summary>A node, or none where the length is zero.</summary>
    public NodeId Node()
    {
        int length = U8();
        if (length == 0)
        {
            return default;
        }

        if (!NodeId.TryParse(Bytes(length), out NodeId node))
        {
            Fail();
        }

        return node;
    }

    public DiskId Disk() =>
        TryTake(DiskId.Size, out ReadOnlySpan<byte> field) ? new DiskId(BinaryPrimitives.ReadUInt128LittleEndian(field)) : default;

    public Digest Digest() => TryTake(Protocols.Digest.Size, out ReadOnlySpan<byte> field) ? Protocols.Digest.Read(field) : default;

    public ChunkId Chunk() => new(Digest());

    public Uid Uid() => new(new Timestamp(U64()), Node());

    public Tag Tag() => new(Uid(), U64());

    /// <summary>A count of four bytes that can be true: no more items than <paramref name="limit"/>, nor than bytes are left for.</summary>
    public int Count(int limit, int leastItemSize)
    {
        uint count = U32();
        if (count > limit || (long)count * leastItemSize > _rest.Length)
        {
            Fail();
            return 0;
        }

        return (int)count;
    }

    private bool TryTake(int count, out ReadOnlySpan<byte> field)
    {
        if (count < 0 || count > _rest.Length)
        {
            Fail();
            field = default;
            return false;
        }

        field = _rest[..count];
        _rest = _rest[count..];
        return true;
    }
}
