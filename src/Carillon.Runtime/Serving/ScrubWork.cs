using Carillon.Node;
using Carillon.Protocols;
using Carillon.Storage;
using Carillon.Storage.Chunks;

namespace Carillon.Runtime.Serving;

/// <summary>Reads one stored chunk back, on the lane that nobody waits for.</summary>
internal sealed class ScrubWork(ServerNode node, ChunkLocation location, Action<LoopWork> post) : StorageWork
{
    public override StorageLane Lane => StorageLane.Background;

    public override int Bytes => (int)location.Length;

    public override void Write()
    {
        byte[] buffer = System.Buffers.ArrayPool<byte>.Shared.Rent((int)location.Length);
        ChunkRead read = node.Chunks.Read(location, buffer.AsSpan(0, (int)location.Length));
        System.Buffers.ArrayPool<byte>.Shared.Return(buffer);
        ChunkId chunk = location.Id;
        post(LoopWork.Call(read == ChunkRead.Ok
            ? (n, now) => n.ChunkScrubbed(chunk, now)
            : (n, now) => n.ChunkDamaged(location, now)));
    }

    public override void Flush()
    {
        // Nothing was written.
    }

    protected override void Complete(StorageException? failure)
    {
        // What was found was told by the call above.
    }
}
