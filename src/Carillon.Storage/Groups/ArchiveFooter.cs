using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Groups;

/// <summary>
/// The list of its batches at the end of a closed segment, so that a start reads two pages of it (docs/formats/message-archive.md).
/// <code>
/// batch:    0  first number (8)    8  count (4)   12  offset (4)   16  bytes (4)   20  zero (4)   24  wall time (8)
/// trailer:  0  magic "CMSF" (4)    4  format version (2)    6  zero (10)    16  disk id (16)
///          32  generation (8)     40  the segment's first number (8)
///          48  offset of the list (4)     52  batches (4)   56  CRC-32C of the list (4)   60  CRC-32C of bytes 0..59 (4)
/// </code>
/// </summary>
internal static class ArchiveFooter
{
    /// <summary>A segment is closed when it has so many batches: bounds what a reader holds in memory.</summary>
    public const int MaxBatches = 65_536;

    private const uint Magic = 0x46534D43;
    private const int EntrySize = 32;
    private const int TrailerSize = 64;
    private const int CrcAt = TrailerSize - 4;

    /// <summary>The list and its trailer, to be written from a multiple of 4 KiB on.</summary>
    public static byte[] Encode(DiskId disk, ulong generation, ArchiveFile segment, IReadOnlyList<BatchPlace> places)
    {
        byte[] bytes = new byte[(places.Count * EntrySize) + TrailerSize];
        var writer = new WireWriter(bytes);
        foreach (BatchPlace place in places)
        {
            writer.U64(place.First);
            writer.U32((uint)(place.Last - place.First + 1));
            writer.U32(place.Offset);
            writer.U32(place.Bytes);
            writer.U32(0);
            writer.I64(place.Time);
        }

        uint crc = Crc32C.Of(bytes.AsSpan(0, writer.Position));
        writer.U32(Magic);
        writer.U16(ArchiveHeader.Version);
        writer.Bytes(stackalloc byte[10]);
        writer.Disk(disk);
        writer.U64(generation);
        writer.U64(segment.Number);
        writer.U32((uint)segment.End);
        writer.U32((uint)places.Count);
        writer.U32(crc);
        Span<byte> trailer = bytes.AsSpan(places.Count * EntrySize);
        BinaryPrimitives.WriteUInt32LittleEndian(trailer[CrcAt..], Crc32C.Of(trailer[..CrcAt]));
        return bytes;
    }

    /// <summary>Reads a segment's list; null if there is none, or it is not whole.</summary>
    public static List<BatchPlace>? Read(IStorageFile file, DiskId disk, ulong generation, ArchiveFile segment)
    {
        long at = file.Length - TrailerSize;
        byte[] trailer = new byte[TrailerSize];
        if (at < 0 || file.Read(at, trailer) != TrailerSize
            || Crc32C.Of(trailer.AsSpan(0, CrcAt)) != BinaryPrimitives.ReadUInt32LittleEndian(trailer.AsSpan(CrcAt)))
        {
            return null;
        }

        var reader = new WireReader(trailer);
        bool isRight = reader.U32() == Magic && reader.U16() == ArchiveHeader.Version;
        reader.Bytes(10);
        isRight &= reader.Disk() == disk && reader.U64() == generation && reader.U64() == segment.Number;
        (uint offset, uint count, uint crc) = (reader.U32(), reader.U32(), reader.U32());
        if (!isRight || count > MaxBatches || offset + ((long)count * EntrySize) != at)
        {
            return null;
        }

        byte[] list = new byte[count * EntrySize];
        segment.End = offset;
        return file.Read(offset, list) == list.Length && Crc32C.Of(list) == crc ? Places(list, segment) : null;
    }

    private static List<BatchPlace>? Places(ReadOnlySpan<byte> list, ArchiveFile segment)
    {
        var places = new List<BatchPlace>(list.Length / EntrySize);
        var reader = new WireReader(list);
        ulong next = segment.Number;
        while (reader.Remaining > 0)
        {
            (ulong first, uint count, uint offset, uint bytes) = (reader.U64(), reader.U32(), reader.U32(), reader.U32());
            reader.U32();
            if (first < next || count == 0 || bytes > ArchiveHeader.MaxBatchBytes || bytes < ArchiveHeader.Size)
            {
                return null;
            }

            next = first + count;
            places.Add(new BatchPlace(first, next - 1, segment, offset, bytes, reader.I64()));
        }

        return places;
    }
}
