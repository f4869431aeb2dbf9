using System.Text;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.Wire;

/// <summary>The primitives that every codec is made of.</summary>
public sealed class WireTests
{
    // RFC 3720, appendix B.4.
    [Fact]
    public void Crc32C_of_the_RFC_3720_vectors_is_theirs()
    {
        byte[] ascending = [.. Enumerable.Range(0, 32).Select(i => (byte)i)];
        byte[] descending = [.. Enumerable.Range(0, 32).Select(i => (byte)(31 - i))];
        Assert.Equal(0x8A9136AAu, Crc32C.Of(new byte[32]));
        Assert.Equal(0x62A8AB43u, Crc32C.Of(Enumerable.Repeat((byte)0xFF, 32).ToArray()));
        Assert.Equal(0x46DD794Eu, Crc32C.Of(ascending));
        Assert.Equal(0x113FDB5Cu, Crc32C.Of(descending));
        Assert.Equal(0xE3069283u, Crc32C.Of("123456789"u8));
        Assert.Equal(
            0xD9963A56u,
            Crc32C.Of(Convert.FromHexString(
                "01c00000000000000000000000000000" + "14000000000004000000001400000018" + "28000000000000000200000000000000")));
    }

    [Fact]
    public void Crc32C_in_pieces_is_that_of_the_whole()
    {
        var random = new RandomSource(1);
        for (int length = 0; length < 200; length++)
        {
            byte[] bytes = [.. Enumerable.Range(0, length).Select(_ => (byte)random.Next())];
            int cut = random.Below(length + 1);
            Assert.Equal(Crc32C.Of(bytes), ~Crc32C.Add(Crc32C.Add(~0u, bytes.AsSpan(0, cut)), bytes.AsSpan(cut)));
        }
    }

    [Fact]
    public void Fields_are_read_as_they_were_written_and_have_the_announced_sizes()
    {
        Tag tag = new(new Uid(new Timestamp(77), NodeId.Parse("s1")), 99);
        int size = 1 + 1 + 2 + 4 + 8 + 8 + WireSize.Blob(3) + WireSize.Text("grüße") + WireSize.Node(default) + DiskId.Size + ChunkId.Size
            + WireSize.Tag(tag) + WireSize.Tag(default);
        byte[] bytes = new byte[size];
        var writer = new WireWriter(bytes);
        writer.U8(200);
        writer.Bool(true);
        writer.U16(60_000);
        writer.U32(4_000_000_000);
        writer.U64(ulong.MaxValue);
        writer.I64(-5);
        writer.Blob([1, 2, 3]);
        writer.Text("grüße");
        writer.Node(default);
        writer.Disk(new DiskId(new UInt128(1, 2)));
        writer.Chunk(ChunkId.Of("x"u8));
        writer.Tag(tag);
        writer.Tag(default);
        Assert.Equal(size, writer.Position);

        var reader = new WireReader(bytes);
        Assert.Equal(200, reader.U8());
        Assert.True(reader.Bool());
        Assert.Equal(60_000, reader.U16());
        Assert.Equal(4_000_000_000, reader.U32());
        Assert.Equal(ulong.MaxValue, reader.U64());
        Assert.Equal(-5, reader.I64());
        Assert.Equal([1, 2, 3], reader.Blob(3).ToArray());
        Assert.Equal("grüße", reader.Text(10));
        Assert.True(reader.Node().IsNone);
        Assert.Equal(new DiskId(new UInt128(1, 2)), reader.Disk());
        Assert.Equal(ChunkId.Of("x"u8), reader.Chunk());
        Assert.Equal(tag, reader.Tag());
        Assert.True(reader.Tag().IsNone);
        Assert.False(reader.Failed);
        Assert.Equal(0, reader.Remaining);
    }

    [Fact]
    public void Reader_past_the_end_fails_for_good_and_reads_zeros()
    {
        var reader = new WireReader([1, 2, 3]);
        Assert.Equal(0u, reader.U32());
        Assert.True(reader.Failed);
        Assert.Equal(0, reader.U8());
        Assert.Equal("", reader.Text(10));
        Assert.True(reader.Tag().IsNone);
        Assert.Equal(default, reader.Digest());
        Assert.Equal(0, reader.Remaining);
    }

    [Fact]
    public void Length_beyond_the_limit_or_the_bytes_left_fails_before_anything_is_allocated()
    {
        byte[] bytes = [0xFF, 0xFF, 0xFF, 0xFF, 1];
        byte[] three = [3, 0, 0, 0, 1, 2, 3];
        ReadAll(); // what the runtime allocates when it meets a method for the first time is not the reader's
        long before = GC.GetAllocatedBytesForCurrentThread();
        bool failed = ReadAll();
        long allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.True(failed);
        Assert.Equal(0, allocated);

        bool ReadAll()
        {
            var blob = new WireReader(bytes);
            blob.Blob(int.MaxValue);
            var text = new WireReader(bytes);
            text.Text(ushort.MaxValue);
            var count = new WireReader(bytes);
            int items = count.Count(int.MaxValue, 1);
            var limited = new WireReader(three);
            limited.Blob(2);
            var few = new WireReader(three);
            int tooMany = few.Count(3, 2);
            return blob.Failed && text.Failed && count.Failed && limited.Failed && few.Failed && items + tooMany == 0;
        }
    }

    [Theory]
    [InlineData("c328")]
    [InlineData("eda080")]
    [InlineData("c080")]
    [InlineData("f4908080")]
    public void Text_that_is_not_UTF8_fails(string hex)
    {
        byte[] encoded = Convert.FromHexString(hex);
        var reader = new WireReader([(byte)encoded.Length, 0, .. encoded]);
        Assert.Equal("", reader.Text(100));
        Assert.True(reader.Failed);
    }

    [Fact]
    public void Name_that_breaks_the_rule_fails()
    {
        var reader = new WireReader([2, (byte)'.', (byte)'.']);
        reader.Node();
        Assert.True(reader.Failed);
    }

    [Fact]
    public void Text_longer_than_its_length_field_is_a_broken_invariant_of_the_writer() =>
        Assert.Throws<InvariantBrokenException>(() =>
        {
            var writer = new WireWriter(new byte[70_000]);
            writer.Text(new string('a', 65_536));
        });

    [Fact]
    public void Reader_of_any_bytes_in_any_order_of_fields_neither_throws_nor_reads_past_the_end()
    {
        var random = new RandomSource(9);
        for (int round = 0; round < 20_000; round++)
        {
            byte[] bytes = new byte[random.Below(80)];
            foreach (ref byte b in bytes.AsSpan())
            {
                b = random.Chance(0.5) ? (byte)random.Below(4) : (byte)random.Next();
            }

            var reader = new WireReader(bytes);
            for (int field = 0; field < 12; field++)
            {
                int before = reader.Remaining;
                ReadAny(ref reader, random.Below(12));
                Assert.True(reader.Remaining <= before);
            }
        }
    }

    private static void ReadAny(ref WireReader reader, int kind)
    {
        switch (kind)
        {
            case 0: reader.U8(); break;
            case 1: reader.U16(); break;
            case 2: reader.U32(); break;
            case 3: reader.U64(); break;
            case 4: reader.Blob(16); break;
            case 5: Assert.True(Encoding.UTF8.GetByteCount(reader.Text(16)) <= 16); break;
            case 6: reader.Node(); break;
            case 7: reader.Disk(); break;
            case 8: reader.Tag(); break;
            case 9: Assert.InRange(reader.Count(10, 3), 0, 10); break;
            case 10: reader.Bytes(5); break;
            default: reader.Digest(); break;
        }
    }
}
