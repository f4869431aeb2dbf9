using System.Buffers.Binary;
using System.Globalization;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Groups;

/// <summary>
/// From which number on an archive keeps messages, and the state of the group's sessions just before that. It is durable before anything
/// that it gives up is removed. Written twice in one file, the second time from a multiple of 4 KiB on, since nothing could replace it
/// (docs/formats/message-archive.md).
/// <code>
///  0  magic "CMSR" (4)         4  format version (2)        6  zero (2)
///  8  first release that reads this format: major (2), minor (2)     12  zero (4)
/// 16  disk id (16)
/// 32  generation (8)          40  first number kept (8)     48  bytes of the sessions' state (4)
/// 52  its CRC-32C (4)         56  zero (4)                  60  CRC-32C of bytes 0..59 (4)
/// 64  the sessions' state
/// </code>
/// </summary>
internal sealed record ArchiveRecord(ulong Generation, ulong First, ReadOnlyMemory<byte> Sessions)
{
    /// <summary>The longest state of sessions.</summary>
    public const int MaxSessionBytes = 64 << 20;

    private const uint Magic = 0x52534D43;
    private const int HeaderSize = 64;
    private const int CrcAt = HeaderSize - 4;

    /// <summary>Both copies.</summary>
    public byte[] Encode(DiskId disk)
    {
        int second = (int)ArchiveHeader.Align(HeaderSize + Sessions.Length);
        byte[] bytes = new byte[second + HeaderSize + Sessions.Length];
        var writer = new WireWriter(bytes);
        writer.U32(Magic);
        writer.U16(ArchiveHeader.Version);
        writer.U16(0);
        writer.U16(ArchiveHeader.ReaderMajor);
        writer.U16(ArchiveHeader.ReaderMinor);
        writer.U32(0);
        writer.Disk(disk);
        writer.U64(Generation);
        writer.U64(First);
        writer.U32((uint)Sessions.Length);
        writer.U32(Crc32C.Of(Sessions.Span));
        writer.U32(0);
        BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(CrcAt), Crc32C.Of(bytes.AsSpan(0, CrcAt)));
        Sessions.Span.CopyTo(bytes.AsSpan(HeaderSize));
        bytes.AsSpan(0, HeaderSize + Sessions.Length).CopyTo(bytes.AsSpan(second));
        return bytes;
    }

    /// <summary>Reads the file; null if neither copy is whole.</summary>
    /// <exception cref="StorageException">It is of another disk, or of a newer release; or it could not be read.</exception>
    public static ArchiveRecord? Read(IStorageFile file, string name, DiskId disk)
    {
        if (ReadCopy(file, name, disk, 0) is { } first)
        {
            return first;
        }

        // Where the second copy begins is not known if the first one's length is not: both copies are equally long.
        for (long at = ArchiveHeader.Block; at + HeaderSize <= file.Length; at += ArchiveHeader.Block)
        {
            if (ReadCopy(file, name, disk, at) is { } second)
            {
                return second;
            }
        }

        return null;
    }

    private static ArchiveRecord? ReadCopy(IStorageFile file, string name, DiskId disk, long at)
    {
        byte[] header = new byte[HeaderSize];
        var reader = new WireReader(header);
        if (file.Read(at, header) != HeaderSize || reader.U32() != Magic
            || Crc32C.Of(header.AsSpan(0, CrcAt)) != BinaryPrimitives.ReadUInt32LittleEndian(header.AsSpan(CrcAt)))
        {
            return null;
        }

        ushort version = reader.U16();
        reader.Bytes(2);
        (ushort major, ushort minor) = (reader.U16(), reader.U16());
        reader.Bytes(4);
        if (reader.Disk() != disk)
        {
            throw new StorageException(StorageFault.Failed, $"The message archive's record {name} belongs to another disk.");
        }

        if (version > ArchiveHeader.Version)
        {
            throw new StorageException(StorageFault.Failed, string.Create(
                CultureInfo.InvariantCulture,
                $"The file {name} has message archive format {version}, which Carillon {major}.{minor} and later can read."));
        }

        (ulong generation, ulong first, uint length, uint crc) = (reader.U64(), reader.U64(), reader.U32(), reader.U32());
        bool isInPlace = at == 0 || at == ArchiveHeader.Align(HeaderSize + (long)length);
        if (first == 0 || length > MaxSessionBytes || !isInPlace || at + HeaderSize + length > file.Length)
        {
            return null;
        }

        byte[] sessions = new byte[length];
        return file.Read(at + HeaderSize, sessions) == length && Crc32C.Of(sessions) == crc
            ? new ArchiveRecord(generation, first, sessions)
            : null;
    }
}
