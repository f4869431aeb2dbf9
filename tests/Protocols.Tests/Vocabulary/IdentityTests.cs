using FsCheck;
using FsCheck.Fluent;
using Xunit;

namespace Carillon.Protocols.Tests.Vocabulary;

/// <summary>Names, stamps, UIDs, tags, digests: their order, their text, and that the text tells all (VE-25 to VE-29, VE-57).</summary>
public sealed class IdentityTests
{
    private static readonly Gen<Tag> Tags =
        from stamp in ArbMap.Default.GeneratorFor<ulong>()
        from server in Gen.Elements("a", "b", "s1", "s10", "s2", "a-rather-long-name-of-a-server-9")
        from nonce in ArbMap.Default.GeneratorFor<ulong>()
        select new Tag(new Uid(new Timestamp(stamp), NodeId.Parse(server)), nonce);

    [Theory]
    [InlineData("s1")]
    [InlineData("0")]
    [InlineData("-")]
    [InlineData("a-name-of-thirty-two-characters-")]
    public void NodeId_by_the_rule_is_read_from_text_and_from_bytes(string name)
    {
        Assert.True(NodeId.TryParse(name, out NodeId fromText));
        Assert.True(NodeId.TryParse(System.Text.Encoding.UTF8.GetBytes(name), out NodeId fromBytes));
        Assert.Equal(fromText, fromBytes);
        Assert.Equal(name, fromBytes.ToString());
    }

    [Theory]
    [InlineData("")]
    [InlineData("S1")]
    [InlineData("s.1")]
    [InlineData("s_1")]
    [InlineData("s 1")]
    [InlineData("../x")]
    [InlineData("ü")]
    [InlineData("a-name-of-thirty-three-characters")]
    public void NodeId_against_the_rule_is_refused(string name)
    {
        Assert.False(NodeId.TryParse(name, out _));
        Assert.False(NodeId.TryParse(System.Text.Encoding.UTF8.GetBytes(name), out _));
        Assert.Throws<FormatException>(() => NodeId.Parse(name));
    }

    [Fact]
    public void NodeId_read_from_bytes_is_right_whatever_was_read_before()
    {
        // The table of names seen has 256 places; 5,000 names share them.
        for (int round = 0; round < 2; round++)
        {
            for (int i = 0; i < 5000; i++)
            {
                string name = $"n{i}";
                Assert.True(NodeId.TryParse(System.Text.Encoding.ASCII.GetBytes(name), out NodeId node));
                Assert.Equal(name, node.Name);
            }
        }
    }

    [Fact]
    public void Timestamp_of_a_wall_clock_is_its_first_and_the_next_is_greater()
    {
        Assert.Equal("1700000000000-0", Timestamp.At(new WallTime(1_700_000_000_000)).ToString());
        Assert.Equal("1700000000000-1", Timestamp.At(new WallTime(1_700_000_000_000)).Next.ToString());
        Assert.Equal("8-0", new Timestamp((7UL << 16) | 0xFFFF).Next.ToString());
        Assert.Equal(default, Timestamp.At(new WallTime(-5)));
        Assert.Equal((1L << 48) - 1, Timestamp.At(new WallTime(long.MaxValue)).Milliseconds);
    }

    [Theory]
    [InlineData("")]
    [InlineData("5")]
    [InlineData("-5")]
    [InlineData("5-")]
    [InlineData("5--1")]
    [InlineData("5-65536")]
    [InlineData("281474976710656-0")]
    [InlineData("+5-0")]
    [InlineData("5-0 ")]
    public void Timestamp_text_against_the_rule_is_refused(string text) => Assert.False(Timestamp.TryParse(text, out _));

    [Fact]
    public void Tag_text_gives_back_stamp_server_and_random_part_VE29() => Check.QuickThrowOnFailure(Prop.ForAll(Tags.ToArbitrary(), tag =>
        Tag.TryParse(tag.ToString(), out Tag read) && read == tag
        && Uid.TryParse(tag.Uid.ToString(), out Uid uid) && uid == tag.Uid
        && Timestamp.TryParse(tag.Uid.Stamp.ToString(), out Timestamp stamp) && stamp == tag.Uid.Stamp));

    [Theory]
    [InlineData("")]
    [InlineData("5-0@s1")]
    [InlineData("5-0@s1.12")]
    [InlineData("5-0@s1.00000000000000012")]
    [InlineData("5-0@s1.000000000000000g")]
    [InlineData("5-0@S1.0000000000000001")]
    [InlineData("5-0@.0000000000000001")]
    [InlineData("@s1.0000000000000001")]
    [InlineData("5-0.0000000000000001")]
    public void Tag_text_against_the_rule_is_refused(string text) => Assert.False(Tag.TryParse(text, out _));

