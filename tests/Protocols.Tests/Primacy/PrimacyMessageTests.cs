using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>The bytes of docs/formats/primacy-messages.md.</summary>
public sealed class PrimacyMessageTests
{
    private const string Job = "0300 6a6f62";

    private static readonly ServiceName Service = ServiceName.Parse("job");

    private static readonly NodeId Node = NodeId.Parse("s1");

    public static TheoryData<string, string> Golden => new()
    {
        { "Disqualify", "0101" + Job + "0700000000000000 02 0300000000000000 0400000000000000 0500 027331" },
        { "DisqualifyAnswer", "0102" + Job + "0700000000000000 00 02 0300000000000000 0400000000000000 0500 027331" },
        { "Bid", "0103" + Job + "0800000000000000 0100000000000000 d0070000 0200000001000000" },
        { "BidAnswer", "0104" + Job + "0800000000000000 0200000001000000 02 0700000000000000 027331 e8030000" },
        { "Withdraw", "0105" + Job + "0800000000000000 01 027331" },
        { "Holdings", "0106 0900000000000000 01000000" + Job + "0800000000000000 01" },
        { "Renew", "0107 0900000000000000 0a00000000000000" },
        { "RenewAnswer", "0108 0900000000000000 0a00000000000000 01 01000000" + Job },
        { "Checkpoint", "0109" + Job + "0800000000000000 0800000000000000 0300000000000000 02000000 abcd" },
        { "CheckpointAck", "010a" + Job + "0800000000000000 0300000000000000" },
        { "Report", "010b 01000000" + Job + "01 02 0800000000000000 0200 6f6b" },
        {
            "Request", "010c 0b00000000000000 01" + Job + "01 027331 00 00 0000 0100 0300 72756e 0000 0000 e8030000 01"
        },
        { "RequestAnswer", "010d 0b00000000000000 01 0200 6e6f" },
        { "Yield", "010e" + Job + "0800000000000000 027331 0c00000000000000" },
    };

    [Theory]
    [MemberData(nameof(Golden))]
    public void Message_has_its_golden_bytes_and_reads_back(string type, string hex)
    {
        PrimacyMessageType kind = Enum.Parse<PrimacyMessageType>(type);
        byte[] bytes = PrimacyCodec.Encode(Sample(kind));
        Assert.Equal(hex.Replace(" ", "", StringComparison.Ordinal), Convert.ToHexStringLower(bytes));
        Assert.True(TryRead(bytes, out IPrimacyMessage? read));
        Assert.Equal(bytes, PrimacyCodec.Encode(read!));

        // A newer writer may have added something behind; a cut message is none.
        Assert.True(TryRead([.. bytes, 1, 2, 3], out _));
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(TryRead(bytes.AsSpan(0, length), out _));
        }

