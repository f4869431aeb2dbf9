using Carillon.Node;
using Carillon.Storage;
using Carillon.Storage.Chunks;

namespace Carillon.Runtime.Serving;

/// <summary>Reads one stored chunk for the node itself, on the lane that nobody waits for; empty where it is damaged.</summary>
internal sealed class ChunkReadWork(ServerNode node, ChunkLocation location, Action<LoopWork> post, Action<ReadOnlyMemory<byte>> then)
    : StorageWork
{
    public override StorageLane Lane => StorageLane.Background;

    public override int Bytes => (int)location.Length;

    public override void Write()
    {
        byte[] bytes = new byte[location.Length];
        ChunkRead read = node.Chunks.Read(location, bytes);
        post(LoopWork.Call((n, now) =>
        {
            if (read != ChunkRead.Ok)
            {
                n.ChunkDamaged(location, now);
            }

            n.ChunkWasRead(read == ChunkRead.Ok ? bytes : default, then, now);
        }));
    }

    public override void Flush()
    {
        // Nothing was written.
    }

    protected override void Complete(StorageException? failure)
    {
        // What was read went with the call above.
        if (failure is not null)
        {
            then(default);
        }
    }
}
