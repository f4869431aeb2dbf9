using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Protocols.Wire;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Servers that refuse stale pushes, and one that takes them.</summary>
public sealed class StalePushCheckerTests
{
    private static readonly Tag Old = HandMade.TagOf(5);
    private static readonly Tag New = HandMade.TagOf(6);

    private readonly StalePushChecker _checker;
    private TagState _stateOfNew = TagState.Open;
    private int _seconds;

    public StalePushCheckerTests()
    {
        ServerRecord[] servers = [.. new[] { HandMade.S1, HandMade.S2 }.Select((name, place) => new ServerRecord
        {
            Name = name, Disk = new DiskId((UInt128)(uint)place + 1), Host = "127.0.0.1", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
        })];
        _checker = new StalePushChecker(new ClusterConfiguration("made", 1, [.. servers]).BitOf);
    }

    [Fact]
    public void Push_below_what_the_server_holds_is_found()
    {
        Push(New, "a");
        Send(Held(New));
        Push(Old, "a");
        HandMade.Breaks("stale", () => Send(Held(Old)));
    }

    [Fact]
    public void Push_below_what_the_server_has_set_its_bit_for_is_found()
    {
        Push(New, "a");
        Send(new Vector(New, default, 1, 0, true, 0b10, Again: false));
        Push(Old, "a");
        HandMade.Breaks("stale", () => Send(Held(Old)));
    }

    [Fact]
    public void Pushes_that_cross_pass()
    {
        Push(Old, "a");
        Push(New, "a");
        Send(Held(New));
        Send(Held(Old));
    }

    [Fact]
    public void Push_of_another_name_passes()
    {
        Push(New, "a");
        Send(Held(New));
        Push(Old, "b");
        Send(Held(Old));
    }

    [Fact]
    public void Push_below_what_was_rejected_since_passes()
    {
        Push(New, "a");
        Send(Held(New));
        _stateOfNew = TagState.Rejected;
        Push(Old, "a");
        Send(Held(Old));
    }

    [Fact]
    public void Submission_that_came_by_another_way_than_its_push_passes()
    {
        Push(New, "a");
        Send(Held(New));
        Send(new TagMessage(MessageType.Fetch, Old));
        Push(Old, "a");
        Send(Held(Old));
    }

    private static PushAnswer Held(Tag tag) => new(tag, PushVerdict.Held, default, default, TagState.Unknown, default);

    private void Push(Tag tag, string name) => _checker.OnPush(
        HandMade.S2,
        Submission.Create(tag, default, new DiskId(1), $"key-{tag}", [new Operation(OperationKind.Delete, HandMade.Name(name), null)]),
        HandMade.At(++_seconds));

    private void Send<T>(T message)
        where T : struct, IMessage
    {
        byte[] bytes = MessageCodec.Encode(message);
        var reader = new WireReader(bytes);
        Assert.True(MessageCodec.TryReadHead(ref reader, out MessageType type));
        _checker.OnMessage(HandMade.S2, type, bytes, HandMade.At(++_seconds), tag => tag == New ? _stateOfNew : TagState.Open);
    }
}
