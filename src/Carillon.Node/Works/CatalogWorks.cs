using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Works;

/// <summary>One transaction of the catalog.</summary>
internal sealed class ApplyWork(Catalog catalog, CatalogBatch batch, Action<CatalogBatch, StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Catalog;

    public override int Bytes { get; } = batch.Bytes;

    public override void Write() => catalog.Apply(batch);

    public override void Flush()
    {
        // The log keeps what the catalog has not made durable yet: a transaction needs no flush of its own.
    }

    protected internal override void Complete(StorageException? failure) => done(batch, failure);
}

/// <summary>Everything applied so far is made durable, so that the log may be cut.</summary>
internal sealed class CatalogDurableWork(Catalog catalog, Action<StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Catalog;

    public override int Bytes => 0;

    public override void Write()
    {
        // Nothing is written before the flush.
    }

    public override void Flush() => catalog.MakeDurable();

    protected internal override void Complete(StorageException? failure) => done(failure);
}
