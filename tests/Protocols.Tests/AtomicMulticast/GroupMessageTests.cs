using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>The bytes of docs/formats/group-messages.md.</summary>
public sealed class GroupMessageTests
{
    private const string IdHex = "00000000000000010000000000000002 0300000000000000";
    private const string HashHex = "0000000000000001000000000000000200000000000000030000000000000004";
    private const string AssignmentHex = IdHex + HashHex + "0200000000000000";
    private const string NoOpHex = "000000000000000000000000000000000000000000000000"
        + "0000000000000000000000000000000000000000000000000000000000000000 0000000000000000";
    private const string MarkHex = "6400000000000000 0a00000000000000" + HashHex;

    private static readonly GroupName Group = GroupName.Parse("g");
    private static readonly MessageId Id = new(new SessionId(1, 2), 3);
    private static readonly Digest Hash = new(1, 2, 3, 4);
    private static readonly Assignment One = new(Id, Hash, 2);
    private static readonly CheckpointMark Mark = new(new SequenceNumber(100), 10, Hash);

    public static TheoryData<string, string> Golden => new()
    {
        { "Data", "0101 0167 01000000" + IdHex + "0200000000000000 0900000000000000 02000000 abcd" + HashHex },
        { "Request", "0102 0167 0700000000000000 01000000" + IdHex + HashHex + "0200000000000000 0900000000000000" },
        {
            "Assign", "0103 0167 0700000000000000 0500000000000000 0a00000000000000 0b00000000000000 0c00000000000000 02000000"
                + AssignmentHex + NoOpHex
        },
        { "Ack", "0104 0167 0700000000000000 0500000000000000 0c00000000000000 0b00000000000000 01000000 0e00000000000000 02000000" },
        { "Commit", "0105 0167 0500000000000000 0c00000000000000 01000000" + AssignmentHex },
        { "Gossip", "0106 0167 0700000000000000 0500000000000000 0c00000000000000" + MarkHex + "6e00000000000000" },
        { "Prepare", "0107 0167 0700000000000000 0500000000000000 0c00000000000000 0100000000000000" },
        {
            "Prepared", "0108 0167 0700000000000000 0500000000000000 0100000000000000 0c00000000000000 0000 0100 01000000"
                + "0d00000000000000 0400000000000000" + AssignmentHex
        },
        { "CommitQuery", "0109 0167 01 01000000 0e00000000000000 02000000" },
        { "CommitAnswer", "010a 0167 0300000000000000" + MarkHex + "0c00000000000000 01000000" + AssignmentHex },
        { "DataQuery", "010b 0167 01000000" + IdHex + "0c00000000000000" },
        { "DataAbsent", "010c 0167 0300000000000000" + MarkHex + "01000000" + IdHex },
        { "SendAnswer", "010d 0167 01000000" + IdHex + "00 0c00000000000000" },
        { "CheckpointReport", "010e 0167" + MarkHex },
        { "BlockQuery", "010f 0167 6400000000000000 01000000 02000000" },
        { "BlockAnswer", "0110 0167 6400000000000000 01000000 02000000 abcd" },
        { "NumberQuery", "0111 0167 0600000000000000" },
        { "NumberAnswer", "0112 0167 0600000000000000 01 0500000000000000 0c00000000000000" },
    };

    [Theory]
    [MemberData(nameof(Golden))]
    public void Message_has_its_golden_bytes_and_reads_back(string type, string hex)
    {
        byte[] bytes = Sample(Enum.Parse<GroupMessageType>(type));
        Assert.Equal(hex.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexStringLower(bytes));
        Assert.Equal(bytes, ReadAndWrite(bytes));

        // A newer writer may have added something behind; a cut message is none.
        Assert.NotNull(ReadAndWrite((byte[])[.. bytes, 1, 2, 3]));
        for (int length = 0; length < bytes.Length; length++)
        {
            if (type != "Data" || length != bytes.Length - Digest.Size)
            {
                Assert.Null(ReadAndWrite(bytes.AsMemory(0, length)));
            }
        }

        bytes[0] = 2;
        Assert.Null(ReadAndWrite(bytes));
    }

