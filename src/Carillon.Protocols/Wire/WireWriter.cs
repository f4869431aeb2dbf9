using System.Buffers.Binary;
using System.Text;

namespace Carillon.Protocols.Wire;

/// <summary>Writes little-endian fields into a span that its caller sized. Running over the end is a bug of the writer's Size.</summary>
public ref struct WireWriter(Span<byte> buffer)
{
    private readonly Span<byte> _buffer = buffer;

    /// <summary>Bytes written so far.</summary>
    public int Position { get; private set; }

    public void U8(byte value) => Take(1)[0] = value;

    public void Bool(bool value) => U8(value ? (byte)1 : (byte)0);

    public void U16(ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Take(2), value);

    public void U32(uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Take(4), value);

    public void U64(ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Take(8), value);

    public void I64(long value) => BinaryPrimitives.WriteInt64LittleEndian(Take(8), value);

    public void Bytes(scoped ReadOnlySpan<byte> value) => value.CopyTo(Take(value.Length));

    /// <summary>A length of four bytes, then the bytes.</summary>
    public void Blob(scoped ReadOnlySpan<byte> value)
    {
        U32((uint)value.Length);
        Bytes(value);
    }

    /// <summary>A length of two bytes, then UTF-8.</summary>
    public void Text(string value)
    {
        Span<byte> rest = _buffer[(Position + 2)..];
        int length = Encoding.UTF8.GetBytes(value, rest);
        Invariant.That(length <= ushort.MaxValue);
        U16((ushort)length);
        Take(length);
    }

    /// <summary>A length of one byte, then the name; a length of zero is no node.</summary>
    public void Node(NodeId node)
    {
        U8((byte)node.Name.Length);
        Encoding.ASCII.GetBytes(node.Name, Take(node.Name.Length));
    }

    public void Disk(DiskId disk) => BinaryPrimitives.WriteUInt128LittleEndian(Take(DiskId.Size), disk.Value);

    public void Digest(Digest digest) => digest.Write(Take(Protocols.Digest.Size));

    public void Chunk(ChunkId chunk) => Digest(chunk.Digest);

    public void Uid(Uid uid)
    {
        U64(uid.Stamp.Value);
        Node(uid.Server);
    }

    public void Tag(Tag tag)
    {
        Uid(tag.Uid);
        U64(tag.Nonce);
    }

    private Span<byte> Take(int count)
    {
        Span<byte> field = _buffer.Slice(Position, count);
        Position += count;
        return field;
    }
}
