using Carillon.Node;
using Carillon.Protocols;
using Carillon.Simulator.World;
using Xunit;

namespace Node.Tests.Simulator;

public sealed class NetworkTests
{
    private readonly EventQueue _queue = new();
    private readonly List<End> _ends = [];
    private readonly Network _network;

    public NetworkTests()
    {
        _network = new Network(_queue, new RandomSource(1), new TraceDigest(), 3, new NetworkConditions());
        for (int i = 0; i < 3; i++)
        {
            var end = new End(NodeId.Parse($"s{i + 1}"), _queue);
            _ends.Add(end);
            _network.Add(end);
        }

        for (int i = 0; i < 3; i++)
        {
            _network.Started(i);
        }
    }

    [Fact]
    public void Tunnels_open_and_each_end_learns_the_others_incarnation()
    {
        Run(1);
        Assert.Equal(["up s2 1", "up s3 1"], _ends[0].Seen.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Stream_keeps_its_order()
    {
        Run(1);
        for (byte i = 0; i < 100; i++)
        {
            Assert.True(Send(0, 1, i));
        }

        Run(1);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"s1 {i}"), _ends[1].Messages);
    }

    [Fact]
    public void Send_without_a_tunnel_is_refused() => Assert.False(Send(0, 1, 1));

    [Fact]
    public void Cut_holds_messages_and_a_quick_healing_delivers_them()
    {
        Run(1);
        _network.Cut(0, 1);
        Send(0, 1, 1);
        Run(0.4);
        Assert.Empty(_ends[1].Messages);
        _network.Heal(0, 1);
        Run(0.1);
        Assert.Equal(["s1 1"], _ends[1].Messages);
    }

    [Fact]
    public void What_waits_for_a_slow_link_goes_on_at_its_normal_speed_once_that_is_healed()
    {
        // Seed 5003: it still took as long as it would have.
        Run(1);
        _network.SetSpeed(0, 1, 1);
        for (byte i = 0; i < 100; i++)
        {
            Send(0, 1, i);
        }

        Run(0.5);
        Assert.Empty(_ends[1].Messages);
        _network.SetSpeed(0, 1, 0);
        Run(0.5);
        Assert.Equal(Enumerable.Range(0, 100).Select(i => $"s1 {i}"), _ends[1].Messages);
    }

    [Fact]
    public void One_way_cut_lets_the_other_direction_pass_until_the_tunnel_is_given_up()
    {
        Run(1);
        _network.Cut(0, 1);
        Send(1, 0, 1);
        Run(0.1);
        Assert.Equal(["s2 1"], _ends[0].Messages);
        Run(11);
        Assert.Contains("down s2", _ends[0].Seen);
        Assert.Contains("down s1", _ends[1].Seen);
        Assert.False(Send(0, 1, 1));
    }

    [Fact]
    public void Long_cut_loses_what_was_under_way_and_the_tunnel_comes_back_after_healing()
    {
        Run(1);
        _network.Cut(0, 1);
        Send(0, 1, 1);
        Run(11);
        _network.Heal(0, 1);
        Run(2);
        Assert.Empty(_ends[1].Messages);
        Assert.Equal(["up s1 1", "down s1", "up s1 1"], _ends[1].Seen.Where(seen => seen.Contains("s1", StringComparison.Ordinal)));
        Assert.True(Send(0, 1, 2));
    }

    [Fact]
    public void Restarted_server_is_seen_as_another_incarnation_with_a_down_between()
    {
        Run(1);
        _ends[1].Incarnation = 0;
        _network.Stopped(1, dark: true);
        Run(0.05);
        _ends[1].Incarnation = 2;
        _network.Started(1);
        Run(6);
        Assert.Equal(["up s2 1", "down s2", "up s2 2"], _ends[0].Seen.Where(seen => seen.Contains("s2", StringComparison.Ordinal)));
    }

    [Fact]
    public void Messages_to_a_tunnel_that_broke_unnoticed_vanish()
    {
        Run(1);
        _network.Stopped(1, dark: true);
        _ends[1].Incarnation = 0;
        bool queued = Send(0, 1, 1);
        Run(6);
        Assert.True(queued);
        Assert.Empty(_ends[1].Messages);
        Assert.Contains("down s2", _ends[0].Seen);
    }

