using System.Collections.Immutable;
using Carillon.Client;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Backups;

/// <summary>What one run of a backup did.</summary>
/// <param name="Name">The checkpoint's name in the folder.</param>
/// <param name="Checkpoint">The checkpoint.</param>
/// <param name="Versions">Versions in it, tombstones included.</param>
/// <param name="Chunks">Chunks that it needs.</param>
/// <param name="Fetched">Blocks and chunks that were not there before.</param>
/// <param name="FetchedBytes">Their bytes.</param>
/// <param name="Removed">Blocks and chunks that no kept checkpoint needs any more.</param>
/// <param name="Damaged">Earlier checkpoints that something is missing of. While there are any, nothing is removed: what they need is not
/// known.</param>
internal sealed record BackupReport(
    string Name, CatalogCheckpoint Checkpoint, int Versions, int Chunks, long Fetched, long FetchedBytes, int Removed,
    ImmutableArray<string> Damaged);

/// <summary>
/// Brings a backup up to date: a checkpoint of the catalog, the blocks and chunks that are new, then the list; and at last what is not
/// needed any more goes. A version that is dropped by the cluster in the midst of it takes its chunks with it: then a newer checkpoint is
/// taken, and what came stays.
/// </summary>
internal sealed class BackupRun(CarillonClient client, BackupFolder folder, bool verify)
{
    private const int MaxCheckpoints = 5;
    private const int Parallel = 4;

    private readonly HashSet<ChunkId> _verified = [];
    private long _fetched;
    private long _fetchedBytes;

    /// <summary>Runs it.</summary>
    /// <param name="keep">Checkpoints that stay, this one included.</param>
    /// <param name="progress">Told of the bytes that came.</param>
    /// <param name="cancellation">The caller gives up.</param>
    /// <exception cref="CarillonException">The cluster did not give what is needed.</exception>
    public async Task<BackupReport> RunAsync(int keep, Action<long> progress, CancellationToken cancellation)
    {
        for (int tries = 1; ; tries++)
        {
            BackupContents contents = await TakeCheckpointAsync(progress, cancellation);
            HashSet<ChunkId> needed = [];
            if (await FetchChunksAsync(contents, needed, progress, tries == MaxCheckpoints, cancellation))
            {
                string name = folder.Add(contents.Checkpoint, DateTimeOffset.UtcNow);
                (int removed, ImmutableArray<string> damaged) = Prune(keep);
                return new BackupReport(
                    name, contents.Checkpoint, contents.Versions, needed.Count, _fetched, _fetchedBytes, removed, damaged);
            }
        }
    }

    private async Task<BackupContents> TakeCheckpointAsync(Action<long> progress, CancellationToken cancellation)
    {
        HashSet<ChunkId> known = [.. Kept().SelectMany(c => c.Blocks).Select(b => b.Id).Where(IsThere)];
        byte[] list = await client.Backups.CheckpointAsync(known, (id, bytes) => Keep(id, bytes, progress), cancellation);
        return CatalogCheckpoint.TryRead(list, out CatalogCheckpoint? checkpoint)
            ? BackupContents.Read(folder, checkpoint)
            : throw new CarillonException(Failure.Integrity, "the server's list of blocks can't be read");
    }

    /// <summary>Fetches what is not there. False if something is not to be had any more, unless that is an error by now.</summary>
    private async Task<bool> FetchChunksAsync(
        BackupContents contents, HashSet<ChunkId> needed, Action<long> progress, bool isLast, CancellationToken cancellation)
    {
        try
        {
            // The chunks that hold lists come first: only they tell of the others.
            ImmutableArray<ChunkId> lists =
            [
                .. contents.Chunked.Where(c => c.Manifest.Form == ContentForm.ChunkedList)
                    .SelectMany(c => c.Manifest.Chunks).Select(c => c.Id),
            ];
            await FetchAsync(lists, progress, cancellation);
            foreach ((_, ObjectManifest manifest) in contents.Chunked)
            {
                foreach (ChunkReference? chunk in BackupContents.ChunksOf(manifest, folder.Read))
                {
                    needed.Add(
                        chunk?.Id ?? throw new CarillonException(Failure.Integrity, "a list of chunks is not what its manifest says"));
                }
            }

            await FetchAsync([.. needed.Order()], progress, cancellation);
            return true;
        }
        catch (CarillonException fault) when (!isLast && fault.Problem is { Code: "read-unavailable" })
        {
            return false;
        }
    }

    private Task FetchAsync(ImmutableArray<ChunkId> chunks, Action<long> progress, CancellationToken cancellation)
    {
        ImmutableArray<ChunkId> missing = [.. chunks.Distinct().Where(id => !IsThere(id))];
        return System.Threading.Tasks.Parallel.ForEachAsync(
            missing,
            new ParallelOptions { MaxDegreeOfParallelism = Parallel, CancellationToken = cancellation },
            async (id, token) => Keep(id, await client.Backups.ChunkAsync(id, token), progress));
    }

    private void Keep(ChunkId id, byte[] bytes, Action<long> progress)
    {
        folder.Add(id, bytes);
        Interlocked.Increment(ref _fetched);
        Interlocked.Add(ref _fetchedBytes, bytes.Length);
        progress(bytes.Length);
    }

    // To read all that is there again takes as long as a whole backup: only on request.
    private bool IsThere(ChunkId id)
    {
        if (!verify || _verified.Contains(id))
        {
            return folder.Contains(id);
        }

        bool isGood = folder.Read(id) is not null;
        if (isGood)
        {
            _verified.Add(id);
        }

        return isGood;
    }

    private IEnumerable<CatalogCheckpoint> Kept() => folder.Checkpoints.Select(folder.TryCheckpoint).OfType<CatalogCheckpoint>();

    private (int Removed, ImmutableArray<string> Damaged) Prune(int keep)
    {
        ImmutableArray<string> all = folder.Checkpoints;
        int old = Math.Max(0, all.Length - keep);
        HashSet<ChunkId> needed = [];
        ImmutableArray<string> damaged = [.. all.Skip(old).Where(name => !TryAddNeeded(name, needed))];
        if (!damaged.IsEmpty)
        {
            // An older one may be what is wanted then.
            return (0, damaged);
        }

        foreach (string name in all.Take(old))
        {
            folder.Remove(name);
        }

        return (folder.RemoveOthers(needed), []);
    }

    private bool TryAddNeeded(string name, HashSet<ChunkId> needed)
    {
        if (folder.TryCheckpoint(name) is not { } checkpoint || BackupContents.TryRead(folder, checkpoint, out _) is not { } contents)
        {
            return false;
        }

        needed.UnionWith(checkpoint.Blocks.Select(b => b.Id));
        foreach ((_, ObjectManifest manifest) in contents.Chunked)
        {
            foreach (ChunkReference? chunk in BackupContents.ChunksOf(manifest, folder.Read))
            {
                if (chunk is null || !folder.Contains(chunk.Value.Id))
                {
                    return false;
                }

                needed.Add(chunk.Value.Id);
            }
        }

        return true;
    }
}
