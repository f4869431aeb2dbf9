using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Cluster;

/// <summary>
/// What a disk is told that the version in force does not name, and that asks for a later one than its own: <c>u8 version = 1 │ u8 type:
/// 7 │ u64 version │ disk 16</c>. A disk that was taken out never comes back, so it stops.
/// </summary>
/// <param name="Version">The version in force at who tells it.</param>
/// <param name="Disk">Which disk is meant: its server may have another one under the same name.</param>
public readonly record struct ExclusionMessage(ulong Version, DiskId Disk)
{
    private const byte FormatVersion = 1;
    private const byte Type = 7;

    /// <summary>True if these are the bytes of such a message, as far as their head tells.</summary>
    public static bool IsOne(ReadOnlySpan<byte> bytes) => bytes.Length > 1 && bytes[1] == Type;

    /// <summary>The message's bytes.</summary>
    public byte[] Encode()
    {
        byte[] bytes = new byte[2 + 8 + DiskId.Size];
        var writer = new WireWriter(bytes);
        writer.U8(FormatVersion);
        writer.U8(Type);
        writer.U64(Version);
        writer.Disk(Disk);
        return bytes;
    }

    /// <summary>Reads a message; false for bytes that are none.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out ExclusionMessage message)
    {
        var reader = new WireReader(bytes);
        byte format = reader.U8();
        byte type = reader.U8();
        message = new ExclusionMessage(reader.U64(), reader.Disk());
        return !reader.Failed && reader.Remaining == 0 && format == FormatVersion && type == Type;
    }
}
