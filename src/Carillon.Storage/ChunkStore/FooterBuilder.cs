using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Chunks;

/// <summary>
/// The list of a segment's records, gathered as they become durable and written behind them when the segment is closed, so that
/// a start reads the lists and not the chunks.
/// </summary>
/// <remarks>
/// <code>
/// u32 count of records │ u32 count of tags │ records of 50 bytes: u8 kind, u8 replicas, u32 offset, u32 length, u32 detail,
/// u32 tag (1-based place among the tags, 0 for none), id 32 │ tags: u64 stamp, node, u64 nonce
/// </code>
/// </remarks>
internal sealed class FooterBuilder
{
    private const int EntrySize = 18 + ChunkId.Size;
    private const int LeastTagSize = 18;

    private readonly Dictionary<Tag, uint> _places = [];
    private readonly List<Tag> _tags = [];
    private byte[] _entries = new byte[EntrySize * 16];

    public int Count { get; private set; }

    public void Add(in RecordHeader record)
    {
        int at = Count * EntrySize;
        if (at == _entries.Length)
        {
            Array.Resize(ref _entries, _entries.Length * 2);
        }

        var writer = new WireWriter(_entries.AsSpan(at, EntrySize));
        writer.U8((byte)record.Kind);
        writer.U8(record.Replicas);
        writer.U32(record.Offset);
        writer.U32(record.Length);
        writer.U32(record.Detail);
        writer.U32(PlaceOf(record.Tag));
        writer.Chunk(record.Id);
        Count++;
    }

    /// <summary>The footer and its trailer, to be written at <paramref name="offset"/>.</summary>
    public byte[] Encode(uint segment, long offset, uint seed)
    {
        int length = 8 + (Count * EntrySize) + _tags.Sum(WireSize.Tag);
        byte[] bytes = new byte[length + SegmentFormat.BlockSize];
        var writer = new WireWriter(bytes);
        writer.U32((uint)Count);
        writer.U32((uint)_tags.Count);
        writer.Bytes(_entries.AsSpan(0, Count * EntrySize));
        foreach (Tag tag in _tags)
        {
            writer.Tag(tag);
        }

        uint crc = Crc32C.Of(bytes.AsSpan(0, length));
        SegmentFormat.WriteTrailer(bytes.AsSpan(length), seed, new SegmentFormat.Trailer(segment, (uint)offset, (uint)length, crc));
        return bytes;
    }

    /// <summary>Reads a footer whose checksum holds.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, uint segment, List<RecordHeader> records)
    {
        if (bytes.Length < 8)
        {
            return false;
        }

        uint count = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        uint tagCount = BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]);
        if (8 + (count * (long)EntrySize) + (tagCount * (long)LeastTagSize) > bytes.Length)
        {
            return false;
        }

        var tagReader = new WireReader(bytes[(8 + ((int)count * EntrySize))..]);
        Tag[] tags = new Tag[tagCount];
        for (int i = 0; i < tags.Length; i++)
        {
            tags[i] = tagReader.Tag();
        }

        var reader = new WireReader(bytes.Slice(8, (int)count * EntrySize));
        records.EnsureCapacity(records.Count + (int)count);
        for (uint i = 0; i < count; i++)
        {
            if (!TryReadEntry(ref reader, segment, tags, out RecordHeader record))
            {
                return false;
            }

            records.Add(record);
        }

        return !tagReader.Failed && tagReader.Remaining == 0;
    }

    private static bool TryReadEntry(ref WireReader reader, uint segment, Tag[] tags, out RecordHeader record)
    {
        record = new RecordHeader
        {
            Segment = segment, Kind = (RecordKind)reader.U8(), Replicas = reader.U8(),
            Offset = reader.U32(), Length = reader.U32(), Detail = reader.U32(),
        };
        uint place = reader.U32();
        if (place > tags.Length || record.Kind is < RecordKind.Chunk or > RecordKind.Drop)
        {
            return false;
        }

        record = record with { Tag = place == 0 ? default : tags[place - 1], Id = reader.Chunk() };
        return !reader.Failed;
    }

    private uint PlaceOf(Tag tag)
    {
        if (tag.IsNone)
        {
            return 0;
        }

        if (!_places.TryGetValue(tag, out uint place))
        {
            _tags.Add(tag);
            place = (uint)_tags.Count;
            _places.Add(tag, place);
        }

        return place;
    }
}
