using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Servers that keep their word, and servers that break it.</summary>
public sealed class BallotTrafficCheckerTests
{
    private static readonly Tag Tag = HandMade.TagOf(5);

    private readonly HandMade _made = new();
    private readonly BallotTrafficChecker _checker;
    private int _seconds;
    private Tag[] _yesBits = [];
    private TagState _state = TagState.Open;

    public BallotTrafficCheckerTests()
    {
        ServerRecord[] servers = [.. new[] { HandMade.S1, HandMade.S2 }.Select((name, place) => new ServerRecord
        {
            Name = name, Disk = new DiskId((UInt128)(uint)place + 1), Host = "127.0.0.1", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
        })];
        _checker = new BallotTrafficChecker(new ClusterConfiguration("made", 1, [.. servers]).BitOf, _made.Evidence.Submissions);
    }

    [Fact]
    public void Promise_then_bit_of_the_promised_round_passes()
    {
        Send(Bit(0, true));
        Send(new Promise(Tag, 64, HasBit: true, 0, true, default));
        Send(Bit(0, true));
        Send(Bit(64, true));
        Send(new Promise(Tag, 128, HasBit: true, 64, true, default));
        Send(Bit(192, false));
    }

    [Fact]
    public void Bit_below_a_promise_that_did_not_show_it_is_found()
    {
        Send(new Promise(Tag, 64, HasBit: false, 0, false, default));
        HandMade.Breaks("promise", () => Send(Bit(0, true)));
    }

    [Fact]
    public void Promise_that_hides_a_bit_is_found()
    {
        Send(Bit(0, true));
        HandMade.Breaks("promise", () => Send(new Promise(Tag, 64, HasBit: false, 0, false, default)));
    }

    [Fact]
    public void Promise_that_shows_another_value_than_was_set_is_found()
    {
        Send(Bit(64, true));
        HandMade.Breaks("promise", () => Send(new Promise(Tag, 128, HasBit: true, 64, false, default)));
    }

    [Fact]
    public void Yes_and_no_in_one_round_are_found()
    {
        Send(Bit(64, true));
        HandMade.Breaks("promise", () => Send(Bit(64, false)));
    }

    [Fact]
    public void Promises_that_leave_in_another_order_than_they_were_given_pass()
    {
        Send(new Promise(Tag, 128, HasBit: false, 0, false, default));
        Send(new Promise(Tag, 64, HasBit: false, 0, false, default));
    }

    [Fact]
    public void Tag_that_somebody_called_rejected_is_begun_anew_without_blame()
    {
        Send(new Promise(Tag, 64, HasBit: false, 0, false, default));
        Send(new Decided(Tag, TagState.Rejected, default));
        Send(Bit(0, true));
    }

    [Fact]
    public void Answer_to_a_read_that_leaves_the_own_yes_out_is_found()
    {
        Send(Bit(64, true));
        Send(new ReadAnswer(1, default, [new HeldTag(Tag, 0b1)], default));
        HandMade.Breaks("read", () => Send(new ReadAnswer(1, default, [new HeldTag(Tag, 0b10)], default)));
    }

    [Theory]
    [InlineData(TagState.Open, true)]
    [InlineData(TagState.Accepted, true)]
    [InlineData(TagState.Rejected, false)]
    public void Two_tags_of_one_key_with_a_yes_at_once_are_found(TagState stateOfSecond, bool isFound)
    {
        Tag other = HandMade.TagOf(6);
        foreach (Tag tag in new[] { Tag, other })
        {
            _made.Evidence.Submissions.Add(Submission.Create(
                tag, default, new DiskId(1), "k", [new Operation(OperationKind.Delete, HandMade.Name("a"), null)]));
        }

        _yesBits = [Tag];
        Send(Bit(0, true));
        _state = stateOfSecond;
        void SendSecond() => Send(new Vector(other, default, 1, 0, true, 1, Again: false));
        if (isFound)
        {
            HandMade.Breaks("key", SendSecond);
        }
        else
        {
            SendSecond();
        }
    }

    private static Vector Bit(uint round, bool value) => new(Tag, default, 1, round, value, 1, Again: false);

    private void Send<T>(T message)
        where T : struct, IMessage
    {
        byte[] bytes = MessageCodec.Encode(message);
        var reader = new WireReader(bytes);
        Assert.True(MessageCodec.TryReadHead(ref reader, out MessageType type));
        _checker.OnMessage(HandMade.S1, type, bytes, HandMade.At(++_seconds), tag => _yesBits.Contains(tag), _ => _state);
    }
}
