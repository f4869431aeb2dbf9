using Carillon.Node.Feeds;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Works;

/// <summary>A checkpoint of the catalog is written: what its snapshot says, block by block.</summary>
internal sealed class CheckpointWriteWork(
    CheckpointFiles files, CatalogCheckpointWriter writer, IReadOnlyList<ReadOnlyMemory<byte>>? blocks, CatalogCheckpoint? list,
    Action<CatalogCheckpoint?, StorageException?> done) : StorageWork
{
    private CatalogCheckpoint? _checkpoint = list;

    public override StorageLane Lane => StorageLane.Archive;

    public override int Bytes { get; } = (int)Math.Min(int.MaxValue, list?.Size ?? 0);

    public override void Write()
    {
        // All in the second step: its name is given once all is flushed.
    }

    public override void Flush()
    {
        using (IStorageFile file = files.Create(writer.Number))
        {
            long offset = 0;
            void Take(ReadOnlyMemory<byte> block)
            {
                file.Write(offset, block.Span);
                offset += block.Length;
            }

            if (blocks is null)
            {
                _checkpoint = writer.Write(Take);
            }
            else
            {
                foreach (ReadOnlyMemory<byte> block in blocks)
                {
                    Take(block);
                }
            }

            file.Flush();
        }

        files.Finish(_checkpoint!);
    }

    protected internal override void Complete(StorageException? failure) => done(_checkpoint, failure);
}

/// <summary>A block of a checkpoint is read for a server that asked.</summary>
internal sealed class CheckpointReadWork(
    CheckpointFiles files, SequenceNumber number, uint index, Action<ReadOnlyMemory<byte>> done) : StorageWork
{
    private ReadOnlyMemory<byte> _bytes;

    public override StorageLane Lane => StorageLane.Archive;

    public override int Bytes => CatalogCheckpoint.MaxBlockBytes;

    public override void Write()
    {
        CatalogCheckpoint? checkpoint = files.Find(number);
        _bytes = checkpoint is null ? default : index == 0 ? checkpoint.Write() : files.ReadBlock(checkpoint, (int)index - 1);
    }

    public override void Flush()
    {
        // Nothing was written.
    }

    protected internal override void Complete(StorageException? failure) => done(failure is null ? _bytes : default);
}

/// <summary>A block that was fetched is stored; with the last one the checkpoint is whole.</summary>
internal sealed class CheckpointStoreWork(
    CheckpointFiles files, CheckpointFetching fetching, int index, ReadOnlyMemory<byte> bytes, bool isLast,
    Action<StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Archive;

    public override int Bytes => bytes.Length;

    public override void Write()
    {
        if (fetching.IsGivenUp)
        {
            return;
        }

        try
        {
            fetching.File!.Write(CheckpointFiles.OffsetOf(fetching.Checkpoint!, index), bytes.Span);
        }
        catch (StorageException)
        {
            fetching.Failed();
            throw;
        }
    }

    public override void Flush()
    {
        if (isLast && !fetching.IsGivenUp)
        {
            fetching.File!.Flush();
            files.Finish(fetching.Checkpoint!);
        }
    }

    protected internal override void Complete(StorageException? failure) => done(failure);
}

/// <summary>The catalog takes the state of a checkpoint.</summary>
internal sealed class CheckpointLoadWork(
    CheckpointFiles files, Catalog catalog, CatalogCheckpoint checkpoint, Action<CheckpointVerdict, StorageException?> done) : StorageWork
{
    private CheckpointVerdict _verdict;

    public override StorageLane Lane => StorageLane.Catalog;

    public override int Bytes => (int)Math.Min(int.MaxValue, checkpoint.Size);

    public override void Write()
    {
        // Loading is durable when it is done.
    }

    public override void Flush() => _verdict = catalog.Load(checkpoint, index => files.ReadBlock(checkpoint, index));

    protected internal override void Complete(StorageException? failure) => done(_verdict, failure);
}
