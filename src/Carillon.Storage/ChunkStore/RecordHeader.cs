using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Chunks;

/// <summary>What a record of a segment says. The numbers are on disk.</summary>
internal enum RecordKind : byte
{
    /// <summary>A chunk's bytes, and the put-intent under which they came, if any.</summary>
    Chunk = 1,

    /// <summary>Put-intents of one tag for chunks that are (or were) here: the payload lists their ids.</summary>
    Intents = 2,

    /// <summary>All intents of the tag are over.</summary>
    EndIntents = 3,

    /// <summary>The chunk is no longer here: collected, or its copy was bad.</summary>
    Drop = 4,
}

/// <summary>
/// The 128 bytes before each record's payload; records begin at multiples of 64 bytes (docs/formats/chunk-segment.md). A header
/// knows its own place and its checksum is seeded with the disk id, so that no bytes of a chunk, nor of another disk, pass for one.
/// </summary>
/// <remarks>
/// <code>
///  0 u32 magic │ 4 u8 version = 1 │ 5 u8 kind │ 6 u8 flags (1: first, 2: last of its batch) │ 7 u8 replicas
///  8 u32 segment │ 12 u32 offset │ 16 chunk id 32, zeros for intents and their ends
/// 48 u32 payload length │ 52 u32 detail: CRC-32C of an intents payload, or the segment whose record this one ends
/// 56 tag: u64 stamp, u64 nonce, u8 length and 32 bytes of the server's name │ 105 zeros │ 124 u32 CRC-32C of bytes 0–123
/// </code>
/// </remarks>
internal readonly struct RecordHeader
{
    /// <summary>Bytes of a header.</summary>
    public const int Size = 128;

    /// <summary>Records begin at multiples of this.</summary>
    public const int Alignment = 64;

    /// <summary>The format that this program writes, and the greatest that it reads.</summary>
    public const byte FormatVersion = 1;

    /// <summary>"CHNK".</summary>
    public const uint Magic = 0x4B4E_4843;

    /// <summary>
    /// Batches and footers begin at multiples of this, the page of common disks: a torn write never touches a page that was
    /// flushed before.
    /// </summary>
    public const int BatchAlignment = 4096;

    private const byte FirstOfBatchFlag = 1;
    private const byte LastOfBatchFlag = 2;
    private const int CrcAt = Size - 4;

    public RecordKind Kind { get; init; }

    public bool IsFirstOfBatch { get; init; }

    public bool IsLastOfBatch { get; init; }

    public byte Replicas { get; init; }

    public uint Segment { get; init; }

    public uint Offset { get; init; }

    public ChunkId Id { get; init; }

    public uint Length { get; init; }

    public uint Detail { get; init; }

    public Tag Tag { get; init; }

    /// <summary>Bytes that the record takes, up to where the next may begin.</summary>
    public long Extent => ExtentOf(Length);

    public static long ExtentOf(long length) => AlignUp(Size + length);

    public static long AlignUp(long position) => (position + Alignment - 1) & ~(long)(Alignment - 1);

    public static long AlignToBatch(long position) => (position + BatchAlignment - 1) & ~(long)(BatchAlignment - 1);

    /// <summary>The seed of all checksums on one disk.</summary>
    public static uint SeedOf(DiskId disk)
    {
        Span<byte> bytes = stackalloc byte[DiskId.Size];
        BinaryPrimitives.WriteUInt128LittleEndian(bytes, disk.Value);
        return Crc32C.Add(~0u, bytes);
    }

    public void Write(Span<byte> into, uint seed)
    {
        into = into[..Size];
        into.Clear();
        var writer = new WireWriter(into);
        writer.U32(Magic);
        writer.U8(FormatVersion);
        writer.U8((byte)Kind);
        writer.U8((byte)((IsFirstOfBatch ? FirstOfBatchFlag : 0) | (IsLastOfBatch ? LastOfBatchFlag : 0)));
        writer.U8(Replicas);
        writer.U32(Segment);
        writer.U32(Offset);
        writer.Chunk(Id);
        writer.U32(Length);
        writer.U32(Detail);
        writer.U64(Tag.Uid.Stamp.Value);
        writer.U64(Tag.Nonce);
        writer.Node(Tag.Uid.Server);
        BinaryPrimitives.WriteUInt32LittleEndian(into[CrcAt..], ~Crc32C.Add(seed, into[..CrcAt]));
    }

    /// <summary>Reads a header that stands at its own place, or says no. A newer version is told apart from nonsense.</summary>
    public static bool TryRead(
        ReadOnlySpan<byte> from, uint seed, uint segment, long offset, out RecordHeader header, out bool isNewer)
    {
        header = default;
        isNewer = false;
        if (from.Length < Size || BinaryPrimitives.ReadUInt32LittleEndian(from) != Magic
            || BinaryPrimitives.ReadUInt32LittleEndian(from[CrcAt..]) != ~Crc32C.Add(seed, from[..CrcAt])
            || BinaryPrimitives.ReadUInt32LittleEndian(from[8..]) != segment
            || BinaryPrimitives.ReadUInt32LittleEndian(from[12..]) != offset)
        {
            return false;
        }

        if (from[4] > FormatVersion)
        {
            isNewer = true;
            return false;
        }

        var reader = new WireReader(from[5..CrcAt]);
        var kind = (RecordKind)reader.U8();
        byte flags = reader.U8();
        header = new RecordHeader
        {
            Kind = kind, IsFirstOfBatch = (flags & FirstOfBatchFlag) != 0, IsLastOfBatch = (flags & LastOfBatchFlag) != 0,
            Replicas = reader.U8(),
            Segment = reader.U32(), Offset = reader.U32(), Id = reader.Chunk(), Length = reader.U32(), Detail = reader.U32(),
            Tag = ReadTag(ref reader),
        };
        return !reader.Failed && kind is >= RecordKind.Chunk and <= RecordKind.Drop;
    }

    private static Tag ReadTag(ref WireReader reader)
    {
        var stamp = new Timestamp(reader.U64());
        ulong nonce = reader.U64();
        return new Tag(new Uid(stamp, reader.Node()), nonce);
    }
}