        bytes[0] = 2;
        Assert.False(TryRead(bytes, out _));
    }

    [Fact]
    public void Readers_take_any_bytes_and_what_they_take_is_no_more_than_came()
    {
        var random = new RandomSource(5);
        byte[][] good = [.. Enum.GetValues<PrimacyMessageType>().Select(type => PrimacyCodec.Encode(Sample(type)))];
        byte[] table = Table().Encode();
        int taken = 0;
        for (int i = 0; i < 40_000; i++)
        {
            byte[] bytes = [.. good[random.Below(good.Length)]];
            for (int flips = random.Below(4); flips > 0; flips--)
            {
                bytes[random.Below(bytes.Length)] = (byte)random.Next();
            }

            ReadOnlySpan<byte> cut = random.Chance(0.5) ? bytes : bytes.AsSpan(0, random.Below(bytes.Length + 1));
            if (TryRead(cut, out IPrimacyMessage? message))
            {
                taken++;
                Assert.True(PrimacyCodec.Encode(message!).Length <= cut.Length);
            }

            byte[] flipped = [.. table];
            flipped[random.Below(flipped.Length)] = (byte)random.Next();
            ServiceTable.TryRead(flipped.AsSpan(0, random.Below(flipped.Length + 1)), out _);
        }

        Assert.True(taken > 1000);
    }

    [Fact]
    public void Table_reads_back_as_it_was_written_and_has_nothing_behind()
    {
        byte[] bytes = Table().Encode();
        Assert.True(ServiceTable.TryRead(bytes, out ServiceTable read));
        Assert.Equal(bytes, read.Encode());
        Assert.Equal(TimeSpan.FromMilliseconds(1234), read.Entries[0].History[0].Gap);
        Assert.Null(read.Entries[0].History[1].Gap);
        Assert.False(ServiceTable.TryRead([.. bytes, 0], out _));
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(ServiceTable.TryRead(bytes.AsSpan(0, length), out _));
        }
    }

    [Theory]
    [InlineData("", false)]
    [InlineData("a", true)]
    [InlineData("night-job.2", true)]
    [InlineData("-a", false)]
    [InlineData(".a", false)]
    [InlineData("A", false)]
    [InlineData("a/b", false)]
    public void Service_name_follows_its_rule(string name, bool isName) => Assert.Equal(isName, ServiceName.TryParse(name, out _));

    private static ServiceTable Table()
    {
        var definition = new ServiceDefinition
        {
            Name = Service, Providers = [Node, NodeId.Parse("s2")], Preferred = Node, WantedSecondaries = 1, With = ServiceName.Parse("db"),
            Command = new ServiceCommand { Arguments = ["run", "ä"], Secondary = ["wait"], CheckpointFile = "state" },
        };
        var entry = new ServiceEntry
        {
            Definition = definition, Eligible = definition.Providers, Secondaries = [NodeId.Parse("s2")], Primary = Node,
            Epoch = new Epoch(8),
            History =
            [
                new PrimaryChange(new Epoch(8), Node, new WallTime(1), "moved", TimeSpan.FromMilliseconds(1234)),
                new PrimaryChange(new Epoch(3), Node, new WallTime(0), "the first", null),
            ],
        };
        return new ServiceTable(new Epoch(2), 3, [entry, entry with { Definition = definition with { Name = ServiceName.Parse("job2") } }]);
    }

    private static ServiceDefinition Smallest() =>
        new() { Name = Service, Providers = [Node], Command = new ServiceCommand { Arguments = ["run"] } };

    private static IPrimacyMessage Sample(PrimacyMessageType type)
    {
        var epoch = new Epoch(8);
        var run = new Epoch(7);
        var rank = new Rank(RankClass.Secondary, new Freshness(new Epoch(3), 4), 5, Node);
        var state = new Freshness(epoch, 3);
        return type switch
        {
            PrimacyMessageType.Disqualify => new DisqualifyMessage(Service, run, rank),
            PrimacyMessageType.DisqualifyAnswer => new DisqualifyAnswerMessage(Service, new CallAnswer(CallVerdict.Ranked, run, rank)),
            PrimacyMessageType.Bid => new BidMessage(Service, epoch, 1, TimeSpan.FromSeconds(2), 0x1_0000_0002),
            PrimacyMessageType.BidAnswer =>
                new BidAnswerMessage(Service, epoch, 0x1_0000_0002, BidVerdict.Leased, run, Node, TimeSpan.FromSeconds(1)),
            PrimacyMessageType.Withdraw => new WithdrawMessage(Service, epoch, Released: true, Node),
            PrimacyMessageType.Holdings => new HoldingsMessage(9, [new Holding(Service, epoch, IsActing: true)]),
            PrimacyMessageType.Renew => new RenewMessage(9, 10),
            PrimacyMessageType.RenewAnswer => new RenewAnswerMessage(9, 10, IsKnown: true, [Service]),
            PrimacyMessageType.Checkpoint => new CheckpointMessage(Service, epoch, state, new byte[] { 0xab, 0xcd }),
            PrimacyMessageType.CheckpointAck => new CheckpointAckMessage(Service, state),
            PrimacyMessageType.Report => new ReportMessage([new ProviderReport(Service, IsUp: true, ServiceRole.Primary, epoch, "ok")]),
            PrimacyMessageType.Request => new RequestMessage(11, new ServiceRequest.Add(Smallest(), Replace: true)),
            PrimacyMessageType.RequestAnswer => new RequestAnswerMessage(11, new ServiceAnswer(ServiceResult.Refused, "no")),
            _ => new YieldMessage(Service, epoch, Node, new Epoch(12)),
        };
    }

    private static bool TryRead(ReadOnlySpan<byte> bytes, out IPrimacyMessage? message)
    {
        var reader = new WireReader(bytes);
        message = null;
        return PrimacyCodec.TryReadHead(ref reader, out PrimacyMessageType type) && (type switch
        {
            PrimacyMessageType.Disqualify => Take(DisqualifyMessage.TryRead(ref reader, out DisqualifyMessage m), m, out message),
            PrimacyMessageType.DisqualifyAnswer =>
                Take(DisqualifyAnswerMessage.TryRead(ref reader, out DisqualifyAnswerMessage m), m, out message),
            PrimacyMessageType.Bid => Take(BidMessage.TryRead(ref reader, out BidMessage m), m, out message),
            PrimacyMessageType.BidAnswer => Take(BidAnswerMessage.TryRead(ref reader, out BidAnswerMessage m), m, out message),
            PrimacyMessageType.Withdraw => Take(WithdrawMessage.TryRead(ref reader, out WithdrawMessage m), m, out message),
            PrimacyMessageType.Holdings => Take(HoldingsMessage.TryRead(ref reader, out HoldingsMessage m), m, out message),
            PrimacyMessageType.Renew => Take(RenewMessage.TryRead(ref reader, out RenewMessage m), m, out message),
            PrimacyMessageType.RenewAnswer => Take(RenewAnswerMessage.TryRead(ref reader, out RenewAnswerMessage m), m, out message),
            PrimacyMessageType.Checkpoint => Take(CheckpointMessage.TryRead(ref reader, out CheckpointMessage m), m, out message),
            PrimacyMessageType.CheckpointAck => Take(CheckpointAckMessage.TryRead(ref reader, out CheckpointAckMessage m), m, out message),
            PrimacyMessageType.Report => Take(ReportMessage.TryRead(ref reader, out ReportMessage m), m, out message),
            PrimacyMessageType.Request => Take(RequestMessage.TryRead(ref reader, out RequestMessage m), m, out message),
            PrimacyMessageType.RequestAnswer => Take(RequestAnswerMessage.TryRead(ref reader, out RequestAnswerMessage m), m, out message),
            _ => Take(YieldMessage.TryRead(ref reader, out YieldMessage m), m, out message),
        });
    }

    private static bool Take(bool isRead, IPrimacyMessage read, out IPrimacyMessage? message)
    {
        message = isRead ? read : null;
        return isRead;
    }
}
