using System.Collections.Immutable;
using System.Net;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Security;
using Carillon.Runtime.Serving;
using Carillon.Runtime.Tests;
using Microsoft.Extensions.Logging.Abstractions;
using Xunit;

namespace Carillon.Gateway.Tests.Serving;

/// <summary>Three real servers in this process, each behind its gateway.</summary>
internal sealed class RealTrio : IAsyncDisposable
{
    private readonly List<ServerHost> _hosts = [];
    private readonly List<HttpGateway> _gateways = [];
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-gateway-").FullName;

    private RealTrio()
    {
    }

    /// <summary>A client of each.</summary>
    public List<HttpClient> Clients { get; } = [];

    /// <summary>What went wrong in any gateway.</summary>
    public FailureLog Log { get; } = new();

    /// <summary>Starts three servers, at these addresses.</summary>
    public static async Task<RealTrio> StartAsync(params string[] hosts)
    {
        hosts = hosts.Length == 0 ? ["127.0.0.1", "127.0.0.1", "127.0.0.1"] : hosts;
        var trio = new RealTrio();
        using ClusterAuthority authority = ClusterAuthority.Create("trio", DateTimeOffset.UtcNow);
        ClusterKeys keys = ClusterKeys.Create();
        int[] ports = FreePorts.Take(3);
        ImmutableArray<ServerRecord> records = [.. Enumerable.Range(0, 3).Select(i => Record(i, hosts[i], ports[i]))];
        foreach (ServerRecord record in records)
        {
            var options = new ServerHostOptions(
                new ClusterConfiguration("trio", 1, records), record.Name, Path.Combine(trio._folder, record.Name.Name),
                Keyring.Create(
                    authority, record.Name, keys, DateTimeOffset.UtcNow), IPAddress.Parse(record.Host),
                new NodeOptions(), new EventLoopOptions());
            ServerHost host = await ServerHost.StartAsync(options, NullLoggerFactory.Instance);
            trio._hosts.Add(host);
            HttpGateway gateway = await HttpGateway.StartAsync(new GatewayOptions { Port = 0 }, host.Server, trio.Log, host.Services);
            trio._gateways.Add(gateway);
            trio.Clients.Add(new HttpClient { BaseAddress = gateway.Address, Timeout = TimeSpan.FromSeconds(30) });
        }

        using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (trio._hosts.Exists(host => host.Server.Status() is { WriteQuorum: false } or { QuorumConnected: < 3 }))
        {
            deadline.Token.ThrowIfCancellationRequested();
            await Task.Yield();
        }

        return trio;
    }

    /// <summary>Stops a server and its gateway.</summary>
    public async Task StopAsync(int index)
    {
        await _gateways[index].StopAsync(new CancellationToken(true));
        await _hosts[index].StopAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (int index in Enumerable.Range(0, 3))
        {
            Clients[index].Dispose();
            await StopAsync(index);
        }

        Directory.Delete(_folder, recursive: true);
        Assert.Empty(Log.Failures);
    }

    private static ServerRecord Record(int index, string host, int port) => new()
    {
        Name = NodeId.Parse($"s{index + 1}"), Disk = new DiskId((UInt128)(index + 1)), Host = host, HttpPort = 0, TunnelPort = port,
        DatagramPort = port,
    };
}
