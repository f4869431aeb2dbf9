using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Storage.Chunks;
using Xunit;

namespace Carillon.Node.Tests;

/// <summary>By which way messages leave, and when.</summary>
public sealed class PostboxTests : IWorld
{
    private static readonly NodeId Peer = NodeId.Parse("s2");

    private readonly DatagramPaths _paths = new();
    private readonly DatagramPaths _there = new();
    private readonly Postbox _postbox;
    private readonly List<string> _sent = [];
    private Instant _now = new(TimeSpan.TicksPerDay);

    public PostboxTests() => _postbox = new Postbox(this, _paths);

    [Fact]
    public void Small_messages_that_are_sent_again_go_as_datagrams_once_these_arrive()
    {
        Assert.Equal("Paths datagram 1200, Groups tunnel 105", Send(100));
        Assert.Equal("Paths datagram 1200, Groups tunnel 105", Send(100));
        Assert.Equal("Paths datagram 1200, Groups tunnel 105", Send(100));
        Assert.Equal("Paths datagram 1200, Groups datagram 100, Groups datagram 1200", Send(100, 1200));
        Assert.Equal("Paths datagram 1200, Groups datagram 1, Groups datagram 2, Groups datagram 3", Send(1, 2, 3));
    }

    [Fact]
    public void Large_messages_and_many_at_once_go_through_the_tunnel_in_one_write()
    {
        Send(100);
        Send(100);
        Send(100);
        Assert.Equal("Paths datagram 1200, Groups tunnel 1311", Send(100, 1201));
        Assert.Equal("Paths datagram 1200, Groups tunnel 30", Send(1, 2, 3, 4));
    }

    [Fact]
    public void Other_messages_go_through_the_tunnel()
    {
        Send(100);
        Send(100);
        Send(100);
        Post(TrafficKind.Agreement, 10, mayBeLost: false);
        Assert.Equal("Agreement tunnel 15", Flush());
        Post(TrafficKind.Agreement, 10, mayBeLost: true);
        Assert.Equal("Paths datagram 1200, VectorExchange datagram 10", Flush());
    }

    [Fact]
    public void Messages_that_may_be_lost_go_in_the_tunnel_with_one_that_may_not()
    {
        Send(100);
        Send(100);
        Send(100);
        Post(TrafficKind.Agreement, 10, mayBeLost: true);
        Post(TrafficKind.Agreement, 20, mayBeLost: false);
        Assert.Equal("Paths datagram 1200, Agreement tunnel 40", Flush());
        Post(TrafficKind.Agreement, 20, mayBeLost: false);
        Post(TrafficKind.Agreement, 10, mayBeLost: true);
        Assert.Equal("Agreement tunnel 40", Flush());
    }

    [Fact]
    public void Message_that_rests_on_a_record_leaves_by_no_way_before_that_is_durable()
    {
        Send(100);
        Send(100);
        Send(100);
        Post(TrafficKind.Groups, 10, mayBeLost: true, after: 7);
        Assert.Equal("", Flush());
        _postbox.ReleaseGroups(6);
        Assert.Equal("", Flush());
        _postbox.ReleaseGroups(7);
        Assert.Equal("Paths datagram 1200, Groups datagram 10", Flush());
    }

    bool IWorld.Send(NodeId peer, TrafficKind kind, ReadOnlyMemory<byte> message)
    {
        _sent.Add($"{kind} tunnel {message.Length}");
        return true;
    }

    void IWorld.SendDatagram(NodeId peer, ReadOnlyMemory<byte> message)
    {
        Assert.True(NodeDatagram.TryRead(message.Span, out Protocol protocol, out ReadOnlySpan<byte> payload));
        _sent.Add($"{protocol} datagram {payload.Length}");
        byte[] answer = new byte[DatagramPaths.AnswerBytes];
        if (protocol == Protocol.Paths && _there.Receive(Peer, payload, _now, answer))
        {
            Assert.False(_paths.Receive(Peer, [.. answer], _now, answer));
        }
    }

    void IWorld.SendDatagramToAll(ReadOnlyMemory<byte> message, bool multicast) => Assert.Fail("to one only");

    void IWorld.Run(StorageWork work) => Assert.Fail("it stores nothing");

    bool IWorld.SendChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkBuffer body) => false;

    bool IWorld.SendStoredChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkId chunk) => false;

    void IWorld.Scrub(ChunkId chunk) => Assert.Fail("it reads nothing");

    void IWorld.Read(ChunkLocation location, Action<ReadOnlyMemory<byte>> then) => Assert.Fail("it reads nothing");

    void IWorld.Serve(ServiceOrder order) => Assert.Fail("it orders nothing");

    void IWorld.Reconfigured(ClusterConfiguration configuration) => Assert.Fail("it configures nothing");

    void IWorld.Stop(string reason) => Assert.Fail(reason);

    void IWorld.Report(NodeEvent occurrence) => Assert.Fail(occurrence.Detail);

    private string Send(params int[] sizes)
    {
        foreach (int size in sizes)
        {
            Post(TrafficKind.Groups, size, mayBeLost: true);
        }

        return Flush();
    }

    private void Post(TrafficKind kind, int size, bool mayBeLost, ulong after = 0)
    {
        Protocol protocol = kind == TrafficKind.Groups ? Protocol.Groups : Protocol.VectorExchange;
        _postbox.Post(Peer, kind, new Postbox.Entry(protocol, new byte[size], mayBeLost), after, durable: Math.Min(after, 6));
    }

    private string Flush()
    {
        _sent.Clear();
        _postbox.Flush(_now);
        _now += TimeSpan.FromMilliseconds(250);
        return string.Join(", ", _sent);
    }
}
