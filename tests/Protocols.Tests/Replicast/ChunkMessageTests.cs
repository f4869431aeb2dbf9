using Carillon.Protocols.Replicast;
using Xunit;

namespace Carillon.Protocols.Tests.Replicast;

/// <summary>The bytes of docs/protocols/chunks.md.</summary>
public sealed class ChunkMessageTests
{
    private static readonly ChunkId One = new(new Digest(0x0102030405060708, 0x1112131415161718, 0x2122232425262728, 0x3132333435363738));

    private static readonly ChunkId Two = new(new Digest(0xFF, 0, 0, 1));

    private const string OneHex = "0102030405060708111213141516171821222324252627283132333435363738";

    private const string TwoHex = "00000000000000ff000000000000000000000000000000000000000000000001";

    public static TheoryData<string, string> Golden => new()
    {
        { "PayloadAck", "0101 0807060504030201" },
        { "PayloadNak", "0102 0807060504030201 02" },
        { "Request", "0103 0807060504030201" + OneHex },
        { "NotHere", "0104 0807060504030201" },
        { "RowDigests", "0105 0807060504030201 01000000 0702 03000000 0400000000000000 0500000000000000" },
        { "RowsDiffer", "0106 0807060504030201 09000000 02000000 01ff" },
        { "Inventory", "0107 0807060504030201 0701 03000000 0400000000000000 0500000000000000 01000000" + OneHex + "00001000 03" },
        { "HoldQuestion", "0108 0807060504030201 02000000" + OneHex + TwoHex },
        { "HoldAnswer", "0109 0807060504030201 01000000" + TwoHex },
    };

    [Theory]
    [MemberData(nameof(Golden))]
    public void Message_has_its_golden_bytes_and_reads_back(string type, string hex)
    {
        ChunkMessage message = Sample(Enum.Parse<ChunkMessageType>(type));
        byte[] bytes = message.Encode();
        Assert.Equal(hex.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexStringLower(bytes));
        Assert.True(ChunkMessage.TryRead(bytes, out ChunkMessage read));
        Assert.Equal(bytes, read.Encode());

        // A newer writer may have added something behind; a cut message is none.
        Assert.True(ChunkMessage.TryRead([.. bytes, 1, 2, 3], out _));
        Assert.False(ChunkMessage.TryRead(bytes.AsSpan(0, bytes.Length - 1), out _));
        bytes[0] = 2;
        Assert.False(ChunkMessage.TryRead(bytes, out _));
    }

    [Fact]
    public void Transfer_header_has_its_golden_bytes_and_checks_its_bytes()
    {
        byte[] body = "chunk"u8.ToArray();
        var tag = new Tag(new Uid(new Timestamp(0x1122), NodeId.Parse("s1")), 0x3344);
        var transfer = new ChunkTransfer(TransferPurpose.Put, 0x0102030405060708, ChunkId.Of(body), 5, 3, tag);
        byte[] bytes = transfer.Encode();
        Assert.Equal(
            "01000807060504030201" + ChunkId.Of(body) + "05000000" + "03" + "2211000000000000" + "027331" + "4433000000000000",
            Convert.ToHexStringLower(bytes));
        Assert.True(ChunkTransfer.TryRead([.. bytes, 9], out ChunkTransfer read));
        Assert.Equal(transfer, read);
        Assert.True(read.Verify(body));
        Assert.False(read.Verify("chunk!"u8));
        Assert.False(read.Verify("chunl"u8));
        Assert.False((read with { Length = 4 }).Verify(body));
    }

    [Theory]
    [InlineData(1, 2)]
    [InlineData(46, 0)]
    [InlineData(46, 17)]
    public void Transfer_header_with_a_wrong_field_is_refused(int at, byte value)
    {
        byte[] bytes = new ChunkTransfer(TransferPurpose.Get, 1, One, 5, 3, default).Encode();
        Assert.True(ChunkTransfer.TryRead(bytes, out _));
        bytes[at] = value;
        Assert.False(ChunkTransfer.TryRead(bytes, out _));
    }

    [Fact]
    public void Readers_take_any_bytes_and_allocate_no_more_than_came()
    {
        var random = new RandomSource(3);
        byte[] header = new ChunkTransfer(TransferPurpose.Get, 1, One, 5, 3, default).Encode();
        byte[][] good = [.. Enum.GetValues<ChunkMessageType>().Select(type => Sample(type).Encode()), header];
        long before = GC.GetAllocatedBytesForCurrentThread();
        const int Rounds = 30_000;
        for (int i = 0; i < Rounds; i++)
        {
            byte[] bytes = [.. good[random.Below(good.Length)]];
            for (int flips = random.Below(4); flips > 0; flips--)
            {
                bytes[random.Below(bytes.Length)] = (byte)random.Next();
            }

            ReadOnlySpan<byte> cut = bytes.AsSpan(0, random.Below(bytes.Length + 1));
            if (ChunkMessage.TryRead(cut, out ChunkMessage message))
            {
                Assert.True(message.Encode().Length <= cut.Length);
            }

            ChunkTransfer.TryRead(cut, out _);
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, Rounds * 2000L);
    }

    private static ChunkMessage Sample(ChunkMessageType type)
    {
        var message = new ChunkMessage(type, 0x0102030405060708);
        return type switch
        {
            ChunkMessageType.PayloadNak => message with { Reason = NakReason.Refused },
            ChunkMessageType.Request => message with { Chunks = [One] },
            ChunkMessageType.RowDigests => message with { Digests = [new RowDigest(7, 2, new SetDigest(3, 4, 5))] },
            ChunkMessageType.RowsDiffer => message with { Missing = 9, Rows = [1, 255] },
            ChunkMessageType.Inventory => message with
            {
                Row = 7, IsLast = true, Digest = new SetDigest(3, 4, 5), Items = [new InventoryItem(One, 1 << 20, 3)],
            },
            ChunkMessageType.HoldQuestion => message with { Chunks = [One, Two] },
            ChunkMessageType.HoldAnswer => message with { Chunks = [Two] },
            _ => message,
        };
    }
}
