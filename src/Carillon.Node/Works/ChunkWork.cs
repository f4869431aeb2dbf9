using Carillon.Storage;
using Carillon.Storage.Chunks;

namespace Carillon.Node.Works;

/// <summary>One group commit of the chunk store.</summary>
internal sealed class ChunkWork(ChunkBatch batch, Action<ChunkBatch, StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Chunks;

    public override int Bytes => (int)Math.Min(batch.Bytes, int.MaxValue);

    public override void Write() => batch.Write();

    public override void Flush() => batch.Flush();

    protected internal override void Complete(StorageException? failure) => done(batch, failure);
}

/// <summary>Live chunks are copied out of a segment that is mostly dead.</summary>
internal sealed class CompactionWork(ChunkCompaction compaction, Action<ChunkCompaction, StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Background;

    public override int Bytes => (int)Math.Min(compaction.Bytes, int.MaxValue);

    public override void Write() => compaction.Run();

    public override void Flush()
    {
        // What compaction copies becomes durable with the store's next batch.
    }

    protected internal override void Complete(StorageException? failure) => done(compaction, failure);
}
