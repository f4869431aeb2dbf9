using Carillon.Protocols.IndexMerge;
using Xunit;

namespace Carillon.Protocols.Tests.IndexMerge;

/// <summary>The bytes of index merge's messages (docs/protocols/index-merge.md).</summary>
public sealed class MergeMessageTests
{
    private static readonly Tag First = new(new Uid(new Timestamp(0x0000_0100_0001), NodeId.Parse("s1")), 0x0A0B);
    private static readonly Tag Second = new(new Uid(new Timestamp(0x0000_0200_0000), NodeId.Parse("s22")), 0x0C);
    private static readonly MergeRange Leaf = MergeRange.Of(MergeRange.LeafLevel, First.Uid.Stamp);
    private static readonly MergeDigest Digest = new(3, new UInt128(0x1122, 0x3344));

    // version, type, run 5, then level and slot.
    private const string RootHead = "0500000000000000" + "00" + "0000000000000000";
    private const string LeafHead = "0500000000000000" + "05" + "0400000000000000";
    private const string FirstBytes = "0100000100000000" + "027331" + "0b0a000000000000";
    private const string SecondBytes = "0000000200000000" + "03733232" + "0c00000000000000";
    private const string NoneBytes = "0000000000000000" + "00" + "0000000000000000";
    private const string DigestBytes = "0300000000000000" + "4433000000000000" + "2211000000000000";

    public static TheoryData<string, string> Golden => new()
    {
        { nameof(MergeMessageType.Compare), "0101" + LeafHead + DigestBytes + FirstBytes },
        { nameof(MergeMessageType.Same), "0102" + RootHead },
        { nameof(MergeMessageType.Parts),
            "0103" + RootHead + "02000000" + "0100000000000000" + DigestBytes + "ff03000000000000" + DigestBytes },
        {
            nameof(MergeMessageType.Items),
            "0104" + LeafHead + NoneBytes + "01" + "02000000" + FirstBytes + "01" + "0000" + NoneBytes + SecondBytes + "02" + "03006b6579"
                + FirstBytes
        },
        { nameof(MergeMessageType.Fetch), "0105" + RootHead + "02000000" + FirstBytes + SecondBytes },
        { nameof(MergeMessageType.Record), "0106" + RootHead + "03000000" + "010203" },
        { nameof(MergeMessageType.Gone), "0107" + RootHead + "01000000" + FirstBytes },
        { nameof(MergeMessageType.Later), "0108" + RootHead + "01000000" + SecondBytes },
    };

    [Theory]
    [MemberData(nameof(Golden))]
    public void Message_has_its_golden_bytes_both_ways(string type, string golden)
    {
        MergeMessage message = Example(Enum.Parse<MergeMessageType>(type));
        Assert.Equal(golden, Convert.ToHexStringLower(message.Encode()));

        Assert.True(MergeMessage.TryRead(Convert.FromHexString(golden), out MergeMessage read));
        Assert.Equal((message.Type, message.Run, message.Range, message.Digest, message.After, message.More),
            (read.Type, read.Run, read.Range, read.Digest, read.After, read.More));
        Assert.Equal(message.Parts, read.Parts);
        Assert.Equal(message.Items, read.Items);
        Assert.Equal(message.Tags, read.Tags);
        Assert.Equal(message.Record.ToArray(), read.Record.ToArray());
    }