    [Fact]
    public void Data_of_an_older_writer_have_no_digests_and_they_are_computed()
    {
        byte[] bytes = Sample(GroupMessageType.Data);
        byte[] older = bytes[..^Digest.Size];
        byte[] digest = new byte[Digest.Size];
        Digest.Of([0xab, 0xcd]).Write(digest);

        Assert.Equal((byte[])[.. older, .. digest], ReadAndWrite(older));
    }

    [Fact]
    public void Readers_take_any_bytes_and_what_they_take_is_no_more_than_came()
    {
        var random = new RandomSource(5);
        byte[][] good = [.. Enum.GetValues<GroupMessageType>().Select(Sample)];
        int taken = 0;
        for (int i = 0; i < 60_000; i++)
        {
            byte[] bytes = [.. good[random.Below(good.Length)]];
            for (int flips = random.Below(4); flips > 0; flips--)
            {
                bytes[random.Below(bytes.Length)] = (byte)random.Next();
            }

            ReadOnlyMemory<byte> cut = random.Chance(0.5) ? bytes : bytes.AsMemory(0, random.Below(bytes.Length + 1));
            if (ReadAndWrite(cut) is { } written)
            {
                taken++;
                // Digests that are not told are computed.
                Assert.True(written.Length <= cut.Length + Digest.Size);
            }
        }

        Assert.True(taken > 1000);
    }

    [Fact]
    public void Member_takes_any_bytes_and_goes_on()
    {
        var random = new RandomSource(9);
        byte[][] good = [.. Enum.GetValues<GroupMessageType>().Select(Sample)];
        var lab = new GroupLab(3, 3);
        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(100));
        for (int i = 0; i < 20_000; i++)
        {
            byte[] bytes = [.. good[random.Below(good.Length)]];
            for (int flips = random.Below(6); flips > 0; flips--)
            {
                bytes[random.Below(bytes.Length)] = (byte)random.Next();
            }

            lab["s2"].Input(now => lab["s2"].Core.Receive(NodeId.Parse("s3"), bytes, now));
        }

