using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Replicast;
using Carillon.Runtime.Datagrams;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Tunnels;
using Carillon.Storage;
using Carillon.Storage.Chunks;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Serving;

/// <summary>
/// The world that a node of a real server lives in: tunnels, datagrams, storage lanes, and the event loop that drives it. The node is
/// attached after the world is made, and before anything runs.
/// </summary>
internal sealed class RealWorld : IWorld, IEventLoopHandler<LoopWork>, ITunnelHandler, IDatagramHandler, IDisposable
{
    private static readonly System.Diagnostics.Metrics.Counter<long> Flushes =
        CarillonMeter.Instance.CreateCounter<long>("carillon.log.flushes", description: "Group commits of the segment logs");

    private readonly ILogger _logger;
    private readonly StorageLanes _lanes;
    private readonly ChunkBuffers _buffers;
    private readonly TaskCompletionSource<string> _stopped = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private ServerNode _node = null!;
    private Tunnel _tunnel = null!;
    private DatagramChannel _datagrams = null!;

    public RealWorld(SystemClock clock, EventLoopOptions options, ChunkBuffers buffers, ILogger logger)
    {
        _logger = logger;
        _buffers = buffers;
        Loop = new EventLoop<LoopWork>(this, clock, options);
        _lanes = new StorageLanes(GiveBack, defect => _stopped.TrySetResult($"a storage lane met a defect: {defect}"));
    }

    public EventLoop<LoopWork> Loop { get; }

    /// <summary>Ends with the reason when the node can't go on.</summary>
    public Task<string> Stopped => _stopped.Task;

    /// <summary>Told, on any thread, that the catalog is damaged; set before anything runs.</summary>
    public Action? CatalogDamaged { get; set; }

    /// <summary>Takes orders for the services that this server provides, on the loop; set before anything runs.</summary>
    public Action<ServiceOrder>? Services { get; set; }

    public void Attach(ServerNode node, Tunnel tunnel, DatagramChannel datagrams)
    {
        _node = node;
        _tunnel = tunnel;
        _datagrams = datagrams;
    }

    /// <summary>What became of a service here, from any thread.</summary>
    public void Note(ServiceNews news) => Post(LoopWork.Call((node, now) => node.NoteService(news, now)));

    public void Dispose() => _lanes.Dispose();

    bool IWorld.Send(NodeId peer, TrafficKind kind, ReadOnlyMemory<byte> message) => _tunnel.TryQueue(peer, kind, message.Span);

    void IWorld.SendDatagram(NodeId peer, ReadOnlyMemory<byte> message) => _datagrams.Send(peer, message.Span);

    void IWorld.SendDatagramToAll(ReadOnlyMemory<byte> message, bool multicast) => _datagrams.SendToAll(message.Span, multicast);

    void IWorld.Run(StorageWork work) => _lanes.Run(work);

