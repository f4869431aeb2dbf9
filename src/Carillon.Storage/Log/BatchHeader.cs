using System.Buffers.Binary;
using System.Globalization;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Log;

/// <summary>What stands where a batch header was looked for.</summary>
internal enum HeaderKind
{
    /// <summary>No header: zeros, the end of the file, or the inside of an old batch.</summary>
    Blank,

    /// <summary>It begins like a header, but its checksum is wrong.</summary>
    Broken,

    /// <summary>A right header of another disk.</summary>
    Foreign,

    /// <summary>A right header of a format that this program does not know.</summary>
    Newer,

    /// <summary>A right header of this disk.</summary>
    Right,
}

/// <summary>
/// The header of a flushed batch, at a multiple of 4 KiB in a segment; the records follow at once (docs/formats/segment-log.md).
/// <code>
///  0  magic "CLOG" (4)         4  format version (2)        6  zero (2)
///  8  first release that reads this format: major (2), minor (2)     12  zero (4)
/// 16  disk id (16)
/// 32  segment generation (8)  40  batch number (8)         48  records completed before this batch (8)
/// 56  oldest generation needed (8)                         64  payload bytes (4)   68  CRC-32C of the payload (4)
/// 72  block mask (4)          76  CRC-32C of bytes 0..75 (4)
/// </code>
/// Bytes 0 to 39, and the checksum at 76, keep place and meaning in every later version, so that an older program recognises what it
/// can't read.
/// </summary>
internal readonly record struct BatchHeader(
    DiskId Disk, long Generation, long Number, long Before, long Oldest, int PayloadBytes, uint PayloadChecksum, uint Mask)
{
    /// <summary>Bytes of a header.</summary>
    public const int Size = 80;

    /// <summary>
    /// Batches begin at multiples of this, the page of the kernel and of common disks: writing a batch never touches a page that
    /// holds a flushed one, so a torn write can't harm it.
    /// </summary>
    public const int Block = 4096;

    /// <summary>The format's longest batch: bounds what a reader holds in memory.</summary>
    public const int MaxBatchBytes = 4 << 20;

    /// <summary>The format that this program writes.</summary>
    public const ushort Version = 1;

    /// <summary>The first release that reads <see cref="Version"/>.</summary>
    private const ushort ReaderMajor = 0;
    private const ushort ReaderMinor = 1;

    /// <summary>"CLOG". <see cref="BlockMask"/> keeps it from standing at the start of any block but a header's.</summary>
    public const uint Magic = 0x474F4C43;

    /// <summary>Bytes that the batch takes in its segment.</summary>
    public int AlignedBytes => Align(Size + PayloadBytes);

    /// <summary>The next multiple of a block.</summary>
    public static int Align(int bytes) => (bytes + Block - 1) & ~(Block - 1);

    /// <summary>Writes the header with its checksum.</summary>
    public void Write(Span<byte> into)
    {
        var writer = new WireWriter(into[..Size]);
        writer.U32(Magic);
        writer.U16(Version);
        writer.U16(0);
        writer.U16(ReaderMajor);
        writer.U16(ReaderMinor);
        writer.U32(0);
        writer.Disk(Disk);
        writer.I64(Generation);
        writer.I64(Number);
        writer.I64(Before);
        writer.I64(Oldest);
        writer.U32((uint)PayloadBytes);
        writer.U32(PayloadChecksum);
        writer.U32(Mask);
        writer.U32(Crc32C.Of(into[..(Size - 4)]));
    }

    /// <summary>
    /// Reads what may be a header; for <see cref="HeaderKind.Newer"/> only disk, generation and <paramref name="newerFormat"/> are set.
    /// </summary>
    public static HeaderKind Read(ReadOnlySpan<byte> bytes, DiskId disk, out BatchHeader header, out string newerFormat)
    {
        header = default;
        newerFormat = "";
        var reader = new WireReader(bytes);
        if (bytes.Length < Size || reader.U32() != Magic)
        {
            return HeaderKind.Blank;
        }

        if (Crc32C.Of(bytes[..(Size - 4)]) != BinaryPrimitives.ReadUInt32LittleEndian(bytes[(Size - 4)..]))
        {
            return HeaderKind.Broken;
        }

        ushort version = reader.U16();
        reader.Bytes(2);
        (ushort major, ushort minor) = (reader.U16(), reader.U16());
        reader.Bytes(4);
        header = new BatchHeader(reader.Disk(), reader.I64(), 0, 0, 0, 0, 0, 0);
        if (header.Disk != disk)
        {
            return HeaderKind.Foreign;
        }

        if (version > Version)
        {
            newerFormat = string.Create(
                CultureInfo.InvariantCulture, $"log format {version}, which Carillon {major}.{minor} and later can read");
            return HeaderKind.Newer;
        }

        header = header with
        {
            Number = reader.I64(),
            Before = reader.I64(),
            Oldest = reader.I64(),
            PayloadBytes = (int)reader.U32(),
            PayloadChecksum = reader.U32(),
            Mask = reader.U32(),
        };
        return header.IsPlausible(version) ? HeaderKind.Right : HeaderKind.Broken;
    }

    // No count gets here; so none can run over while a bad header is followed.
    private const long Endless = 1L << 62;

    private bool IsPlausible(ushort version) =>
        version == Version && Generation is >= 1 and < Endless && Number is >= 1 and < Endless && Before is >= 0 and < Endless
        && Oldest >= 1 && Oldest <= Generation
        && PayloadBytes is >= 0 and <= MaxBatchBytes - Size;
}
