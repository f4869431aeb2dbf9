using System.Collections.Concurrent;
using System.Net;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Security;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>A cluster's authority and keys, to make servers of.</summary>
internal sealed class TestCluster : IDisposable
{
    public static readonly DateTimeOffset Now = DateTimeOffset.UtcNow;

    public ClusterAuthority Authority { get; } = ClusterAuthority.Create("demo", Now);

    public ClusterKeys Keys { get; } = ClusterKeys.Create();

    public Keyring Ring(string name) => Keyring.Create(Authority, NodeId.Parse(name), Keys, Now);

    /// <summary>A keyring whose certificate is another than it should be.</summary>
    public Keyring Ring(CertificateName name, DateTimeOffset from, DateTimeOffset until) =>
        new(Authority.Certificate, Authority.Issue(name, from, until), Keys);

    public void Dispose() => Authority.Dispose();
}

/// <summary>One server with nothing but tunnels, which remembers all that it is told.</summary>
internal sealed class TestServer : ITunnelHandler, IAsyncDisposable
{
    private readonly Keyring _keyring;

    public TestServer(Keyring keyring, ulong incarnation = 1, int port = 0, Func<TunnelOptions, TunnelOptions>? change = null)
    {
        _keyring = keyring;
        TunnelOptions options = new()
        {
            Listen = new IPEndPoint(IPAddress.Loopback, port),
            ReconnectMinimum = TimeSpan.FromMilliseconds(5),
            ReconnectMaximum = TimeSpan.FromMilliseconds(50),
            // Far above what a busy machine may stop a test for; those that test silence set their own.
            SilenceLimit = TimeSpan.FromSeconds(60),
            ConnectTimeout = TimeSpan.FromSeconds(20),
            DialTimeout = TimeSpan.FromSeconds(20),
        };
        options = change?.Invoke(options) ?? options;
        Buffers = new ChunkBuffers(options.ChunkBufferBytes, options.ChunkBufferBytes);
        Tunnel = new Tunnel(keyring, new TunnelIdentity(new DiskId(7), new Incarnation(incarnation), 3), options, this, Chunks, Log);
    }

    public Tunnel Tunnel { get; }

    public NodeId Name => _keyring.Name;

    public LogRecorder Log { get; } = new();

    public ChunkBuffers Buffers { get; }

    public ChunkBufferPool Chunks => Buffers.Received;

    public ConcurrentQueue<TunnelPeer> Ups { get; } = new();

    public ConcurrentQueue<(TunnelPeer Peer, string Reason)> Downs { get; } = new();

    public ConcurrentQueue<(NodeId Peer, TrafficKind Kind, byte[] Message)> Messages { get; } = new();

    public ConcurrentQueue<byte[]> RefusedChunks { get; } = new();

    public Func<TrafficKind, Task> BeforeReceive { get; set; } = _ => Task.CompletedTask;

    public Func<byte[], byte[], bool> OnVerify { get; set; } = (_, _) => true;

    public Action<byte[], ChunkBuffer> OnChunk { get; set; } = (_, body) => body.Release();

    public TunnelTarget Target => new(Name, "127.0.0.1", Tunnel.EndPoint.Port);

    /// <summary>Starts servers and makes them one cluster.</summary>
    public static async Task ConnectAsync(params TestServer[] servers)
    {
        foreach (TestServer server in servers)
        {
            await server.Tunnel.StartAsync();
        }

        TunnelTarget[] targets = [.. servers.Select(server => server.Target)];
        foreach (TestServer server in servers)
        {
            server.Tunnel.Configure(3, targets);
        }

        foreach (TestServer server in servers)
        {
            await Wait.Until(() => server.Ups.Count >= servers.Length - 1);
        }
    }

    public int CountOf(TrafficKind kind) => Messages.Count(message => message.Kind == kind);

    public ValueTask UpAsync(TunnelPeer peer)
    {
        Ups.Enqueue(peer);
        return ValueTask.CompletedTask;
    }

    public ValueTask DownAsync(TunnelPeer peer, string reason)
    {
        Downs.Enqueue((peer, reason));
        return ValueTask.CompletedTask;
    }

    public async ValueTask ReceiveAsync(TunnelPeer peer, TrafficKind kind, ReceivedMessages messages)
    {
        await BeforeReceive(kind);
        using (messages)
        {
            foreach (ReadOnlyMemory<byte> message in messages)
            {
                Messages.Enqueue((peer.Name, kind, message.ToArray()));
            }
        }
    }

    public bool Verify(TunnelPeer peer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) => OnVerify(header.ToArray(), body.ToArray());

    public ValueTask ReceiveChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header, ChunkBuffer body)
    {
        OnChunk(header.ToArray(), body);
        return ValueTask.CompletedTask;
    }

    public ValueTask RefuseChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header)
    {
        RefusedChunks.Enqueue(header.ToArray());
        return ValueTask.CompletedTask;
    }

    public async ValueTask DisposeAsync()
    {
        await Wait.For(Tunnel.StopAsync());
        _keyring.Dispose();
    }
}
