using System.Collections.Immutable;
using Carillon.Clusters;
using Carillon.CommandLine;
using Carillon.Node.Identity;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Storage;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Carillon.Storage.Chunks;

namespace Carillon.Backups;

/// <summary>
/// Fills the data directories of a cluster that was just made from a checkpoint of a backup: each server's catalog is the checkpoint, and
/// each gets the chunks that are its to hold. The servers start as if they had stopped at that number.
/// </summary>
internal sealed class ClusterRestore(BackupFolder folder, BackupContents contents, ClusterPlan plan)
{
    /// <summary>Bytes that wait in each store for their flush.</summary>
    private const long BatchBytes = 16 << 20;

    private readonly Dictionary<NodeId, ChunkStore> _stores = [];

    /// <summary>Chunks of the checkpoint, each with the number of servers that should hold it.</summary>
    /// <exception cref="ExitException">One of them is missing in the backup.</exception>
    public SortedDictionary<ChunkId, int> FindChunks()
    {
        var found = new SortedDictionary<ChunkId, int>();
        foreach ((string bucket, ObjectManifest manifest) in contents.Chunked)
        {
            int replicas = contents.ReplicasOf(bucket);
            foreach (ChunkReference? chunk in BackupContents.ChunksOf(manifest, folder.Read))
            {
                if (chunk is not { } present || !folder.Contains(present.Id))
                {
                    throw Missing(chunk?.Id.ToString() ?? "that holds a list");
                }

                found[present.Id] = Math.Max(replicas, found.GetValueOrDefault(present.Id));
            }
        }

        return found;
    }

    /// <summary>Fills all data directories.</summary>
    /// <param name="chunks">What <see cref="FindChunks"/> found.</param>
    /// <param name="dataOf">The data directory of a server.</param>
    /// <param name="progress">Told of the bytes that were read from the backup.</param>
    /// <param name="cancellation">The caller gives up.</param>
    public void Fill(
        SortedDictionary<ChunkId, int> chunks, Func<NodeId, string> dataOf, Action<long> progress, CancellationToken cancellation)
    {
        try
        {
            foreach (ServerRecord server in plan.Servers)
            {
                cancellation.ThrowIfCancellationRequested();
                var device = new FileDevice(dataOf(server.Name));
                DiskId disk = DiskIdentity.Open(device, plan.Name, server.Name, server.Disk).Disk;
                LoadCatalog(Path.Combine(dataOf(server.Name), "catalog.db"));
                _stores[server.Name] = ChunkStore.Open(device, "chunks", disk, new ChunkStoreOptions());
            }

            var table = new HashAllocationTable(new ClusterConfiguration(plan.Name, 1, plan.Servers));
            foreach ((ChunkId id, int replicas) in chunks)
            {
                cancellation.ThrowIfCancellationRequested();
                byte[] bytes = folder.Read(id) ?? throw Missing(id.ToString());
                ImmutableArray<NodeId> row = table.Row(HashAllocationTable.RowOf(id));
                foreach (NodeId holder in row[..Math.Min(replicas, row.Length)])
                {
                    Append(_stores[holder], id, bytes, replicas);
                }

                progress(bytes.Length);
            }

            foreach (ChunkStore store in _stores.Values)
            {
                Flush(store);
            }
        }
        finally
        {
            foreach (ChunkStore store in _stores.Values)
            {
                store.Dispose();
            }
        }
    }

    private void LoadCatalog(string path)
    {
        using Catalog catalog = Catalog.Open(CatalogLocation.File(path), new CatalogOptions());
        CatalogCheckpoint checkpoint = contents.Checkpoint;
        CheckpointVerdict verdict = catalog.Load(checkpoint, i => folder.Read(checkpoint.Blocks[i].Id) ?? []);
        if (verdict != CheckpointVerdict.Loaded)
        {
            throw new ExitException(ExitCode.Integrity, verdict switch
            {
                CheckpointVerdict.WrongBlock => "a block of the checkpoint is missing or damaged in the backup",
                CheckpointVerdict.OtherOptions => "the backed-up cluster kept keys, outcomes or numbers for another time than a new one does",
                _ => "the checkpoint's blocks are none that this release reads",
            });
        }
    }

    private static void Append(ChunkStore store, ChunkId id, byte[] bytes, int replicas)
    {
        if (store.QueuedBytes >= BatchBytes)
        {
            Flush(store);
        }

        if (!store.TryAppend(id, bytes, default, out _, replicas))
        {
            throw new ExitException(ExitCode.Full, $"a chunk could not be stored: {(store.Trouble.Length > 0 ? store.Trouble : "the disk is full")}");
        }
    }

    private static void Flush(ChunkStore store)
    {
        while (store.TryBeginBatch(out ChunkBatch batch, all: true))
        {
            StorageException? failure = null;
            try
            {
                batch.Write();
                batch.Flush();
            }
            catch (StorageException fault)
            {
                failure = fault;
            }

            store.Complete(batch, failure);
            if (failure is not null)
            {
                throw new ExitException(failure.Fault == StorageFault.Full ? ExitCode.Full : ExitCode.Failed, failure.Message);
            }
        }
    }

    private static ExitException Missing(string chunk) =>
        new(ExitCode.Integrity, $"chunk {chunk} is missing or damaged in the backup; 'carillon backup --verify' fetches it anew, where the cluster still is");
}