        Assert.True(lab["s2"].Core.Figures.BadMessages > 1000);
    }

    [Fact]
    public void Records_have_their_golden_bytes()
    {
        Assert.Equal("400500000000000000", Convert.ToHexStringLower(GroupRecords.Promised(new Epoch(5))));
        Assert.Equal(
            $"4105000000000000000c0000000000000001000000{AssignmentHex}".Replace(" ", "", StringComparison.Ordinal),
            Convert.ToHexStringLower(GroupRecords.Assigned(new Epoch(5), 12, [One])));
        Assert.Equal(
            $"420300000000000000{MarkHex}02000000abcd".Replace(" ", "", StringComparison.Ordinal),
            Convert.ToHexStringLower(GroupRecords.Trimmed(3, Mark, [0xab, 0xcd])));
    }

    [Fact]
    public void Sessions_have_their_golden_bytes_and_read_back()
    {
        var table = new SessionTable(1000);
        Assert.True(table.Apply(new Assignment(new MessageId(new SessionId(1, 2), 3), Hash, 1)));
        Assert.True(table.Apply(new Assignment(new MessageId(new SessionId(0, 9), 1), Hash, 0)));
        byte[] bytes = table.Serialize();
        Assert.Equal(
            "01 0200000000000000 02000000"
                + "00000000000000000000000000000009 0000000000000000 0200000000000000 01000000 0100000000000000 0200000000000000"
                + "00000000000000010000000000000002 0100000000000000 0100000000000000 01000000 0300000000000000 0100000000000000",
            Spaced(bytes));
        Assert.True(SessionTable.TryRead(bytes, 1000, out SessionTable read));
        Assert.Equal(bytes, read.Serialize());
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(SessionTable.TryRead(bytes.AsSpan(0, length), 1000, out _));
        }
    }

    // The same blanks as in the expected text.
    private static string Spaced(byte[] bytes)
    {
        string hex = Convert.ToHexStringLower(bytes);
        int[] lengths = [2, 16, 8, 32, 16, 16, 8, 16, 48, 16, 16, 8, 16, 16];
        var parts = new List<string>();
        int at = 0;
        foreach (int length in lengths)
        {
            parts.Add(hex.Substring(at, length));
            at += length;
        }

        Assert.Equal(hex.Length, at);
        return $"{parts[0]} {parts[1]} {parts[2]}{parts[3]} {parts[4]} {parts[5]} {parts[6]} {parts[7]} {parts[8][..16]}{parts[8][16..]} "
            + $"{parts[9]} {parts[10]} {parts[11]} {parts[12]} {parts[13]}";
    }

    private static byte[] Sample(GroupMessageType type) => type switch
    {
        GroupMessageType.Data => Encode(new DataMessage(new[] { new GroupData(Id, Hash, 2, 9, new byte[] { 0xab, 0xcd }) })),
        GroupMessageType.Request => Encode(new NumberRequestMessage(7, new[] { new GroupData(Id, Hash, 2, 9, default) })),
        GroupMessageType.Assign => Encode(new AssignMessage(7, new Epoch(5), 10, 11, 12, new[] { One, default })),
        GroupMessageType.Ack => Encode(new AckMessage(7, new Epoch(5), 12, 11, new[] { new NumberRange(14, 2) })),
        GroupMessageType.Commit => Encode(new CommitMessage(new Epoch(5), 12, new[] { One })),
        GroupMessageType.Gossip => Encode(new GossipMessage(7, new Epoch(5), 12, Mark, 110)),
        GroupMessageType.Prepare => Encode(new PrepareMessage(7, new Epoch(5), 12, 1)),
        GroupMessageType.Prepared => Encode(
            new PreparedMessage(7, new Epoch(5), 1, 12, 0, 1, new[] { new HeldAssignment(13, new Epoch(4), One) })),
        GroupMessageType.CommitQuery => Encode(new CommitQueryMessage(true, new[] { new NumberRange(14, 2) })),
        GroupMessageType.CommitAnswer => Encode(new CommitAnswerMessage(3, Mark, 12, new[] { One })),
        GroupMessageType.DataQuery => Encode(new DataQueryMessage(new[] { new WantedMessage(Id, 12) })),
        GroupMessageType.DataAbsent => Encode(new DataAbsentMessage(3, Mark, new[] { Id })),
        GroupMessageType.SendAnswer => Encode(new SendAnswerMessage(new[] { new SendAnswer(Id, SendVerdict.Numbered, 12) })),
        GroupMessageType.CheckpointReport => Encode(new CheckpointReportMessage(Mark)),
        GroupMessageType.BlockQuery => Encode(new BlockQueryMessage(100, 1, 2)),
        GroupMessageType.NumberQuery => Encode(new NumberQueryMessage(6)),
        GroupMessageType.NumberAnswer => Encode(new NumberAnswerMessage(6, IsKnown: true, new Epoch(5), 12)),
        _ => Encode(new BlockAnswerMessage(100, 1, new byte[] { 0xab, 0xcd })),
    };

    private static byte[] Encode<T>(T message)
        where T : IGroupMessage => GroupCodec.Encode(Group, message);

    private static byte[]? ReadAndWrite(ReadOnlyMemory<byte> frame)
    {
        var reader = new WireReader(frame.Span);
        if (!GroupCodec.TryReadHead(ref reader, out GroupMessageType type, out GroupName group))
        {
            return null;
        }

        return type switch
        {
            GroupMessageType.Data => DataMessage.TryRead(ref reader, frame, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Request => NumberRequestMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Assign => AssignMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Ack => AckMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Commit => CommitMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Gossip => GossipMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Prepare => PrepareMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.Prepared => PreparedMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.CommitQuery => CommitQueryMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.CommitAnswer => CommitAnswerMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.DataQuery => DataQueryMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.DataAbsent => DataAbsentMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.SendAnswer => SendAnswerMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.CheckpointReport =>
                CheckpointReportMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.BlockQuery => BlockQueryMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.BlockAnswer => BlockAnswerMessage.TryRead(ref reader, frame, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.NumberQuery => NumberQueryMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            GroupMessageType.NumberAnswer => NumberAnswerMessage.TryRead(ref reader, out var m) ? GroupCodec.Encode(group, m) : null,
            _ => null,
        };
    }
}
