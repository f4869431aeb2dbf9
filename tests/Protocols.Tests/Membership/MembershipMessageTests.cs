using System.Buffers.Binary;
using Carillon.Protocols.Membership;
using Xunit;

namespace Carillon.Protocols.Tests.Membership;

/// <summary>The bytes of docs/formats/heartbeat.md, and what becomes of bytes that nobody vouches for.</summary>
public sealed class MembershipMessageTests
{
    private const string GoldenHeartbeat =
        "7e000101" + "027331" + "e8030000000000000000000000000000" + "0500000000000000" + "0300000000000000" + "2a000000" + "6400"
        + "40e2010000000000" + "0068e5cf8b010000" + "01" + "01"
        + "01000000" + "02000000" + "03000000" + "04000000" + "0500000000000000" + "0600000000000000"
        + "02" + "01" + "07000000" + "0c300000" + "c8010000" + "01" + "02" + "02" + "08000000" + "00000000" + "ffffffff" + "ff" + "ff";

    private static readonly Heartbeat Example = new()
    {
        Sender = new ServerIdentity(NodeId.Parse("s1"), new DiskId(1000), new Incarnation(5)),
        ConfigurationVersion = 3,
        Number = 42,
        Interval = TimeSpan.FromMilliseconds(100),
        Monotonic = new Instant(123_456),
        Wall = new WallTime(1_700_000_000_000),
        Path = MessagePath.Group,
        Votes = false,
        Load = new LoadReport(1, 2, 3, 4, 5, 6),
        Echoes = [new HeartbeatEcho(1, 7, 12_300, 456, 1, 2), new HeartbeatEcho(2, 8, 0, HeartbeatEcho.NotHeld, 255, 255)],
    };

    private static readonly ProbeMessage ExampleProbe = new(
        MembershipMessageKind.ProbeAnswer, NodeId.Parse("s1"), 9,
        new ServerIdentity(NodeId.Parse("s2"), new DiskId(7), new Incarnation(4)));

    [Fact]
    public void Heartbeat_written_has_its_golden_bytes() => Assert.Equal(GoldenHeartbeat, Convert.ToHexStringLower(Bytes(Example)));

    [Fact]
    public void Probe_written_has_its_golden_bytes() =>
        Assert.Equal(
            "26000104" + "027331" + "09000000" + "027332" + "07000000000000000000000000000000" + "0400000000000000",
            Convert.ToHexStringLower(Bytes(ExampleProbe)));

    [Fact]
    public void Heartbeat_read_is_what_was_written()
    {
        Assert.True(Heartbeat.TryRead(Bytes(Example), out Heartbeat read));
        Assert.Equal(Example.Echoes, read.Echoes);
        Assert.Equal(Example, read with { Echoes = Example.Echoes });
    }

    [Fact]
    public void Probe_read_is_what_was_written()
    {
        Assert.True(ProbeMessage.TryRead(Bytes(ExampleProbe), out ProbeMessage read));
        Assert.Equal(ExampleProbe, read);
    }

    [Fact]
    public void Fields_that_a_newer_writer_added_are_skipped()
    {
        byte[] longer = [.. Bytes(Example), 1, 2, 3];
        Assert.False(Heartbeat.TryRead(longer, out _));
        BinaryPrimitives.WriteUInt16LittleEndian(longer, (ushort)longer.Length);
        Assert.True(Heartbeat.TryRead(longer, out Heartbeat read));
        Assert.Equal(Example.Number, read.Number);
        Assert.Equal(2, read.Echoes.Length);
    }

    [Fact]
    public void Newer_format_version_is_refused()
    {
        byte[] bytes = Bytes(Example);
        bytes[2] = MembershipMessage.FormatVersion + 1;
        Assert.False(Heartbeat.TryRead(bytes, out _));
    }

    [Fact]
    public void Heartbeat_cut_short_anywhere_is_refused()
    {
        byte[] bytes = Bytes(Example);
        for (int length = 0; length < bytes.Length; length++)
        {
            byte[] cut = bytes[..length];
            Assert.False(Heartbeat.TryRead(cut, out _));
            if (length >= 2)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(cut, (ushort)length);
                Assert.False(Heartbeat.TryRead(cut, out _));
            }
        }
    }

    [Fact]
    public void Monitor_given_any_bytes_neither_throws_nor_believes_them()
    {
        var random = new RandomSource(7);
        var self = new ServerIdentity(NodeId.Parse("s2"), new DiskId(1002), new Incarnation(1));
        var monitor = new MembershipMonitor(
            self, MembershipLab.ConfigurationOf(3, 3), new MembershipOptions(), new RandomSource(1), [], default);
        var from = new ServerIdentity(NodeId.Parse("s1"), new DiskId(1001), new Incarnation(5));
        byte[] heartbeat = Bytes(Example with { Sender = from });
        byte[] probe = Bytes(ExampleProbe);
        long before = GC.GetAllocatedBytesForCurrentThread();
        const int Rounds = 20_000;
        for (int round = 0; round < Rounds; round++)
        {
            byte[] bytes = (byte[])(round % 2 == 0 ? heartbeat : probe).Clone();
            int flips = 1 + random.Below(4);
            for (int i = 0; i < flips; i++)
            {
                bytes[random.Below(bytes.Length)] = (byte)random.Next();
            }

            int length = random.Chance(0.2) ? random.Below(bytes.Length) : bytes.Length;
            monitor.Receive(from, bytes.AsSpan(0, length), new Moment(new Instant(round), new WallTime(round)));
            monitor.Drain();
        }

        Assert.True(monitor.Counters.Malformed > Rounds / 10);
        Assert.True((GC.GetAllocatedBytesForCurrentThread() - before) / Rounds < 4096);
        Assert.Equal(from.Incarnation, monitor.Status()[0].Incarnation);
    }

    [Fact]
    public void Message_that_speaks_for_another_than_its_sender_is_dropped()
    {
        MembershipMonitor monitor = new(
            new ServerIdentity(NodeId.Parse("s2"), new DiskId(1002), new Incarnation(1)), MembershipLab.ConfigurationOf(3, 3),
            new MembershipOptions(), new RandomSource(1), [], default);
        var s3 = new ServerIdentity(NodeId.Parse("s3"), new DiskId(1003), new Incarnation(5));
        monitor.Receive(s3, Bytes(Example), default);

        Assert.Equal(1, monitor.Counters.Malformed);
        Assert.All(monitor.Status(), member => Assert.False(member.Name != monitor.Self.Name && member.State == MemberState.Alive));
    }

    private static byte[] Bytes(Heartbeat heartbeat)
    {
        byte[] bytes = new byte[heartbeat.Size];
        heartbeat.Write(bytes);
        return bytes;
    }

    private static byte[] Bytes(ProbeMessage probe)
    {
        byte[] bytes = new byte[probe.Size];
        probe.Write(bytes);
        return bytes;
    }
}
