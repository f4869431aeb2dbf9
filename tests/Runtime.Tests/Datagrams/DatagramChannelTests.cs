using System.Collections.Concurrent;
using System.Collections.Immutable;
using System.Diagnostics.Metrics;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Datagrams;
using Carillon.Runtime.Security;
using Carillon.Runtime.Tests.Tunnels;

namespace Carillon.Runtime.Tests.Datagrams;

public sealed class DatagramChannelTests
{
    private readonly ClusterKeys _keys = ClusterKeys.Create();

    [Fact]
    public async Task Message_to_one_reaches_it_alone_and_says_who_sent_it()
    {
        await using Member s1 = new("s1", _keys);
        await using Member s2 = new("s2", _keys);
        await using Member s3 = new("s3", _keys);
        Connect(s1, s2, s3);
        await Wait.Until(() => Send(s1, s2, "to s2") && !s2.Received.IsEmpty);
        await Wait.Until(() => Send(s1, s3, "to s3") && !s3.Received.IsEmpty);

        Assert.All(s2.Received, datagram => Assert.Equal((s1.Identity, "to s2"), datagram));
        Assert.All(s3.Received, datagram => Assert.Equal((s1.Identity, "to s3"), datagram));
        Assert.Empty(s1.Received);
    }

    [Fact]
    public async Task Message_to_all_by_unicast_reaches_each_other_server()
    {
        await using Member s1 = new("s1", _keys);
        await using Member s2 = new("s2", _keys);
        await using Member s3 = new("s3", _keys);
        Connect(s1, s2, s3);
        await Wait.Until(() =>
        {
            s1.Channel.SendToAll("all"u8, multicast: false);
            return !s2.Received.IsEmpty && !s3.Received.IsEmpty;
        });
        Assert.Empty(s1.Received);
    }

    [Fact]
    public async Task Message_to_the_group_reaches_all_that_joined_it_on_one_machine()
    {
        IPEndPoint group = DatagramOptions.GroupOf("carillon-test-" + Environment.ProcessId);
        await using Member s1 = new("s1", _keys, group: group);
        await using Member s2 = new("s2", _keys, group: group);
        await using Member s3 = new("s3", _keys);
        Connect(s1, s2, s3);
        Assert.SkipUnless(s1.Channel.HearsGroup && s2.Channel.HearsGroup, "multicast can't be joined on this machine's loopback");
        await Wait.Until(() =>
        {
            s1.Channel.SendToAll("group"u8, multicast: true);
            return !s2.Received.IsEmpty && !s1.Received.IsEmpty;
        });
        Assert.All(s2.Received, datagram => Assert.Equal((s1.Identity, "group"), datagram));
        Assert.Empty(s3.Received);
    }

