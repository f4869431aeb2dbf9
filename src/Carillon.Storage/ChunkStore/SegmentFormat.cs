using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Chunks;

/// <summary>
/// The two fixed blocks of a segment file: its header at the front, and the trailer that ends the footer
/// (docs/formats/chunk-segment.md).
/// </summary>
/// <remarks>
/// <code>
/// header:  0 u64 "CARCHUNK" │  8 u32 version = 1 │ 12 u32 segment │ 16 disk 16
///         32 u16, u16 first release that reads this version │ 36 zeros │ 60 u32 CRC-32C of bytes 0–59
/// trailer: 0 u64 "CARCFOOT" │  8 u32 version = 1 │ 12 u32 segment │ 16 u32 footer offset │ 20 u32 footer length
///         24 u32 CRC-32C of the footer │ 28 zeros │ 60 u32 CRC-32C of bytes 0–59, seeded with the disk id as records are
/// </code>
/// </remarks>
internal static class SegmentFormat
{
    /// <summary>Bytes of the header, and of the trailer.</summary>
    public const int BlockSize = 64;

    /// <summary>Where the first batch begins.</summary>
    public const int RecordsAt = RecordHeader.BatchAlignment;

    // The first release that reads the format that is written.
    private const ushort ReaderMajor = 0;
    private const ushort ReaderMinor = 1;

    private const ulong HeaderMagic = 0x4B4E_5548_4352_4143;
    private const ulong TrailerMagic = 0x544F_4F46_4352_4143;
    private const int CrcAt = BlockSize - 4;

    public static void WriteHeader(Span<byte> into, uint segment, DiskId disk)
    {
        into = into[..BlockSize];
        into.Clear();
        var writer = new WireWriter(into);
        writer.U64(HeaderMagic);
        writer.U32(RecordHeader.FormatVersion);
        writer.U32(segment);
        writer.Disk(disk);
        writer.U16(ReaderMajor);
        writer.U16(ReaderMinor);
        BinaryPrimitives.WriteUInt32LittleEndian(into[CrcAt..], Crc32C.Of(into[..CrcAt]));
    }

    /// <summary>Reads a header; where a newer format is named, segment and disk are right all the same.</summary>
    public static bool TryReadHeader(ReadOnlySpan<byte> from, out string? newerFormat, out uint segment, out DiskId disk)
    {
        var reader = new WireReader(from);
        ulong magic = reader.U64();
        uint version = reader.U32();
        segment = reader.U32();
        disk = reader.Disk();
        (ushort major, ushort minor) = (reader.U16(), reader.U16());
        newerFormat = version <= RecordHeader.FormatVersion
            ? null
            : $"format version {version}, which release {major}.{minor} and later read";
        return from.Length >= BlockSize && magic == HeaderMagic
            && BinaryPrimitives.ReadUInt32LittleEndian(from[CrcAt..]) == Crc32C.Of(from[..CrcAt]);
    }

    public static void WriteTrailer(Span<byte> into, uint seed, in Trailer trailer)
    {
        into = into[..BlockSize];
        into.Clear();
        var writer = new WireWriter(into);
        writer.U64(TrailerMagic);
        writer.U32(RecordHeader.FormatVersion);
        writer.U32(trailer.Segment);
        writer.U32(trailer.Offset);
        writer.U32(trailer.Length);
        writer.U32(trailer.Crc);
        BinaryPrimitives.WriteUInt32LittleEndian(into[CrcAt..], ~Crc32C.Add(seed, into[..CrcAt]));
    }

    public static bool TryReadTrailer(ReadOnlySpan<byte> from, uint seed, out Trailer trailer)
    {
        var reader = new WireReader(from);
        ulong magic = reader.U64();
        uint version = reader.U32();
        trailer = new Trailer(reader.U32(), reader.U32(), reader.U32(), reader.U32());
        return from.Length >= BlockSize && magic == TrailerMagic && version == RecordHeader.FormatVersion
            && BinaryPrimitives.ReadUInt32LittleEndian(from[CrcAt..]) == ~Crc32C.Add(seed, from[..CrcAt]);
    }

    /// <summary>Where a segment's footer is.</summary>
    internal readonly record struct Trailer(uint Segment, uint Offset, uint Length, uint Crc);
}
