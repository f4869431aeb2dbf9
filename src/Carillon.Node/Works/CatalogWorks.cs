using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Works;

/// <summary>One transaction of the catalog.</summary>
internal sealed class ApplyWork(
    Catalog catalog, CatalogBatch batch, Action<CatalogBatch, ImmutableArray<FeedOutcome>, StorageException?> done) : StorageWork
{
    private ImmutableArray<FeedOutcome> _outcomes;

    public override StorageLane Lane => StorageLane.Catalog;

    public override int Bytes { get; } = batch.Bytes;

    public override void Write() => _outcomes = catalog.Apply(batch);

    public override void Flush()
    {
        // The log keeps what the catalog has not made durable yet: a transaction needs no flush of its own.
    }

    protected internal override void Complete(StorageException? failure) => done(batch, _outcomes, failure);
}

/// <summary>Some of the chunks that a list names.</summary>
internal sealed class ListWork(Catalog catalog, long list, ReadOnlyMemory<ChunkId> chunks, bool isLast, Action<StorageException?> done)
    : StorageWork
{
    public override StorageLane Lane => StorageLane.Catalog;

    public override int Bytes => chunks.Length * ChunkId.Size;

    public override void Write() => catalog.AddListed(list, chunks.Span, isLast);

    public override void Flush()
    {
        // What a crash loses is read again.
    }

    protected internal override void Complete(StorageException? failure) => done(failure);
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