    [Fact]
    public async Task Datagram_of_another_key_a_stranger_or_a_forger_is_dropped_and_a_good_one_still_comes_through()
    {
        await using Member s1 = new("s1", _keys);
        await using Member s2 = new("s2", _keys);
        await using Member foreign = new("s3", ClusterKeys.Create());
        await using Member stranger = new("s9", _keys);
        Connect(s1, s2, foreign);
        stranger.Channel.Start();
        stranger.Channel.Configure(Configuration(s1, stranger));
        using Socket forger = new(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        using MeterListener meter = new();
        ConcurrentDictionary<string, long> verdicts = new();
        meter.InstrumentPublished = (instrument, listener) =>
        {
            if (instrument.Name == "carillon.datagram.received")
            {
                listener.EnableMeasurementEvents(instrument);
            }
        };
        meter.SetMeasurementEventCallback<long>(
            (_, value, tags, _) => verdicts.AddOrUpdate((string)tags[0].Value!, value, (_, sum) => sum + value));
        meter.Start();

        await Wait.Until(() =>
        {
            Send(foreign, s1, "foreign");
            Send(stranger, s1, "stranger");
            forger.SendTo("forged"u8, s1.Channel.EndPoint);
            forger.SendTo([], s1.Channel.EndPoint);
            return new[] { "NotAuthentic", "Stranger", "UnknownVersion", "Malformed" }.All(verdicts.ContainsKey);
        });
        await Wait.Until(() => Send(s2, s1, "good") && !s1.Received.IsEmpty);
        Assert.All(s1.Received, datagram => Assert.Equal((s2.Identity, "good"), datagram));
    }

    [Fact]
    public async Task Key_is_changed_without_losing_anybody()
    {
        ClusterKeys announced = _keys.Announce();
        await using Member old = new("s1", _keys);
        await using Member first = new("s2", announced);
        await using Member second = new("s3", announced.Promote());
        Connect(old, first, second);
        await Wait.Until(() => Send(old, first, "x") && Send(first, old, "x") && !first.Received.IsEmpty && !old.Received.IsEmpty);
        first.Received.Clear();
        await Wait.Until(() => Send(second, first, "y") && Send(first, second, "y") && !first.Received.IsEmpty && !second.Received.IsEmpty);
        Assert.DoesNotContain(old.Received, datagram => datagram.Message == "y");
    }

    [Fact]
    public async Task Port_in_use_is_an_error_at_start()
    {
        await using Member s1 = new("s1", _keys);
        Connect(s1);
        await using Member s2 = new("s2", _keys, port: s1.Channel.EndPoint.Port);
        Assert.Equal(SocketError.AddressAlreadyInUse, Assert.Throws<SocketException>(s2.Channel.Start).SocketErrorCode);
    }

    [Fact]
    public async Task Channel_on_all_addresses_of_both_families_reaches_hosts_of_both()
    {
        Assert.SkipUnless(Socket.OSSupportsIPv6, "this machine has no IPv6");
        await using Member s1 = new("s1", _keys, listen: IPAddress.IPv6Any);
        await using Member s2 = new("s2", _keys);
        await using Member s3 = new("s3", _keys, listen: IPAddress.IPv6Loopback) { Host = "::1" };
        Connect(s1, s2, s3);
        await Wait.Until(() => Send(s1, s2, "by v4") && Send(s2, s1, "by v4") && Send(s1, s3, "by v6")
            && !s1.Received.IsEmpty && !s2.Received.IsEmpty && !s3.Received.IsEmpty);
    }

    [Fact]
    public async Task Host_names_are_looked_up_and_unknown_ones_are_said_once()
    {
        await using Member s1 = new("s1", _keys);
        await using Member s2 = new("s2", _keys) { Host = "localhost" };
        Connect(s1, s2);
        await Wait.Until(() => Send(s1, s2, "by name") && !s2.Received.IsEmpty);
        await using Member unknown = new("s2", _keys) { Host = "unknown.invalid" };
        s1.Channel.Configure(Configuration(s1, unknown));
        await Wait.Until(() => s1.Log.Lines.Any(line => line == "No datagrams to s2: host 'unknown.invalid' is not known"));
    }

    [Fact]
    public async Task Stopped_channel_sends_nothing_and_ends_well()
    {
        Member s1 = new("s1", _keys);
        await using Member s2 = new("s2", _keys);
        Connect(s1, s2);
        await s1.DisposeAsync();
        Assert.True(s1.Channel.Completion.IsCompletedSuccessfully);
        s1.Channel.SendToAll("late"u8, multicast: false);
    }

    [Fact]
    public void Group_is_administratively_scoped_and_differs_by_cluster()
    {
        IPEndPoint[] groups = [.. Enumerable.Range(0, 50).Select(i => DatagramOptions.GroupOf("c" + i))];
        Assert.All(groups, group => Assert.StartsWith("239.192.", group.Address.ToString()));
        Assert.InRange(groups.Distinct().Count(), 45, 50);
        Assert.Equal(DatagramOptions.GroupOf("c1"), groups[1]);
    }

    [Fact]
    public void Options_out_of_range_are_all_reported_at_once()
    {
        DatagramOptions bad = new()
        {
            Listen = new IPEndPoint(IPAddress.IPv6Loopback, 0),
            Group = new IPEndPoint(IPAddress.Loopback, 1),
            GroupTimeToLive = 256,
            SocketBufferBytes = 1,
        };
        Assert.Equal(4, bad.Validate().Count);
        Assert.Empty((bad with { Group = null, GroupTimeToLive = 1, SocketBufferBytes = 65_536 }).Validate());
    }

    private static bool Send(Member from, Member to, string message)
    {
        from.Channel.Send(to.Identity.Name, Encoding.UTF8.GetBytes(message));
        return true;
    }

    private static void Connect(params Member[] members)
    {
        foreach (Member member in members)
        {
            member.Channel.Start();
            member.Port = member.Channel.EndPoint.Port;
        }

        foreach (Member member in members)
        {
            member.Channel.Configure(Configuration(members));
        }
    }

    private static ClusterConfiguration Configuration(params Member[] members) =>
        new("demo", 1, [.. members.Select(member => member.Record)]);

    private sealed class Member : IDatagramHandler, IAsyncDisposable
    {
        public Member(string name, ClusterKeys keys, IPEndPoint? group = null, int port = 0, IPAddress? listen = null)
        {
            Identity = new ServerIdentity(NodeId.Parse(name), new DiskId((UInt128)name[1]), new Incarnation(1));
            DatagramOptions options = new() { Listen = new IPEndPoint(listen ?? IPAddress.Loopback, port), Group = group };
            Channel = new DatagramChannel(
                options, Identity, keys, new ClusterConfiguration("demo", 1, ImmutableArray.Create(Record)), this, Log);
        }

        // What the channel says nothing of afterwards is never seen.
        private readonly ConcurrentQueue<(ServerIdentity Sender, string Message)> _undrained = new();

        public ServerIdentity Identity { get; }

        public LogRecorder Log { get; } = new();

        public DatagramChannel Channel { get; }

        public ConcurrentQueue<(ServerIdentity Sender, string Message)> Received { get; } = new();

        public string Host { get; init; } = "127.0.0.1";

        public int Port { get; set; }

        public ServerRecord Record => new()
        {
            Name = Identity.Name,
            Disk = Identity.Disk,
            Host = Host ?? "127.0.0.1",
            HttpPort = 1,
            TunnelPort = 2,
            DatagramPort = Port,
        };

        public void Receive(ServerIdentity sender, ReceivedDatagram datagram)
        {
            using (datagram)
            {
                _undrained.Enqueue((sender, Encoding.UTF8.GetString(datagram.Message.Span)));
            }
        }

        public void Drained()
        {
            while (_undrained.TryDequeue(out (ServerIdentity Sender, string Message) next))
            {
                Received.Enqueue(next);
            }
        }

        public ValueTask DisposeAsync() => Channel.DisposeAsync();
    }
}
