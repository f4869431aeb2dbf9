using System.Globalization;
using Carillon.Protocols;
using Carillon.Storage.Chunks;
using Xunit;

namespace Carillon.Storage.Tests.Chunks;

/// <summary>The bytes of docs/formats/chunk-segment.md. A change here is a new format version.</summary>
public sealed class ChunkFormatTests
{
    private static readonly DiskId Disk =
        new(UInt128.Parse("0102030405060708090a0b0c0d0e0f10", NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    private static readonly RecordHeader Record = new()
    {
        Kind = RecordKind.Chunk, IsFirstOfBatch = true, IsLastOfBatch = true, Replicas = 3, Segment = 7, Offset = 4096,
        Id = ChunkId.Of("chunk"u8), Length = 5, Detail = 0, Tag = new Tag(new Uid(new Timestamp(0x1122), NodeId.Parse("s1")), 0x3344),
    };

    [Fact]
    public void Segment_header_has_its_golden_bytes()
    {
        byte[] bytes = new byte[SegmentFormat.BlockSize];
        SegmentFormat.WriteHeader(bytes, 7, Disk);
        Assert.Equal(
            "4341524348554e4b 01000000 07000000 100f0e0d0c0b0a090807060504030201 0000 0100" + Zeros(24) + "91c0266d",
            Spaced(bytes, 8, 4, 4, 16, 2, 2, 24, 4));
        Assert.True(SegmentFormat.TryReadHeader(bytes, out string? newer, out uint segment, out DiskId disk));
        Assert.Equal((null, 7u, Disk), (newer, segment, disk));
    }

    [Fact]
    public void Record_header_has_its_golden_bytes_and_its_place()
    {
        byte[] bytes = new byte[RecordHeader.Size];
        uint seed = RecordHeader.SeedOf(Disk);
        Record.Write(bytes, seed);
        Assert.Equal(
            "43484e4b 01 01 03 03 07000000 00100000 6c87f68371b28954707ebb92afee7ccf 05000000 00000000"
            + " 2211000000000000 4433000000000000 02 7331"
            + Zeros(49) + "0f620f33",
            Spaced(bytes, 4, 1, 1, 1, 1, 4, 4, -32, 4, 4, 8, 8, 1, 2, 49, 4));
        Assert.True(RecordHeader.TryRead(bytes, seed, 7, 4096, out RecordHeader read, out _));
        Assert.Equal(Record, read);
        Assert.False(RecordHeader.TryRead(bytes, seed, 7, 4160, out _, out _));
        Assert.False(RecordHeader.TryRead(bytes, seed, 8, 4096, out _, out _));
        Assert.False(RecordHeader.TryRead(bytes, RecordHeader.SeedOf(new DiskId(1)), 7, 4096, out _, out _));
    }

    [Fact]
    public void Footer_has_its_golden_bytes()
    {
        var builder = new FooterBuilder();
        builder.Add(Record);
        builder.Add(new RecordHeader { Kind = RecordKind.Drop, Segment = 7, Offset = 8192, Id = Record.Id, Detail = 7 });
        byte[] bytes = builder.Encode(7, 12288, RecordHeader.SeedOf(Disk));
        Assert.Equal(
            "02000000010000000103001000000500000000000000010000006c87f68371b28954707ebb92afee7ccffb74c6f71ec8fea8"
            + "a98cf6104289585b0400002000000000000007000000000000006c87f68371b28954707ebb92afee7ccffb74c6f71ec8fea8"
            + "a98cf6104289585b2211000000000000027331443300000000000043415243464f4f540100000007000000003000007f0000"
            + "007c8f8a420000000000000000000000000000000000000000000000000000000000000000cb9ff8a6", Convert.ToHexStringLower(bytes));
        var records = new List<RecordHeader>();
        Assert.True(FooterBuilder.TryRead(bytes.AsSpan(0, bytes.Length - SegmentFormat.BlockSize), 7, records));
        Assert.Equal([Record with { IsFirstOfBatch = false, IsLastOfBatch = false }, records[1]], records);
        Assert.Equal((RecordKind.Drop, 8192u, Record.Id, 7u), (records[1].Kind, records[1].Offset, records[1].Id, records[1].Detail));
    }

    [Fact]
    public void Readers_take_any_bytes()
    {
        var random = new RandomSource(5);
        byte[] good = new byte[RecordHeader.Size];
        Record.Write(good, RecordHeader.SeedOf(Disk));
        var builder = new FooterBuilder();
        builder.Add(Record);
        byte[] footer = builder.Encode(7, 12288, 0);
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = [.. random.Chance(0.5) ? good : footer];
            for (int flips = random.Below(4); flips >= 0; flips--)
            {
                bytes[random.Below(bytes.Length)] = (byte)random.Next();
            }

            bytes = bytes[..random.Below(bytes.Length + 1)];
            RecordHeader.TryRead(bytes, RecordHeader.SeedOf(Disk), 7, 4096, out _, out _);
            FooterBuilder.TryRead(bytes, 7, []);
            SegmentFormat.TryReadHeader(bytes, out _, out _, out _);
            SegmentFormat.TryReadTrailer(bytes, 0, out _);
        }
    }

    private static string Zeros(int count) => " " + new string('0', 2 * count) + " ";

    private static string Spaced(byte[] bytes, params int[] lengths)
    {
        var parts = new List<string>();
        int at = 0;
        foreach (int length in lengths)
        {
            parts.Add(Convert.ToHexStringLower(bytes.AsSpan(at, Math.Abs(length)))[..(length < 0 ? -length : 2 * length)]);
            at += Math.Abs(length);
        }

        Assert.Equal(bytes.Length, at);
        return string.Join(' ', parts);
    }
}
