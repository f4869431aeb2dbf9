using System.Buffers.Binary;
using System.Globalization;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Groups;

/// <summary>What stands where a header was looked for.</summary>
internal enum ArchiveHeaderKind
{
    /// <summary>None of this disk in a place of its own.</summary>
    None,

    /// <summary>A right header of another disk.</summary>
    Foreign,

    /// <summary>A right header of a format that this program does not know.</summary>
    Newer,

    /// <summary>A right header of this disk, in its place.</summary>
    Right,
}

/// <summary>
/// The header of a batch of committed messages, at a multiple of 4 KiB in a file; its body follows at once
/// (docs/formats/message-archive.md).
/// <code>
///  0  magic "CMSG" (4)         4  format version (2)        6  zero (2)
///  8  first release that reads this format: major (2), minor (2)     12  zero (4)
/// 16  disk id (16)
/// 32  generation (8)          40  the file's own number (8)          48  first message's number (8)
/// 56  wall time, in ms since 1970 (8)                                64  own offset in the file (4)
/// 68  count of messages (4)   72  payload bytes (4)                  76  CRC-32C of the body (4)
/// 80  block mask (4)          84  zero (8)                           92  CRC-32C of bytes 0..91 (4)
/// </code>
/// Bytes 0 to 39, and the checksum at 92, keep place and meaning in every later version.
/// </summary>
internal readonly record struct ArchiveHeader(
    DiskId Disk, ulong Generation, ulong File, ulong First, long Time, uint Offset, int Count, int PayloadBytes, uint BodyChecksum,
    uint Mask)
{
    /// <summary>Bytes of a header.</summary>
    public const int Size = 96;

    /// <summary>Batches begin at multiples of this: writing one never touches a page that holds a flushed one.</summary>
    public const int Block = 4096;

    /// <summary>The format's longest batch: one message of the greatest length, and ample room.</summary>
    public const int MaxBatchBytes = 32 << 20;

    /// <summary>The format that this program writes.</summary>
    public const ushort Version = 1;

    /// <summary>"CMSG". <see cref="Log.BlockMask"/> keeps it from standing at the start of any block but a header's.</summary>
    public const uint Magic = 0x47534D43;

    /// <summary>The file's number of a patch: its serial number with this bit.</summary>
    public const ulong PatchBit = 1UL << 63;

    internal const ushort ReaderMajor = 0;
    internal const ushort ReaderMinor = 1;
    private const int CrcAt = Size - 4;

    // No number gets here, so that none can run over while a bad header is followed.
    private const ulong Endless = 1UL << 62;

    /// <summary>The last message's number.</summary>
    public ulong Last => First + (ulong)Count - 1;

    /// <summary>Bytes of the body.</summary>
    public int BodyBytes => (Count * BatchBody.DescriptorSize) + PayloadBytes;

    /// <summary>Bytes that the batch takes in its file.</summary>
    public int AlignedBytes => (int)Align(Size + BodyBytes);

    /// <summary>The next multiple of a block.</summary>
    public static long Align(long bytes) => (bytes + Block - 1) & ~(Block - 1L);

    /// <summary>Writes the header with its checksum.</summary>
    public void Write(Span<byte> into)
    {
        into = into[..Size];
        into.Clear();
        var writer = new WireWriter(into);
        writer.U32(Magic);
        writer.U16(Version);
        writer.U16(0);
        writer.U16(ReaderMajor);
        writer.U16(ReaderMinor);
        writer.U32(0);
        writer.Disk(Disk);
        writer.U64(Generation);
        writer.U64(File);
        writer.U64(First);
        writer.I64(Time);
        writer.U32(Offset);
        writer.U32((uint)Count);
        writer.U32((uint)PayloadBytes);
        writer.U32(BodyChecksum);
        writer.U32(Mask);
        BinaryPrimitives.WriteUInt32LittleEndian(into[CrcAt..], Crc32C.Of(into[..CrcAt]));
    }

    /// <summary>Reads what may be a header; for <see cref="ArchiveHeaderKind.Newer"/> only <paramref name="newerFormat"/> is set.</summary>
    public static ArchiveHeaderKind Read(ReadOnlySpan<byte> bytes, DiskId disk, out ArchiveHeader header, out string newerFormat)
    {
        header = default;
        newerFormat = "";
        var reader = new WireReader(bytes);
        if (bytes.Length < Size || reader.U32() != Magic
            || Crc32C.Of(bytes[..CrcAt]) != BinaryPrimitives.ReadUInt32LittleEndian(bytes[CrcAt..]))
        {
            return ArchiveHeaderKind.None;
        }

        ushort version = reader.U16();
        reader.Bytes(2);
        (ushort major, ushort minor) = (reader.U16(), reader.U16());
        reader.Bytes(4);
        DiskId owner = reader.Disk();
        if (owner != disk)
        {
            return ArchiveHeaderKind.Foreign;
        }

        if (version > Version)
        {
            newerFormat = string.Create(
                CultureInfo.InvariantCulture, $"message archive format {version}, which Carillon {major}.{minor} and later can read");
            return ArchiveHeaderKind.Newer;
        }

        header = new ArchiveHeader(
            owner, reader.U64(), reader.U64(), reader.U64(), reader.I64(), reader.U32(), (int)reader.U32(), (int)reader.U32(), reader.U32(),
            reader.U32());
        return header.IsPlausible ? ArchiveHeaderKind.Right : ArchiveHeaderKind.None;
    }

    private bool IsPlausible =>
        First is >= 1 and < Endless && Count is >= 1 and <= MaxBatchBytes / BatchBody.DescriptorSize
        && PayloadBytes is >= 0 and <= MaxBatchBytes && Size + BodyBytes <= MaxBatchBytes;
}