    [Fact]
    public void Full_queue_refuses()
    {
        Run(1);
        _network.Conditions = _network.Conditions with { QueueLimitBytes = 3 };
        Assert.Equal([true, true, true, false], Enumerable.Range(0, 4).Select(i => Send(0, 1, (byte)i)));
    }

    [Fact]
    public void Slow_link_paces_one_direction()
    {
        Run(1);
        _network.SetSpeed(0, 1, 1);
        Send(0, 1, 1);
        Send(1, 0, 2);
        Run(0.9);
        Assert.Empty(_ends[1].Messages);
        Assert.NotEmpty(_ends[0].Messages);
        Run(0.2);
        Assert.NotEmpty(_ends[1].Messages);
    }

    [Fact]
    public void Long_pause_costs_the_tunnels()
    {
        Run(1);
        _ends[2].Answers = false;
        _network.Paused(2, TimeSpan.FromSeconds(60));
        Run(12);
        Assert.Contains("down s3", _ends[0].Seen);
        Assert.DoesNotContain("down s2", _ends[0].Seen);
    }

    [Fact]
    public void Datagrams_are_lost_doubled_and_reordered_at_their_rates()
    {
        _network.Conditions = new NetworkConditions { DatagramLoss = 0.3, DatagramDuplication = 0.5, DatagramDelay = 0.1 };
        for (int i = 0; i < 2000; i++)
        {
            _network.SendDatagram(_ends[0].Name, _ends[1].Name, new[] { (byte)i, (byte)(i >> 8) });
        }

        Run(6);
        Assert.InRange(_ends[1].Datagrams.Count, 1900, 2300);
        Assert.InRange(_ends[1].Datagrams.Distinct().Count(), 1300, 1500);
        Assert.NotEqual(_ends[1].Datagrams.Order(), _ends[1].Datagrams);
    }

    [Fact]
    public void Dead_multicast_loses_multicast_only()
    {
        _network.SetMulticast(0, 1, works: false);
        _network.SendDatagramToAll(_ends[0].Name, new byte[] { 1, 0 }, multicast: true);
        _network.SendDatagramToAll(_ends[0].Name, new byte[] { 2, 0 }, multicast: false);
        Run(1);
        Assert.Equal([2], _ends[1].Datagrams);
        Assert.Equal([1, 2], _ends[2].Datagrams.Order());
        Assert.Empty(_ends[0].Datagrams);
    }

    private bool Send(int from, int to, byte value) =>
        _network.Send(_ends[from].Name, _ends[to].Name, TrafficKind.Agreement, new[] { value });

    private void Run(double seconds)
    {
        Instant limit = _queue.Now + TimeSpan.FromSeconds(seconds);
        while (_queue.RunNext(limit))
        {
        }
    }

    private sealed class End(NodeId name, EventQueue queue) : INetworkEnd
    {
        public List<string> Seen { get; } = [];

        public List<string> Messages { get; } = [];

        public List<int> Datagrams { get; } = [];

        public NodeId Name => name;

        public bool Answers { get; set; } = true;

        public ulong Incarnation { get; set; } = 1;

        public ServerIdentity Identity =>
            Incarnation == 0 ? default : new ServerIdentity(name, new DiskId(1), new Incarnation(Incarnation));

        public void TunnelUp(ServerIdentity peer) => Seen.Add($"up {peer.Name} {peer.Incarnation}");

        public void TunnelDown(ServerIdentity peer) => Seen.Add($"down {peer.Name}");

        public void Receive(ServerIdentity from, TrafficKind kind, ReadOnlyMemory<byte> message)
        {
            Assert.Equal($"up {from.Name} {from.Incarnation}", Seen.Last(seen => seen.Contains(from.Name.Name, StringComparison.Ordinal)));
            Assert.True(queue.Now.Ticks > 0);
            Messages.Add($"{from.Name} {message.Span[0]}");
        }

        public void ReceiveChunk(ServerIdentity from, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body) =>
            Messages.Add($"{from.Name} chunk {body.Length}");

        public void ReceiveDatagram(ReadOnlyMemory<byte> datagram) => Datagrams.Add(datagram.Span[0] | (datagram.Span[1] << 8));
    }
}
