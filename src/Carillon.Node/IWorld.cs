using Carillon.Protocols;
using Carillon.Storage.Chunks;

namespace Carillon.Node;

/// <summary>
/// All that a <see cref="ServerNode"/> asks of the world. Each call returns at once; results come back as inputs of the node, on its loop.
/// The runtime implements it with sockets, disks and threads, the simulator with virtual ones.
/// </summary>
public interface IWorld
{
    /// <summary>
    /// Sends one message (a frame of the tunnel, whose bytes are the caller's again after the call) to a peer. It arrives at most once, in
    /// order within its kind while the tunnel stays up, or not at all. False if it can't be queued: not connected, or the queue is full;
    /// protocols repeat by themselves.
    /// </summary>
    bool Send(NodeId peer, TrafficKind kind, ReadOnlyMemory<byte> message);

    /// <summary>Sends a datagram to one server, sealed by the world; it may be lost, doubled, delayed.</summary>
    void SendDatagram(NodeId peer, ReadOnlyMemory<byte> message);

    /// <summary>Sends a datagram to all servers: by multicast, or to each.</summary>
    void SendDatagramToAll(ReadOnlyMemory<byte> message, bool multicast);

    /// <summary>Runs blocking work on its lane, then calls <see cref="ServerNode.Complete"/>.</summary>
    void Run(StorageWork work);

    /// <summary>
    /// Sends a chunk on the bulk stream: <paramref name="header"/> (an encoded transfer header), then the bytes of <paramref name="body"/>,
    /// which the world releases. At the other side the world verifies length and hash before its node hears of it by
    /// <c>ServerNode.ChunkArrived</c>. False: not connected or queue full.
    /// </summary>
    bool SendChunk(NodeId peer, ReadOnlyMemory<byte> header, ChunkBuffer body);

    /// <summary>
    /// Reads a stored chunk off the loop, verifies it, then sends it as <see cref="SendChunk"/> does; a copy that is not what its name says
    /// is reported by <c>ServerNode.ChunkDamaged</c> and not sent.
    /// </summary>
    bool SendStoredChunk(NodeId peer, ReadOnlyMemory<byte> header, Protocols.ChunkId chunk);

    /// <summary>Reads a stored chunk back and reports by <c>ServerNode.ChunkScrubbed</c>.</summary>
    void Scrub(ChunkId chunk);

    /// <summary>
    /// Reads a stored chunk for the node itself and hands it over by <c>ServerNode.ChunkWasRead</c>: empty where the copy is not what its
    /// name says, which is reported first by <c>ServerNode.ChunkDamaged</c>.
    /// </summary>
    void Read(ChunkLocation location, Action<ReadOnlyMemory<byte>> then);

    /// <summary>Tells the provider of a service on this server what to do; its news come by <c>ServerNode.NoteService</c>.</summary>
    void Serve(Protocols.Primacy.ServiceOrder order);

    /// <summary>Another version of the configuration is in force: connections and keys follow it.</summary>
    void Reconfigured(Protocols.Cluster.ClusterConfiguration configuration);

    /// <summary>The node can't go on safely: stop it and say why.</summary>
    void Stop(string reason);

    /// <summary>Tells of something that an operator may want to read.</summary>
    void Report(NodeEvent occurrence);
}
