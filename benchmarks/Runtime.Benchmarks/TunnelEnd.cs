using System.Net;
using System.Security.Cryptography.X509Certificates;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Security;
using Carillon.Runtime.Tunnels;
using Microsoft.Extensions.Logging.Abstractions;

namespace Runtime.Benchmarks;

/// <summary>What reaches a benchmark's event loop.</summary>
internal readonly record struct Work(TunnelPeer? Up, ReceivedMessages? Messages);

/// <summary>One server of a benchmark: an event loop and a tunnel, as in the node, with a few lines of protocol of its own.</summary>
internal sealed class TunnelEnd : ITunnelHandler, IEventLoopHandler<Work>, IAsyncDisposable
{
    private readonly EventLoop<Work> _loop;
    private readonly TaskCompletionSource _up = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Keyring _keyring;
    private readonly Tunnel _tunnel;

    private TunnelEnd(ClusterAuthority authority, ClusterKeys keys, string name)
    {
        _keyring = Keyring.Create(authority, NodeId.Parse(name), keys, DateTimeOffset.UtcNow);
        _loop = new EventLoop<Work>(this, new SystemClock(), new EventLoopOptions { Name = name });
        TunnelOptions options = new() { Listen = new IPEndPoint(IPAddress.Loopback, 0) };
        TunnelIdentity identity = new(new DiskId(1), new Incarnation(1), 1);
        _tunnel = new Tunnel(_keyring, identity, options, this, new ChunkBufferPool(options.ChunkBufferBytes), NullLoggerFactory.Instance);
    }

    public Tunnel Tunnel => _tunnel;

    /// <summary>Called on the loop for each message.</summary>
    public Action<ReadOnlyMemory<byte>> OnMessage { get; set; } = _ => { };

    /// <summary>Called for each chunk.</summary>
    public Action<int> OnChunk { get; set; } = _ => { };

    /// <summary>A server's certificate, for a comparison with bare TLS.</summary>
    public static X509Certificate2 MakeCertificate()
    {
        using ClusterAuthority authority = ClusterAuthority.Create("benchmark", DateTimeOffset.UtcNow);
        return authority.Issue(NodeId.Parse("a"), DateTimeOffset.UtcNow);
    }

    /// <summary>Two ends with a tunnel between them: a dials, b listens.</summary>
    public static async Task<(TunnelEnd A, TunnelEnd B)> PairAsync()
    {
        using ClusterAuthority authority = ClusterAuthority.Create("benchmark", DateTimeOffset.UtcNow);
        ClusterKeys keys = ClusterKeys.Create();
        TunnelEnd a = new(authority, keys, "a");
        TunnelEnd b = new(authority, keys, "b");
        foreach (TunnelEnd end in new[] { a, b })
        {
            end._loop.Start();
            await end._tunnel.StartAsync();
        }

        TunnelTarget[] targets =
            [.. new[] { a, b }.Select(end => new TunnelTarget(end._keyring.Name, "127.0.0.1", end._tunnel.EndPoint.Port))];
        b._tunnel.Configure(1, targets);
        a._tunnel.Configure(1, targets);
        await Task.WhenAll(a._up.Task, b._up.Task).WaitAsync(TimeSpan.FromSeconds(10));
        return (a, b);
    }

    public async ValueTask DisposeAsync()
    {
        await _tunnel.StopAsync();
        await _loop.StopAsync();
        _keyring.Dispose();
    }

    public async ValueTask UpAsync(TunnelPeer peer) => await _loop.PostAsync(new Work(peer, null));

    public ValueTask DownAsync(TunnelPeer peer, string reason) => ValueTask.CompletedTask;

    public ValueTask ReceiveAsync(TunnelPeer peer, TrafficKind kind, ReceivedMessages messages)
    {
        Work work = new(null, messages);
        return _loop.TryPost(in work) ? ValueTask.CompletedTask : WaitAsync(work);
    }

    public bool Verify(TunnelPeer peer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) => true;

    public ValueTask ReceiveChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header, ChunkBuffer body)
    {
        OnChunk(body.Memory.Length);
        body.Release();
        return ValueTask.CompletedTask;
    }

    public ValueTask RefuseChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header) => ValueTask.CompletedTask;

    public void Handle(in Work work, Moment moment)
    {
        if (work.Up is not null)
        {
            _up.TrySetResult();
        }

        if (work.Messages is { } messages)
        {
            using (messages)
            {
                foreach (ReadOnlyMemory<byte> message in messages)
                {
                    OnMessage(message);
                }
            }
        }
    }

    public Instant Settle(Moment moment)
    {
        _tunnel.Flush();
        return Instant.Never;
    }

    public void Abandon(in Work work) => work.Messages?.Dispose();

    private async ValueTask WaitAsync(Work work) => await _loop.PostAsync(work);
}
