using System.Globalization;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Simulator.World;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>The bytes of docs/formats/message-archive.md. A change here is a new format version.</summary>
public sealed class MessageArchiveFormatTests
{
    private static readonly DiskId Disk =
        new(UInt128.Parse("0102030405060708090a0b0c0d0e0f10", NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    private static readonly ArchiveHeader Header = new(Disk, 0x11, 0x22, 0x33, 0x44, 0x5000, 2, 0x66, 0x77, 0x88);

    [Fact]
    public void Batch_header_has_its_golden_bytes()
    {
        byte[] bytes = new byte[ArchiveHeader.Size];
        Header.Write(bytes);
        Assert.Equal(
            "434d5347 0100 0000 0000 0100 00000000 100f0e0d0c0b0a090807060504030201 1100000000000000 2200000000000000 3300000000000000"
            + " 4400000000000000 00500000 02000000 66000000 77000000 88000000 0000000000000000 c63a4249",
            Spaced(bytes, 4, 2, 2, 2, 2, 4, 16, 8, 8, 8, 8, 4, 4, 4, 4, 4, 8, 4));
        Assert.Equal(ArchiveHeaderKind.Right, ArchiveHeader.Read(bytes, Disk, out ArchiveHeader read, out _));
        Assert.Equal(Header, read);
        Assert.Equal(ArchiveHeaderKind.Foreign, ArchiveHeader.Read(bytes, new DiskId(1), out _, out _));
        for (int at = 0; at < bytes.Length; at++)
        {
            bytes[at] ^= 4;
            Assert.Equal(ArchiveHeaderKind.None, ArchiveHeader.Read(bytes, Disk, out _, out _));
            bytes[at] ^= 4;
        }
    }

    [Fact]
    public void Descriptor_has_its_golden_bytes()
    {
        var hash = new Digest(1, 2, 3, 4);
        var id = new MessageId(new SessionId(0x0102, 0x0304), 0x0506);
        CommittedMessage[] messages =
            [CommittedMessage.NoOp, new CommittedMessage(CommittedKind.Message, id, hash, 0x0708, 0x090a, new byte[] { 0xaa, 0xbb })];
        byte[] body = new byte[(2 * BatchBody.DescriptorSize) + 2];
        BatchBody.Write(body, messages);
        Assert.Equal(new string('0', 152) + " 02000000", Spaced(body.AsSpan(0, 80), 76, 4));
        Assert.Equal(
            "00000000000001020000000000000304 0605000000000000 0000000000000001000000000000000200000000000000030000000000000004"
            + " 0807000000000000 0a09000000000000 02000000 01 000000 aabb",
            Spaced(body.AsSpan(80), 16, 8, 32, 8, 8, 4, 1, 3, 2));
        Assert.True(BatchBody.IsWellFormed(body, 2, 2));
        Assert.False(BatchBody.IsWellFormed(body, 2, 3));
        ArchiveUnderTest.AssertSame(messages[0], BatchBody.Read(body, 2, 0));
        ArchiveUnderTest.AssertSame(messages[1], BatchBody.Read(body, 2, 1));
    }

    [Fact]
    public void Footer_has_its_golden_bytes()
    {
        var segment = new ArchiveFile("s", 5) { End = 0x3000 };
        byte[] bytes = ArchiveFooter.Encode(Disk, 0x11, segment, [new BatchPlace(5, 8, segment, 0x1000, 0x2000, 0x77)]);
        Assert.Equal(
            "0500000000000000 04000000 00100000 00200000 00000000 7700000000000000"
            + " 434d5346 0100 00000000000000000000 100f0e0d0c0b0a090807060504030201 1100000000000000 0500000000000000 00300000 01000000"
            + " 0bce8ab1 c676af62",
            Spaced(bytes, 8, 4, 4, 4, 4, 8, 4, 2, 10, 16, 8, 8, 4, 4, 4, 4));
    }

    [Fact]
    public void Record_has_its_golden_bytes_twice()
    {
        byte[] bytes = new ArchiveRecord(0x11, 0x22, new byte[] { 0xab }).Encode(Disk);
        Assert.Equal(
            "434d5352 0100 0000 0000 0100 00000000 100f0e0d0c0b0a090807060504030201 1100000000000000 2200000000000000 01000000"
            + " cc4dbf69 00000000 6cd76eed ab",
            Spaced(bytes.AsSpan(0, 65), 4, 2, 2, 2, 2, 4, 16, 8, 8, 4, 4, 4, 4, 1));
        Assert.Equal(4096 + 65, bytes.Length);
        Assert.Equal(bytes[..65], bytes[4096..]);
    }

    [Fact]
    public void Names_say_group_generation_and_numbers()
    {
        var device = new SimulatedDisk(new RandomSource(1), 1 << 20);
        var names = new ArchiveNames(ArchiveUnderTest.Group);
        Assert.Equal("orders.eu-1_.archive", names.Record);
        Assert.Equal("orders.eu-1_0000000a-00000000000000ff.messages", names.Segment(10, 255));
        Assert.Equal("orders.eu-1_0000000a-00000000000000ff-00000003.patch", names.Patch(10, 255, 3));
        Assert.True(names.TryParseSegment(names.Segment(10, 255), out ulong generation, out ulong first));
        Assert.Equal((10UL, 255UL), (generation, first));
        Assert.True(names.TryParsePatch(names.Patch(10, 255, 3), out generation, out first, out ulong serial));
        Assert.Equal((10UL, 255UL, 3UL), (generation, first, serial));
        foreach (string name in (string[])["orders.eu-1_.messages", "o_a-1.messages", "orders.eu-1_0000000A-00000000000000ff.messages"])
        {
            Assert.False(names.TryParseSegment(name, out _, out _));
        }

        Assert.Empty(MessageArchive.GroupsIn(device, ArchiveUnderTest.Folder));
    }

    // Hexadecimal fields of so many bytes.
    private static string Spaced(ReadOnlySpan<byte> bytes, params ReadOnlySpan<int> lengths)
    {
        var fields = new List<string>();
        foreach (int length in lengths)
        {
            fields.Add(Convert.ToHexStringLower(bytes[..length]));
            bytes = bytes[length..];
        }

        return string.Join(' ', fields);
    }
}
