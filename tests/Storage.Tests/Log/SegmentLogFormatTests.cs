using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

public sealed class SegmentLogFormatTests
{
    private static readonly BatchHeader Sample = new(LogDriver.Disk, 0x0102, 0x0304, 0x0506, 0x0101, 0x1234, 0xCAFEBABE, 0x7F);

    [Fact]
    public void Header_has_its_golden_bytes()
    {
        byte[] bytes = new byte[BatchHeader.Size];
        Sample.Write(bytes);
        Assert.Equal(
            "434C4F470100000000000100000000001032547698BADCFEEFCDAB8967452301"
            + "0201000000000000040300000000000006050000000000000101000000000000"
            + "34120000BEBAFECA7F000000" + GoldenChecksum,
            Convert.ToHexString(bytes));
    }

    [Fact]
    public void First_batch_of_a_log_has_its_golden_bytes()
    {
        var driver = new LogDriver();
        driver.AppendDurably("hello");
        byte[] expected = new byte[BatchHeader.Block];
        Convert.FromHexString(GoldenBatch).CopyTo(expected, 0);
        ReadOnlySpan<byte> written = driver.Device.Bytes(LogDriver.Folder, "00000001.segment")[..BatchHeader.Block];
        Assert.Equal(Convert.ToHexString(expected), Convert.ToHexString(written));
    }

    [Fact]
    public void Header_comes_back_and_any_flipped_bit_is_found()
    {
        byte[] bytes = new byte[BatchHeader.Size];
        Sample.Write(bytes);
        Assert.Equal(HeaderKind.Right, BatchHeader.Read(bytes, LogDriver.Disk, out BatchHeader read, out _));
        Assert.Equal(Sample, read);
        for (int bit = 0; bit < bytes.Length * 8; bit++)
        {
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            HeaderKind kind = BatchHeader.Read(bytes, LogDriver.Disk, out _, out _);
            Assert.Equal(bit < 32 ? HeaderKind.Blank : HeaderKind.Broken, kind);
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
        }
    }

    [Fact]
    public void Newer_format_is_refused_with_the_release_that_reads_it()
    {
        var device = new FaultDevice();
        byte[] bytes = new SegmentImage(5).Batch(1, "a").Batch(2, "b").Bytes;
        Span<byte> second = bytes.AsSpan(BatchHeader.Block, BatchHeader.Size);
        BinaryPrimitives.WriteUInt16LittleEndian(second[4..], 2);
        BinaryPrimitives.WriteUInt16LittleEndian(second[10..], 7);
        BinaryPrimitives.WriteUInt32LittleEndian(second[76..], Crc32C.Of(second[..76]));
        device.Put(LogDriver.Folder, "00000001.segment", bytes);
        var refused = Assert.Throws<StorageException>(() => new LogDriver(device));
        Assert.Contains("log format 2, which Carillon 0.7 and later can read", refused.Message, StringComparison.Ordinal);
        Assert.Contains("00000001.segment", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Header_forged_inside_a_record_is_no_header()
    {
        // A client's content that holds, at the start of a block, what would make the log look corrupt, or endlessly old.
        byte[] record = new byte[3 * BatchHeader.Block];
        for (int block = BatchHeader.Block; block < record.Length; block += BatchHeader.Block)
        {
            Span<byte> place = record.AsSpan(block - BatchHeader.Size - BatchPayload.Prefix);
            new BatchHeader(LogDriver.Disk, 1_000_000, 1_000_000, 9, 1_000_000, 0, 0, 0).Write(place);
        }

        var driver = new LogDriver();
        driver.AppendDurably("before");
        driver.Log.Append(record);
        driver.Drain();
        driver.Reopen();
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);
        Assert.Equal(record, driver.Recovered[1].Record);

        // Also where its batch is damaged, so that recovery looks at each of its blocks.
        driver.Device.Bytes(LogDriver.Folder, "00000001.segment")[BatchHeader.Block + 50] ^= 1;
        driver.Reopen();
        Assert.Equal(LogCondition.TornTail, driver.Log.Health.Condition);
        Assert.Equal(["before"], driver.RecoveredTexts());
    }

    [Fact]
    public void Mask_keeps_the_magic_away_from_every_block_and_is_undone()
    {
        var random = new RandomSource(11);
        for (int round = 0; round < 200; round++)
        {
            byte[] batch = new byte[BatchHeader.Size + random.Below(40_000)];
            for (int offset = BatchHeader.Block; offset + 4 <= batch.Length; offset += BatchHeader.Block)
            {
                // Words that exclude the masks 0, 1, 2, … one by one.
                BinaryPrimitives.WriteUInt32LittleEndian(batch.AsSpan(offset), BatchHeader.Magic ^ (uint)random.Below(4));
            }

            byte[] before = [.. batch];
            uint mask = BlockMask.Choose(batch);
            BlockMask.Apply(batch, mask);
            for (int offset = BatchHeader.Block; offset + 4 <= batch.Length; offset += BatchHeader.Block)
            {
                Assert.NotEqual(BatchHeader.Magic, BinaryPrimitives.ReadUInt32LittleEndian(batch.AsSpan(offset)));
            }

            BlockMask.Apply(batch, mask);
            Assert.Equal(before, batch);
        }
    }

    [Fact]
    public void Entry_that_says_more_than_there_is_makes_a_payload_bad()
    {
        byte[] payload = new byte[12];
        BatchPayload.WritePrefix(payload, EntryKind.Whole, 8);
        Assert.True(BatchPayload.IsWellFormed(payload));
        BatchPayload.WritePrefix(payload, EntryKind.Whole, 9);
        Assert.False(BatchPayload.IsWellFormed(payload));
        BatchPayload.WritePrefix(payload, EntryKind.Whole, 7);
        Assert.False(BatchPayload.IsWellFormed(payload));
    }

    // Both computed by another implementation, from docs/formats/segment-log.md.
    private const string GoldenChecksum = "3DD178EA";

    private const string GoldenBatch =
        "434C4F470100000000000100000000001032547698BADCFEEFCDAB89674523010100000000000000010000000000000000000000000000000100000000000000"
        + "09000000A1B1174E00000000B166B81F0500000068656C6C6F";
}
