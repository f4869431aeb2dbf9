using System.Net;
using System.Net.Sockets;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Security;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>Connections that break, are silent, or must not be (VE-14, VE-15).</summary>
public sealed class TunnelFaultTests : IDisposable
{
    private readonly TestCluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public async Task Broken_connection_is_told_at_both_ends_and_made_again()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await using Relay relay = await ConnectByRelayAsync(s1, s2);
        for (int round = 1; round <= 3; round++)
        {
            relay.Cut();
            await Wait.Until(() => s1.Downs.Count >= round && s2.Downs.Count >= round);
            await Wait.Until(() => s1.Ups.Count == round + 1 && s2.Ups.Count == round + 1);
            Assert.True(s1.Tunnel.TrySend(s2.Name, TrafficKind.Agreement, "again"u8));
            await Wait.Until(() => s2.Messages.Count == round);
        }

        Assert.Equal(s1.Ups.Count, s1.Ups.Select(peer => peer.Connection).Distinct().Count());
        Assert.Equal(s1.Ups.Take(3), s1.Downs.Select(down => down.Peer));
    }

    [Fact]
    public async Task Silent_connection_is_given_up_at_both_ends()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Impatient);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Impatient);
        await using Relay relay = await ConnectByRelayAsync(s1, s2);
        relay.KeepSilent();

        await Wait.Until(() => !s1.Downs.IsEmpty && !s2.Downs.IsEmpty);
        string silence = "nothing came from it for 1 s";
        Assert.Contains(silence, s1.Downs.Concat(s2.Downs).Select(down => down.Reason)); // the other may see the broken connection first

        static TunnelOptions Impatient(TunnelOptions options) => options with
        {
            PingInterval = TimeSpan.FromMilliseconds(100),
            SilenceLimit = TimeSpan.FromSeconds(1),
            ConnectTimeout = TimeSpan.FromSeconds(1),
            DialTimeout = TimeSpan.FromSeconds(1),
        };
    }

    [Fact]
    public async Task Quiet_connection_stays_up_by_its_pings()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Quick);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Quick);
        await TestServer.ConnectAsync(s1, s2);
        await Wait.Until(() => s1.Tunnel.RoundTrip(s2.Name) is not null && s2.Tunnel.RoundTrip(s1.Name) is not null);
        Assert.Empty(s1.Downs);

        static TunnelOptions Quick(TunnelOptions options) => options with { PingInterval = TimeSpan.FromMilliseconds(10) };
    }

    [Fact]
    public async Task Restarted_server_is_met_again_with_its_new_incarnation_and_never_with_an_older_one()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        TestServer first = new(_cluster.Ring("s2"), incarnation: 5);
        await TestServer.ConnectAsync(s1, first);
        int port = first.Tunnel.EndPoint.Port;
        await first.DisposeAsync();
        await Wait.Until(() => s1.Downs.Count >= 1);

        await using (TestServer restored = new(_cluster.Ring("s2"), incarnation: 4, port))
        {
            await restored.Tunnel.StartAsync();
            restored.Tunnel.Configure(3, [s1.Target]);
            await Wait.Until(() => restored.Log.Refusals.Count > 0);
            string reason = "'s2' has been here with a later incarnation of its disk than 4";
            Assert.Contains("it refused: " + reason, restored.Log.Refusals[0]);
            await Wait.Until(() => s1.Log.Failures.Any(line => line.EndsWith(reason + "; trying on", StringComparison.Ordinal)));
            Assert.Empty(restored.Ups);
        }

        await using TestServer again = new(_cluster.Ring("s2"), incarnation: 6, port);
        await again.Tunnel.StartAsync();
        again.Tunnel.Configure(3, [s1.Target]);
        await Wait.Until(() => s1.Ups.Count == 2);
        Assert.Equal(new Incarnation(6), s1.Ups.Last().Incarnation);
    }

    [Fact]
    public async Task Second_process_with_one_name_takes_the_place_of_the_first_if_it_is_not_older()
    {
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await using TestServer old = new(_cluster.Ring("s1"), incarnation: 3, change: Slow);
        await TestServer.ConnectAsync(old, s2);
        await using TestServer late = new(_cluster.Ring("s1"), incarnation: 4, change: Slow);
        late.Tunnel.Configure(3, [s2.Target]);

        await Wait.Until(() => s2.Ups.Count == 2);
        (TunnelPeer peer, string reason) = s2.Downs.Single();
        Assert.Equal((new Incarnation(3), "a newer connection took its place"), (peer.Incarnation, reason));
        await Wait.Until(() => old.Log.Failures.Count > 0);
        Assert.Contains("later incarnation of its disk than 3", old.Log.Failures[0]);
        Assert.Equal(2, s2.Ups.Count);

        // So that the old one does not come back before the new one is there.
        static TunnelOptions Slow(TunnelOptions options) => Pausing(options, TimeSpan.FromMilliseconds(200));
    }

    [Fact]
    public async Task Heartbeat_of_a_newer_incarnation_ends_the_tunnel_of_the_older()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);

        s1.Tunnel.Observe(s2.Name, new DiskId(7), new Incarnation(1));
        Assert.Empty(s1.Downs);
        s1.Tunnel.Observe(s2.Name, new DiskId(7), new Incarnation(2));
        await Wait.Until(() => s1.Downs.Count >= 1);
        Assert.Equal("it was started again", s1.Downs.Single().Reason);
        await Wait.Until(() => s1.Log.Failures.Count > 0);
        Assert.Single(s1.Ups);
    }

    [Fact]
    public async Task Server_that_is_heard_is_dialled_without_waiting_for_the_pause_to_end()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Slow);
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await s2.Tunnel.StartAsync();
        s2.Tunnel.Configure(3, []);
        s1.Tunnel.Configure(3, [s2.Target]);
        await Wait.Until(() => s1.Log.Failures.Count == 1);

        s2.Tunnel.Configure(3, [new TunnelTarget(s1.Name, "127.0.0.1", 1)]);
        await Wait.Until(() =>
        {
            s1.Tunnel.Observe(s2.Name, new DiskId(7), new Incarnation(1));
            return s1.Ups.Count == 1;
        });

        static TunnelOptions Slow(TunnelOptions options) => Pausing(options, TimeSpan.FromHours(1));
    }

    [Fact]
    public async Task Server_that_leaves_the_configuration_is_dropped_and_not_let_in_again()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        s2.Tunnel.Configure(4, []);

        await Wait.Until(() => s2.Downs.Count >= 1 && s1.Log.Failures.Count > 0);
        Assert.Equal("it is not in the configuration any more", s2.Downs.Single().Reason);
        Assert.Contains("it refused: 's1' is not in the configuration", s1.Log.Failures[0]);
        s1.Tunnel.Configure(4, []);
        await Wait.For(s1.Tunnel.StopAsync());
    }

    [Fact]
    public async Task Plaintext_is_refused_with_one_line_and_answered_with_nothing_of_http()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await s1.Tunnel.StartAsync();
        using Socket socket = new(SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(IPAddress.Loopback, s1.Tunnel.EndPoint.Port);
        await socket.SendAsync("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"u8.ToArray());
        byte[] answer = new byte[1000];
        int length = await ReadToEndAsync(socket, answer);

        Assert.InRange(length, 0, 20); // a TLS alert at most
        await Wait.Until(() => s1.Log.Refusals.Count == 1);
        Assert.EndsWith(": it did not complete a TLS 1.3 handshake", s1.Log.Refusals[0]);
    }

    [Fact]
    public async Task Certificate_of_another_authority_is_refused_with_one_line_a_call()
    {
        using TestCluster other = new();
        string reason = "its certificate is not signed by this cluster's authority";
        await RefusedByDiallerAsync(_cluster.Ring("s1"), other.Ring("s2"), reason);
        await RefusedByListenerAsync(other, reason);
    }

    [Fact]
    public async Task Expired_certificate_is_refused()
    {
        CertificateName name = new("demo", CertificateName.Server, NodeId.Parse("s2"));
        Keyring expired = _cluster.Ring(name, TestCluster.Now.AddHours(-2), TestCluster.Now.AddHours(-1));
        await RefusedByDiallerAsync(_cluster.Ring("s1"), expired, "its certificate is valid from ");
    }

    [Fact]
    public async Task Certificate_of_another_cluster_of_the_same_authority_is_refused()
    {
        CertificateName name = new("other", CertificateName.Server, NodeId.Parse("s2"));
        Keyring other = _cluster.Ring(name, TestCluster.Now, TestCluster.Now.AddHours(1));
        await RefusedByDiallerAsync(_cluster.Ring("s1"), other, "its certificate is for cluster 'other', this is 'demo'");
    }

    [Fact]
    public async Task Certificate_of_another_server_than_dialled_is_refused() =>
        await RefusedByDiallerAsync(_cluster.Ring("s1"), _cluster.Ring("s3"), "its certificate is for server 's3', expected 's2'");

    private static TunnelOptions Pausing(TunnelOptions options, TimeSpan pause) =>
        options with { ReconnectMinimum = pause, ReconnectMaximum = pause };

    private static async Task<Relay> ConnectByRelayAsync(TestServer s1, TestServer s2)
    {
        await s1.Tunnel.StartAsync();
        await s2.Tunnel.StartAsync();
        Relay relay = new(s2.Tunnel.EndPoint);
        s2.Tunnel.Configure(3, [s1.Target]);
        s1.Tunnel.Configure(3, [s2.Target with { Port = relay.Port }]);
        await Wait.Until(() => s1.Ups.Count == 1 && s2.Ups.Count == 1);
        return relay;
    }

    /// <summary>s1 dials what it takes for s2.</summary>
    private static async Task RefusedByDiallerAsync(Keyring dialler, Keyring listener, string reason)
    {
        await using TestServer s1 = new(dialler);
        await using TestServer impostor = new(listener);
        await impostor.Tunnel.StartAsync();
        impostor.Tunnel.Configure(3, [new TunnelTarget(s1.Name, "127.0.0.1", 1)]);
        await using Relay relay = new(impostor.Tunnel.EndPoint);
        s1.Tunnel.Configure(3, [new TunnelTarget(NodeId.Parse("s2"), "127.0.0.1", relay.Port)]);

        await Wait.Until(() => s1.Log.Failures.Count > 0 && relay.Accepted > 3);
        Assert.Contains(reason, s1.Log.Failures[0]);
        Assert.Single(s1.Log.Failures); // tried again and again, said once
        Assert.Empty(s1.Ups);
        Assert.Empty(impostor.Ups);
    }

    /// <summary>s1 of another authority calls a server that it trusts for once, so that the server's own judgement is seen.</summary>
    private async Task RefusedByListenerAsync(TestCluster other, string reason)
    {
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await s2.Tunnel.StartAsync();
        using Keyring foreign = other.Ring("s1");
        await RawPeer.FailToConnectAsync(foreign, s2.Tunnel.EndPoint);
        await Wait.Until(() => s2.Log.Refusals.Count == 1);
        Assert.EndsWith(": " + reason, s2.Log.Refusals[0]);
        await RawPeer.FailToConnectAsync(null, s2.Tunnel.EndPoint);
        await Wait.Until(() => s2.Log.Refusals.Count == 2);
        Assert.EndsWith(": it showed no certificate", s2.Log.Refusals[1]);
    }

    private static async Task<int> ReadToEndAsync(Socket socket, byte[] target)
    {
        int total = 0;
        try
        {
            while (await Wait.For(socket.ReceiveAsync(target.AsMemory(total)).AsTask()) is var count and > 0)
            {
                total += count;
            }
        }
        catch (SocketException)
        {
            return total; // reset: refused as well
        }

        return total;
    }
}
