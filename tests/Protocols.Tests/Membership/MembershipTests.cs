using Carillon.Protocols.Cluster;
using Carillon.Protocols.Membership;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.Membership;

/// <summary>Single rules of <see cref="MembershipMonitor"/> that no transcript shows.</summary>
public sealed class MembershipTests
{
    private static readonly ServerIdentity S1 = new(NodeId.Parse("s1"), new DiskId(1001), new Incarnation(5));
    private static readonly ServerIdentity S2 = new(NodeId.Parse("s2"), new DiskId(1002), new Incarnation(7));

    [Fact]
    public void Voter_counts_only_once_its_incarnation_is_durable()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        monitor.TunnelUp(S2, At(10));
        MembershipBatch batch = monitor.Drain();

        Assert.True(monitor.IsConnected(S2.Name));
        Assert.False(monitor.HasQuorum);
        Assert.Equal(MemberFault.NotRecorded, monitor.Status()[1].Fault);

        IncarnationRecord record = Assert.Single(batch.Records);
        monitor.Persisted(record, At(11));
        Assert.True(monitor.HasQuorum);
    }

    [Fact]
    public void Record_that_was_not_made_durable_is_asked_for_again()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        monitor.TunnelUp(S2, At(10));
        monitor.Drain();
        monitor.Advance(At(500));
        Assert.Empty(monitor.Drain().Records);
        monitor.Advance(At(1100));
        IncarnationRecord record = Assert.Single(monitor.Drain().Records);
        monitor.Persisted(record, At(1101));
        monitor.Advance(At(3000));
        Assert.Empty(monitor.Drain().Records);
    }

    [Fact]
    public void Incarnation_that_was_recorded_before_needs_no_other_record()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2, new IncarnationRecord(S2.Name, S2.Disk, S2.Incarnation));
        monitor.TunnelUp(S2, At(10));

        Assert.Empty(monitor.Drain().Records);
        Assert.True(monitor.HasQuorum);
    }

    [Fact]
    public void Incarnation_behind_the_record_is_not_admitted_after_a_restart_of_its_judge()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2, new IncarnationRecord(S2.Name, S2.Disk, new Incarnation(8)));
        monitor.TunnelUp(S2, At(10));

        Assert.False(monitor.IsConnected(S2.Name));
        Assert.False(monitor.Accepts(S2));
        Assert.Equal(MemberFault.BehindRecord, monitor.Status()[1].Fault);
        Assert.Contains(monitor.Drain().Events, e => e.Kind == MembershipEventKind.BehindRecord && e.Server == S2.Name);
    }

    [Fact]
    public void Lower_incarnation_than_one_already_seen_is_ignored()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        monitor.TunnelUp(S2, At(10));
        ServerIdentity former = S2 with { Incarnation = new Incarnation(6) };
        monitor.Receive(former, Bytes(new Heartbeat { Sender = former, Number = 50, Votes = true, Echoes = [] }), At(20));
        monitor.HeardFrom(former, At(30));
        monitor.TunnelUp(former, At(40));

        Assert.Equal(3, monitor.Counters.LowerIncarnations);
        Assert.True(monitor.Accepts(S2));
        Assert.False(monitor.Accepts(former));
        Assert.Equal(S2.Incarnation, monitor.Status()[1].Incarnation);
        Assert.DoesNotContain(monitor.Drain().Events, e => e.Kind == MembershipEventKind.Restarted);
    }

    [Fact]
    public void Tunnel_of_a_former_life_that_breaks_late_does_not_disconnect_the_present_one()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        ServerIdentity next = S2 with { Incarnation = new Incarnation(8) };
        monitor.TunnelUp(S2, At(10));
        monitor.TunnelUp(next, At(20));
        monitor.TunnelDown(S2, At(30));

        Assert.True(monitor.IsConnected(S2.Name));
        monitor.TunnelDown(next, At(40));
        Assert.False(monitor.IsConnected(S2.Name));
    }

    [Fact]
    public void Traffic_of_any_kind_keeps_a_server_alive()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        monitor.TunnelUp(S2, At(0));
        for (int time = 50; time < 3000; time += 50)
        {
            monitor.HeardFrom(S2, At(time));
            monitor.Advance(At(time));
        }

        Assert.Equal(0, monitor.Counters.Suspicions);
    }

    [Fact]
    public void Heartbeat_that_overtook_another_is_not_overwritten_by_it()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        var newer = new Heartbeat { Sender = S2, Number = 9, Votes = true, Load = new LoadReport(9, 0, 0, 0, 0, 0), Echoes = [] };
        monitor.Receive(S2, Bytes(newer), At(10));
        monitor.Receive(S2, Bytes(newer with { Number = 8, Load = new LoadReport(8, 0, 0, 0, 0, 0) }), At(60));

        Assert.Equal(9u, monitor.LoadOf(S2.Name)!.Value.Downloads);
        Assert.Equal(TimeSpan.FromMilliseconds(50), monitor.Status()[1].SilentFor);
    }

    [Fact]
    public void Server_that_did_not_run_does_not_blame_the_others()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 2);
        monitor.TunnelUp(S2, At(0));
        monitor.Advance(At(1));
        monitor.Drain();
        monitor.Advance(At(90_000));

        Assert.True(monitor.IsConnected(S2.Name));
        Assert.Equal(0, monitor.Counters.Suspicions);
        Assert.Equal(1, monitor.Counters.OwnPauses);

        monitor.Advance(At(90_100));
        monitor.Advance(At(90_200));
        monitor.Advance(At(90_300));
        monitor.Advance(At(90_400));
        monitor.Advance(At(90_500));
        monitor.Advance(At(90_601));
        Assert.False(monitor.IsConnected(S2.Name));
    }

    [Fact]
    public void Suspicion_asks_no_more_helpers_than_allowed()
    {
        var lab = new MembershipLab(12);
        var asked = new List<NodeId>();
        lab.OnSend = (from, send) =>
        {
            if (from == NodeId.Parse("s1") && ProbeMessage.TryRead(send.Message.Span, out ProbeMessage probe)
                && probe is { Kind: MembershipMessageKind.ProbeRequest, Origin.Name: "s1" } && send.Path == MessagePath.Datagram)
            {
                asked.Add(send.To);
            }
        };
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(1));
        lab.Crash(lab["s5"]);
        lab.Run(TimeSpan.FromSeconds(1));

        Assert.Equal(3, asked.Count);
        Assert.Equal(3, asked.Distinct().Count());
        Assert.DoesNotContain(NodeId.Parse("s5"), asked);
    }

    [Fact]
    public void Interval_is_never_below_the_round_trip()
    {
        var options = new MembershipOptions { Transport = TransportChoice.Unicast };
        var lab = new MembershipLab(3, options: options) { Latency = TimeSpan.FromMilliseconds(200) };
        var sent = new List<Instant>();
        lab.OnSend = (from, send) =>
        {
            if (from == NodeId.Parse("s1") && send.To == NodeId.Parse("s2") && send.Path == MessagePath.Datagram
                && Heartbeat.TryRead(send.Message.Span, out _))
            {
                sent.Add(lab.Now);
            }
        };
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(3));
        sent.Clear();
        lab.Run(TimeSpan.FromSeconds(20));

        Assert.InRange(sent.Count, 45, 55);
        Assert.All(sent.Zip(sent.Skip(1)), pair => Assert.True((pair.Second - pair.First).TotalMilliseconds >= 379));
        Assert.All(lab.Servers, server => Assert.Equal(0, server.Monitor!.Counters.Failures));
    }

    [Fact]
    public void Load_and_vote_of_a_server_reach_the_others()
    {
        var lab = new MembershipLab(3);
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(1));
        var load = new LoadReport(1, 2, 3, 4, 5, 6);
        lab["s2"].Monitor!.SetLoad(load);
        lab["s2"].Monitor!.SetVotes(votes: false, lab.MomentOf(lab["s2"]));
        lab.Run(TimeSpan.FromMilliseconds(200));

        MembershipMonitor s1 = lab["s1"].Monitor!;
        Assert.Equal(load, s1.LoadOf(S2.Name));
        Assert.True(s1.IsConnected(S2.Name));
        Assert.Equal(2, s1.ConnectedVoters.Count);
        Assert.Equal(MemberFault.DoesNotVote, s1.Status()[1].Fault);
        Assert.Equal(MemberFault.DoesNotVote, lab["s2"].Monitor!.SelfFault);
    }

    [Fact]
    public void Storage_server_is_connected_but_no_voter()
    {
        var lab = new MembershipLab(4, entryServers: 3);
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(1));

        MembershipMonitor s1 = lab["s1"].Monitor!;
        Assert.True(s1.IsConnected(NodeId.Parse("s4")));
        Assert.Equal(3, s1.ConnectedVoters.Count);
        Assert.True(lab["s4"].Monitor!.HasQuorum);
    }

    [Fact]
    public void Tunnel_of_a_disk_that_the_next_version_names_counts_once_that_is_in_force()
    {
        // A replaced server may be there before this one has heard of its disk, and its tunnel comes up once.
        MembershipMonitor monitor = MonitorOf(S1, servers: 3);
        ClusterConfiguration former = monitor.Configuration;
        var fresh = new ServerIdentity(S2.Name, new DiskId(2002), new Incarnation(1));
        monitor.TunnelUp(S2, At(1));
        monitor.TunnelDown(S2, At(2));
        monitor.TunnelUp(fresh, At(3));
        Assert.False(monitor.IsConnected(S2.Name));
        Assert.False(monitor.Accepts(fresh));

        monitor.Reconfigure(new ClusterConfiguration("lab", 2, [.. former.Servers.Select(s =>
            s.Name == fresh.Name ? s with { Disk = fresh.Disk } : s)]), At(4));
        Assert.True(monitor.IsConnected(S2.Name));
        Assert.True(monitor.Accepts(fresh));
        monitor.TunnelDown(fresh, At(5));
        Assert.False(monitor.IsConnected(S2.Name));
    }

    [Fact]
    public void Tunnel_of_a_strange_disk_that_is_down_again_counts_for_nothing_later()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 3);
        ClusterConfiguration former = monitor.Configuration;
        var fresh = new ServerIdentity(S2.Name, new DiskId(2002), new Incarnation(1));
        monitor.TunnelUp(fresh, At(3));
        monitor.TunnelDown(fresh, At(4));
        monitor.Reconfigure(new ClusterConfiguration("lab", 2, [.. former.Servers.Select(s =>
            s.Name == fresh.Name ? s with { Disk = fresh.Disk } : s)]), At(5));
        Assert.False(monitor.IsConnected(S2.Name));
    }

    [Fact]
    public void Reconfigured_cluster_keeps_what_stays_and_forgets_what_went()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 3);
        monitor.TunnelUp(S2, At(1));
        monitor.TunnelUp(new ServerIdentity(NodeId.Parse("s3"), new DiskId(1003), new Incarnation(1)), At(2));
        monitor.Drain();
        ClusterConfiguration former = monitor.Configuration;
        ServerRecord replaced = former.Servers[2] with { Disk = new DiskId(2003) };
        ServerRecord added = former.Servers[2] with { Name = NodeId.Parse("s4"), Disk = new DiskId(1004) };
        monitor.Reconfigure(new ClusterConfiguration("lab", 2, [former.Servers[0], former.Servers[1], replaced, added]), At(3));

        Assert.True(monitor.IsConnected(S2.Name));
        Assert.False(monitor.IsConnected(NodeId.Parse("s3")));
        Assert.Equal(MemberState.Unheard, monitor.Status()[3].State);
        Assert.Contains(monitor.Drain().Events, e => e.Kind == MembershipEventKind.Disconnected && e.Server == NodeId.Parse("s3"));
    }

    [Fact]
    public void Server_alone_has_its_quorum_and_its_own_clock()
    {
        MembershipMonitor monitor = MonitorOf(S1, servers: 1);
        monitor.Advance(At(100));

        Assert.True(monitor.HasQuorum);
        Assert.Equal(TimeSpan.Zero, monitor.MedianOffset(At(100)));
        Assert.Empty(monitor.Drain().Sends);
    }

    [Fact]
    public void Heartbeat_of_the_largest_cluster_fits_one_datagram_with_all_echoes()
    {
        NodeId Longest(int i) => NodeId.Parse($"server-with-the-longest-name-{i:D3}");
        var servers = Enumerable.Range(0, ClusterConfiguration.MaxServers).Select(i => new ServerRecord
        {
            Name = Longest(i), Disk = new DiskId((UInt128)(i + 1)), Host = "h", HttpPort = 1, TunnelPort = 2, DatagramPort = 3,
        });
        var self = new ServerIdentity(Longest(0), new DiskId(1), new Incarnation(ulong.MaxValue));
        var monitor = new MembershipMonitor(
            self, new ClusterConfiguration("lab", 1, [.. servers]), new MembershipOptions(), new RandomSource(1), [], At(0));
        monitor.Advance(At(0));
        MembershipSend send = monitor.Drain().Sends[0];

        Assert.Equal(NodeId.MaxLength, self.Name.Name.Length);
        Assert.True(Heartbeat.TryRead(send.Message.Span, out Heartbeat heartbeat));
        Assert.Equal(63, heartbeat.Echoes.Length);
        Assert.Equal(1157, send.Message.Length + SealedDatagram.Overhead(self.Name));
    }

    [Fact]
    public void Echoes_that_do_not_fit_take_turns()
    {
        var lab = new MembershipLab(20, options: new MembershipOptions { DatagramBytes = Heartbeat.LeastDatagramBytes });
        int most = 0;
        lab.OnSend = (_, send) => most = Math.Max(most, send.Message.Length + SealedDatagram.Overhead(NodeId.Parse("s20")));
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(2));

        Assert.InRange(most, 1, Heartbeat.LeastDatagramBytes);
        Assert.All(lab.Servers, server => Assert.All(server.Monitor!.Status(), member => Assert.NotNull(member.RoundTrip)));
    }

    [Fact]
    public void Options_out_of_range_are_each_told()
    {
        Assert.Empty(new MembershipOptions().Validate());
        var wrong = new MembershipOptions
        {
            HeartbeatInterval = TimeSpan.Zero,
            HeartbeatTimeout = TimeSpan.FromMilliseconds(-1),
            ProbeTimeout = TimeSpan.Zero,
            ProbeHelpers = 17,
            ClockMaxSkew = TimeSpan.Zero,
            MulticastProbe = TimeSpan.FromMilliseconds(-1),
            MulticastSettle = TimeSpan.FromMinutes(1),
            DatagramBytes = 100,
        };
        Assert.Equal(8, wrong.Validate().Length);
    }

    private static MembershipMonitor MonitorOf(ServerIdentity self, int servers, params IncarnationRecord[] recorded) =>
        new(self, MembershipLab.ConfigurationOf(servers, servers), new MembershipOptions(), new RandomSource(1), recorded, At(0));

    private static Moment At(long milliseconds) =>
        new(new Instant(milliseconds * TimeSpan.TicksPerMillisecond), new WallTime(1_700_000_000_000 + milliseconds));

    private static byte[] Bytes(Heartbeat heartbeat)
    {
        byte[] bytes = new byte[heartbeat.Size];
        heartbeat.Write(bytes);
        return bytes;
    }

    private static void StartAll(MembershipLab lab)
    {
        foreach (LabServer server in lab.Servers)
        {
            lab.Start(server);
        }
    }
}