    bool IWorld.SendChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkBuffer body) =>
        _tunnel.TrySendChunk(peer, TrafficKind.Bulk, header, body);

    bool IWorld.SendStoredChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkId chunk) =>
        _node.Chunks.TryLocate(chunk, out ChunkLocation location)
        && _tunnel.TrySendChunk(peer, TrafficKind.Bulk, header, (int)location.Length, ends => LoadForAsync(peer, header, location, ends));

    void IWorld.Scrub(ChunkId chunk)
    {
        if (_node.Chunks.TryLocate(chunk, out ChunkLocation location))
        {
            _lanes.Run(new ScrubWork(_node, location, Post));
        }
    }

    void IWorld.Read(ChunkLocation location, Action<ReadOnlyMemory<byte>> then) =>
        _lanes.Run(new ChunkReadWork(_node, location, Post, then));

    void IWorld.Serve(ServiceOrder order)
    {
        if (Services is { } services)
        {
            services(order);
        }
        else if (order is ServiceOrder.Provide)
        {
            Loop.TryPost(LoopWork.Call((node, now) => node.NoteService(
                new ServiceNews.ProviderDown(order.Service, "this server runs no services", IsFailure: false), now)));
        }
    }

    void IWorld.Reconfigured(ClusterConfiguration configuration) => Follow(configuration);

    /// <summary>Connections and keys follow a version of the configuration.</summary>
    public void Follow(ClusterConfiguration configuration)
    {
        _tunnel.Configure(
            configuration.Version,
            [.. configuration.Servers.Where(s => s.Name != _node.Self.Name).Select(s => new TunnelTarget(s.Name, s.Host, s.TunnelPort))]);
        _datagrams.Configure(configuration);
    }

    void IWorld.Stop(string reason) => _stopped.TrySetResult(reason);

    void IWorld.Report(NodeEvent occurrence)
    {
        switch (occurrence.Kind)
        {
            case NodeEventKind.CatalogDamaged:
                ServerLog.Trouble(_logger, occurrence.Kind, occurrence.Peer.Name, occurrence.Detail);
                CatalogDamaged?.Invoke();
                break;
            case NodeEventKind.StorageTrouble or NodeEventKind.NotVoting or NodeEventKind.BadMessage or NodeEventKind.ChunkDamaged
                or NodeEventKind.ClockQuarantine:
                ServerLog.Trouble(_logger, occurrence.Kind, occurrence.Peer.Name, occurrence.Detail);
                break;
            default:
                ServerLog.Event(_logger, occurrence.Kind, occurrence.Peer.Name, occurrence.Detail);
                break;
        }
    }

    /// <summary>Reads a stored chunk for a client, into a buffer, and verifies it; null, and the node told, where it is not what its name
    /// says.</summary>
    public ValueTask<ChunkBuffer?> LoadAsync(ChunkLocation location, CancellationToken cancellation) =>
        LoadAsync(location, _buffers.Content, cancellation);

    private async ValueTask<ChunkBuffer?> LoadForAsync(
        NodeId peer, ReadOnlyMemory<byte> header, ChunkLocation location, CancellationToken ends)
    {
        ChunkBuffer? body = await LoadAsync(location, _buffers.Sent, ends);
        if (body is null)
        {
            await Loop.PostAsync(LoopWork.Call((node, now) => node.ChunkNotSent(peer, header.Span, now)));
        }

        return body;
    }

    private async ValueTask<ChunkBuffer?> LoadAsync(ChunkLocation location, ChunkBufferPool pool, CancellationToken cancellation)
    {
        using PooledChunk buffer = await pool.RentAsync((int)location.Length, cancellation);
        ChunkRead read = _node.Chunks.Read(location, buffer.Memory.Span);
        if (read == ChunkRead.Ok)
        {
            return buffer.Seal((int)location.Length);
        }

        await Loop.PostAsync(LoopWork.Call((node, now) => node.ChunkDamaged(location, now)));
        return null;
    }

    void IEventLoopHandler<LoopWork>.Handle(in LoopWork work, Moment moment)
    {
        switch (work.Kind)
        {
            case LoopWorkKind.Call:
                ((Action<ServerNode, Moment>)work.First!)(_node, moment);
                break;
            case LoopWorkKind.Messages:
                using (ReceivedMessages messages = work.Received)
                {
                    foreach (ReadOnlyMemory<byte> message in messages)
                    {
                        _node.Receive(work.Peer, work.Traffic, message.Span, moment);
                    }
                }

                break;
            case LoopWorkKind.Datagram:
                using (ReceivedDatagram datagram = work.Datagram)
                {
                    _node.ReceiveDatagram(work.Peer, datagram.Message.Span, moment);
                }

                break;
            case LoopWorkKind.Completed:
                _node.Complete((StorageWork)work.First!, (StorageException?)work.Second, moment);
                break;
            default:
                _node.ChunkArrived(work.Peer, work.Bytes, (ChunkBuffer)work.First!, moment);
                break;
        }
    }

    Instant IEventLoopHandler<LoopWork>.Settle(Moment moment)
    {
        if (moment.Now >= _node.NextDeadline)
        {
            _node.Advance(moment);
        }

        _node.Settle(moment);
        _tunnel.Flush();
        return _node.NextDeadline;
    }

    void IEventLoopHandler<LoopWork>.Abandon(in LoopWork work)
    {
        switch (work.Kind)
        {
            case LoopWorkKind.Messages:
                work.Received.Dispose();
                break;
            case LoopWorkKind.Datagram:
                work.Datagram.Dispose();
                break;
            case LoopWorkKind.Chunk:
                ((ChunkBuffer)work.First!).Release();
                break;
            case LoopWorkKind.Call:
                ((Action<Exception>?)work.Second)?.Invoke(new OperationCanceledException("The server is stopping."));
                break;
        }
    }

    void IDatagramHandler.Receive(ServerIdentity sender, ReceivedDatagram datagram)
    {
        _tunnel.Observe(sender.Name, sender.Disk, sender.Incarnation); // whoever is heard is dialled without waiting
        // A loop that is behind loses datagrams, as a full socket does; the tunnel carries what must arrive.
        if (!Loop.TryQueue(LoopWork.OfDatagram(sender, datagram)))
        {
            datagram.Dispose();
        }
    }

    void IDatagramHandler.Drained() => Loop.Drive();

    async ValueTask ITunnelHandler.UpAsync(TunnelPeer peer)
    {
        ServerIdentity identity = IdentityOf(peer);
        await Loop.PostAsync(LoopWork.Call((node, now) => node.TunnelUp(identity, now)));
    }

    async ValueTask ITunnelHandler.DownAsync(TunnelPeer peer, string reason)
    {
        ServerIdentity identity = IdentityOf(peer);
        await Loop.PostAsync(LoopWork.Call((node, now) => node.TunnelDown(identity, now)));
    }

    async ValueTask ITunnelHandler.ReceiveAsync(TunnelPeer peer, TrafficKind kind, ReceivedMessages messages)
    {
        LoopWork work = LoopWork.Messages(IdentityOf(peer), kind, messages);
        if (!Loop.TryRun(work) && !await Loop.PostAsync(work))
        {
            messages.Dispose();
        }
    }

    bool ITunnelHandler.Verify(TunnelPeer peer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) =>
        ChunkTransfer.TryRead(header, out ChunkTransfer transfer) && transfer.Verify(body);

    async ValueTask ITunnelHandler.ReceiveChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header, ChunkBuffer body)
    {
        if (!await Loop.PostAsync(LoopWork.Chunk(IdentityOf(peer), header, body)))
        {
            body.Release();
        }
    }

    async ValueTask ITunnelHandler.RefuseChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header)
    {
        ServerIdentity identity = IdentityOf(peer);
        await Loop.PostAsync(LoopWork.Call((node, now) => node.ChunkRefused(identity, header, now)));
    }

    private static ServerIdentity IdentityOf(TunnelPeer peer) => new(peer.Name, peer.Disk, peer.Incarnation);

    private void GiveBack(StorageWork work, StorageException? failure)
    {
        if (work.Lane is StorageLane.Log or StorageLane.Groups)
        {
            Flushes.Add(1);
        }

        LoopWork done = LoopWork.Completed(work, failure);
        if (!Loop.TryRun(done))
        {
            Post(done);
        }
    }

    /// <summary>Posts from a thread that may wait while the loop is behind.</summary>
    private void Post(LoopWork work)
    {
        if (!Loop.TryPost(work))
        {
            Loop.PostAsync(work).AsTask().GetAwaiter().GetResult();
        }
    }
}
