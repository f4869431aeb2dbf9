using Carillon.Protocols;
using Carillon.Protocols.Replicast;

namespace Carillon.Node;

/// <summary>
/// What chunk replication sees of its node. The seam that Replicast's negotiation and multicast transfer take over later.
/// </summary>
internal sealed class ChunkHost(ServerNode node, IWorld world) : IChunkHost
{
    public bool MayCollect => node.MayCollect;

    public bool IsConnected(NodeId server) => node.Members.IsConnected(server);

    public bool CanStore => node.Chunks.TakesChunks;

    public void Send(NodeId to, ReadOnlyMemory<byte> message, bool isBulky) =>
        node.Post(to, isBulky ? TrafficKind.Merge : TrafficKind.Agreement, Protocol.Chunks, message, 0);

    public void StorePut(ulong put) => node.StorePutHere(put);

    public bool SendPut(ulong put, NodeId to, ChunkTransfer header) =>
        node.BufferOf(put) is { } buffer && world.SendChunk(to, header.Encode(), buffer.Retain());

    public bool SendStored(NodeId to, ChunkTransfer header) => world.SendStoredChunk(to, header.Encode(), header.Chunk);

    public void ReleasePut(ulong put) => node.ReleasePut(put);

    public void Scrub(ChunkId chunk) => world.Scrub(chunk);

    public void Drop(ChunkId chunk) => node.Chunks.Drop(chunk);

    public bool IsReferenced(ChunkId chunk) => node.IsReferenced(chunk);

    public void ResolveIntents() => node.ResolveIntents();
}