    [Theory]
    [MemberData(nameof(Golden))]
    public void Message_cut_short_is_refused(string type, string golden)
    {
        byte[] bytes = Convert.FromHexString(golden);
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(MergeMessage.TryRead(bytes.AsSpan(0, length), out _), $"{type} of {length} bytes");
        }
    }

    [Theory]
    [InlineData("version", 0, 2)]
    [InlineData("type none", 1, 0)]
    [InlineData("type above the last", 1, 9)]
    [InlineData("level above the leaves", 10, 6)]
    [InlineData("slot beyond the level", 18, 0xFF)]
    public void Message_with_a_wrong_head_is_refused(string what, int at, byte value)
    {
        byte[] bytes = Example(MergeMessageType.Compare).Encode();
        bytes[at] = value;
        Assert.False(MergeMessage.TryRead(bytes, out _), what);
    }

    [Fact]
    public void Parts_that_are_none_of_the_range_are_refused()
    {
        MergeRange parent = MergeRange.Of(2, First.Uid.Stamp);
        MergeRange stranger = MergeRange.Of(3, new Timestamp(ulong.MaxValue));
        byte[] bytes = new MergeMessage(MergeMessageType.Parts, 1, parent) { Parts = [(stranger, Digest)] }.Encode();
        Assert.False(MergeMessage.TryRead(bytes, out _));
        bytes = new MergeMessage(MergeMessageType.Parts, 1, Leaf) { Parts = [(Leaf, Digest)] }.Encode();
        Assert.False(MergeMessage.TryRead(bytes, out _));
    }

    [Fact]
    public void Items_without_a_tag_or_an_outcome_are_refused()
    {
        foreach (MergeItem item in (
            MergeItem[])[new(default, TagOutcome.Accepted, "", default), new(First, TagOutcome.Unknown, "", default)])
        {
            Assert.False(MergeMessage.TryRead(new MergeMessage(MergeMessageType.Items, 1, Leaf) { Items = [item] }.Encode(), out _));
        }
    }

    [Fact]
    public void Garbage_is_refused_or_read_and_never_throws()
    {
        var random = new RandomSource(1);
        byte[][] examples = [.. Enum.GetValues<MergeMessageType>().Select(type => Example(type).Encode())];
        int read = 0;
        for (int i = 0; i < 50_000; i++)
        {
            byte[] bytes = [.. examples[random.Below(examples.Length)]];
            for (int flips = 1 + random.Below(4); flips > 0; flips--)
            {
                bytes[random.Below(bytes.Length)] = random.Chance(0.5) ? (byte)0xFF : (byte)random.Next();
            }

            if (MergeMessage.TryRead(bytes, out MergeMessage message))
            {
                read++;
                Assert.True(MergeMessage.TryRead(message.Encode(), out _));
            }
        }

        Assert.InRange(read, 1000, 49_000);
    }

    [Fact]
    public void Ranges_cut_the_space_of_stamps_without_gap_or_overlap()
    {
        var random = new RandomSource(2);
        for (int i = 0; i < 2000; i++)
        {
            var stamp = new Timestamp(random.Next() >> random.Below(64));
            for (int level = 1; level <= MergeRange.LeafLevel; level++)
            {
                MergeRange range = MergeRange.Of(level, stamp);
                MergeRange above = MergeRange.Of(level - 1, stamp);
                Assert.True(range.Contains(stamp) && above.Contains(range) && !range.Contains(above));
                Assert.Equal(range, MergeRange.Of(level, range.First));
                Assert.Equal(range, MergeRange.Of(level, range.Last));
                Assert.True(range.Last.Value == ulong.MaxValue || !range.Contains(range.Last.Next));
                Assert.True(MergeRange.TryCreate(level, range.Slot, out MergeRange again) && again == range);
            }
        }

        Assert.Equal((0UL, ulong.MaxValue), (MergeRange.Root.First.Value, MergeRange.Root.Last.Value));
    }

    private static MergeMessage Example(MergeMessageType type)
    {
        bool ofLeaf = type is MergeMessageType.Compare or MergeMessageType.Items;
        var message = new MergeMessage(type, 5, ofLeaf ? Leaf : MergeRange.Root);
        MergeRange one = MergeRange.Of(1, new Timestamp(1UL << 54));
        MergeRange last = MergeRange.Of(1, new Timestamp(ulong.MaxValue));
        return type switch
        {
            MergeMessageType.Compare => message with { Digest = Digest, After = First },
            MergeMessageType.Parts => message with { Parts = [(one, Digest), (last, Digest)] },
            MergeMessageType.Items => message with
            {
                More = true, Items = [new(First, TagOutcome.Accepted, "", default), new(Second, TagOutcome.Rejected, "key", First)],
            },
            MergeMessageType.Fetch => message with { Tags = [First, Second] },
            MergeMessageType.Gone => message with { Tags = [First] },
            MergeMessageType.Later => message with { Tags = [Second] },
            MergeMessageType.Record => message with { Record = new byte[] { 1, 2, 3 } },
            _ => message,
        };
    }
}