    [Fact]
    public void Uid_order_is_by_stamp_then_by_server_VE57() => Check.QuickThrowOnFailure(Prop.ForAll(
        Tags.Two().ToArbitrary(),
        pair =>
        {
            (Uid a, Uid b) = (pair.Item1.Uid, pair.Item2.Uid);
            int byServer = Math.Sign(string.CompareOrdinal(a.Server.Name, b.Server.Name));
            int expected = a.Stamp.Value < b.Stamp.Value ? -1 : a.Stamp.Value > b.Stamp.Value ? 1 : byServer;
            return Math.Sign(a.CompareTo(b)) == expected && Math.Sign(b.CompareTo(a)) == -expected
                && (a < b) == (expected < 0) && (a <= b) == (expected <= 0) && (a > b) == (expected > 0) && (a >= b) == (expected >= 0)
                && Uid.Max(a, b) == (expected < 0 ? b : a);
        }));

    [Fact]
    public void Uid_of_the_greatest_of_several_is_the_same_in_every_interleaving_VE57()
    {
        Uid[] uids = [U(5, "s1"), U(5, "s10"), U(5, "s2"), U(4, "z"), U(6, "a")];
        var random = new RandomSource(2);
        for (int round = 0; round < 500; round++)
        {
            Uid[] order = [.. uids.OrderBy(_ => random.Next())];
            Assert.Equal(U(6, "a"), order.Aggregate(default(Uid), Uid.Max));
            Assert.Equal(U(5, "s2"), order.Where(uid => uid.Stamp.Value == 5).Aggregate(default(Uid), Uid.Max));
        }
    }

    [Fact]
    public void Uid_and_tag_of_nothing_are_below_all_others()
    {
        Assert.True(default(Uid) < U(0, "a"));
        Assert.True(default(Tag) < new Tag(U(0, "a"), 0));
        Assert.True(default(Uid).IsNone && default(Tag).IsNone);
        Assert.Equal("none", default(Tag).ToString());
    }

    [Fact]
    public void Tags_of_two_attempts_with_one_uid_differ_VE28()
    {
        var random = new RandomSource(1);
        var seen = new HashSet<Tag>();
        for (int i = 0; i < 100_000; i++)
        {
            Assert.True(seen.Add(new Tag(U(9999, "a"), random.Next())));
        }
    }

    [Fact]
    public void Digest_of_known_bytes_is_the_one_of_FIPS_180_and_survives_text_and_bytes()
    {
        Digest digest = Digest.Of("abc"u8);
        Assert.Equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", digest.ToString());
        Assert.True(Digest.TryParse(digest.ToString(), out Digest read));
        Assert.Equal(digest, read);
        byte[] bytes = new byte[Digest.Size];
        digest.Write(bytes);
        Assert.Equal(digest, Digest.Read(bytes));
    }

    [Theory]
    [InlineData("")]
    [InlineData("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015a")]
    [InlineData("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015adad")]
    [InlineData("xa7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")]
    public void Digest_text_against_the_rule_is_refused(string text) => Assert.False(Digest.TryParse(text, out _));

    [Fact]
    public void Digest_order_is_that_of_its_bytes()
    {
        var random = new RandomSource(4);
        byte[] a = new byte[Digest.Size];
        byte[] b = new byte[Digest.Size];
        for (int round = 0; round < 2000; round++)
        {
            // Equal up to some place, so that each word of the four decides now and then.
            int same = random.Below(Digest.Size);
            for (int i = 0; i < Digest.Size; i++)
            {
                a[i] = (byte)random.Next();
                b[i] = i < same ? a[i] : (byte)random.Next();
            }

            Assert.Equal(Math.Sign(a.AsSpan().SequenceCompareTo(b)), Math.Sign(Digest.Read(a).CompareTo(Digest.Read(b))));
        }
    }

    [Fact]
    public void DiskId_text_is_read_back_and_nothing_shorter_is()
    {
        var id = new DiskId(new UInt128(0x0123456789abcdef, 42));
        Assert.Equal("0123456789abcdef000000000000002a", id.ToString());
        Assert.True(DiskId.TryParse(id.ToString(), out DiskId read));
        Assert.Equal(id, read);
        Assert.False(DiskId.TryParse("2a", out _));
        Assert.False(DiskId.TryParse(id + "0", out _));
        Assert.True(default(DiskId).IsNone);
    }

    [Fact]
    public void Instant_never_stays_never_and_shows_so()
    {
        Assert.Equal(Instant.Never, Instant.Never + TimeSpan.FromHours(1));
        Assert.Equal("never", Instant.Never.ToString());
        Assert.Equal("1.500000", new Instant(15_000_000).ToString());
        Assert.Equal(new Instant(3), Instant.Min(new Instant(3), Instant.Never));
    }

    private static Uid U(ulong stamp, string server) => new(new Timestamp(stamp), NodeId.Parse(server));
}
