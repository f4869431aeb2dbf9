using System.Collections.Immutable;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;

namespace Carillon.Backups;

/// <summary>What one checkpoint of a backup is made of.</summary>
internal sealed class BackupContents
{
    private readonly Dictionary<string, BucketSettings> _buckets = new(StringComparer.Ordinal);
    private readonly List<(string Bucket, ObjectManifest Manifest)> _chunked = [];

    private BackupContents(CatalogCheckpoint checkpoint) => Checkpoint = checkpoint;

    /// <summary>The checkpoint.</summary>
    public CatalogCheckpoint Checkpoint { get; }

    /// <summary>The greatest version of the configuration that the backed-up cluster had by a change; 1 where it had none.</summary>
    public ulong ConfigurationVersion { get; private set; } = 1;

    /// <summary>Versions that it keeps, tombstones included.</summary>
    public int Versions { get; private set; }

    /// <summary>Services that were added, in order of their names.</summary>
    public ImmutableArray<ServiceName> Services { get; private set; } = [];

    /// <summary>Manifests whose content is in chunks, each with its bucket.</summary>
    public IReadOnlyList<(string Bucket, ObjectManifest Manifest)> Chunked => _chunked;

    /// <summary>Reads a checkpoint, all of whose blocks are there.</summary>
    /// <exception cref="ExitException">A block is missing or damaged.</exception>
    public static BackupContents Read(BackupFolder folder, CatalogCheckpoint checkpoint) =>
        TryRead(folder, checkpoint, out CheckpointVerdict verdict)
            ?? throw new ExitException(
                ExitCode.Integrity,
                verdict == CheckpointVerdict.WrongBlock
                    ? "a block of the checkpoint is missing or damaged: 'carillon backup --verify' fetches it anew"
                    : "the checkpoint's blocks are none that this release reads");

    /// <summary>Reads a checkpoint; null where it can't be read as a whole.</summary>
    public static BackupContents? TryRead(BackupFolder folder, CatalogCheckpoint checkpoint, out CheckpointVerdict verdict)
    {
        var contents = new BackupContents(checkpoint);
        verdict = CheckpointVersions.Read(
            checkpoint, i => folder.Read(checkpoint.Blocks[i].Id) ?? [], (_, operation) => contents.Add(operation));
        return verdict == CheckpointVerdict.Loaded ? contents : null;
    }

    /// <summary>How many servers should hold what is in a bucket.</summary>
    public int ReplicasOf(string bucket) => Math.Clamp(
        (_buckets.GetValueOrDefault(bucket) ?? new BucketSettings()).Replicas, 1, IChunkInventory.MaxReplicas);

    /// <summary>The chunks of a manifest, those that hold its list first; null for a list that is missing or damaged.</summary>
    public static IEnumerable<ChunkReference?> ChunksOf(ObjectManifest manifest, Func<ChunkId, byte[]?> read)
    {
        foreach (ChunkReference chunk in manifest.Chunks)
        {
            yield return chunk;
            if (manifest.Form == ContentForm.ChunkedList)
            {
                ImmutableArray<ChunkReference>? list = read(chunk.Id) is { } stored ? ChunkLists.Read(chunk, stored) : null;
                if (list is null)
                {
                    yield return null;
                    continue;
                }

                foreach (ChunkReference listed in list.Value)
                {
                    yield return listed;
                }
            }
        }
    }

    private void Add(Operation operation)
    {
        Versions++;
        if (ConfigurationEntry.IsTarget(operation.Target) && operation.Manifest is { Form: ContentForm.Inline } content
            && ConfigurationEntry.TryRead(content.Inline.Span, out ConfigurationEntry? entry))
        {
            ConfigurationVersion = Math.Max(ConfigurationVersion, entry.Configuration.Version);
        }

        if (operation.Target == ObjectName.ServiceTable && operation.Manifest is { } written
            && ServiceTable.TryRead(written.Inline.Span, out ServiceTable table))
        {
            Services = [.. table.Entries.Select(e => e.Definition.Name).Where(name => !name.IsOwn)];
        }

        if (operation.Target.Bucket == ObjectName.SystemBucket)
        {
            // In the order of their tags: the last one counts.
            _buckets.Remove(operation.Target.Name);
            if (operation.Manifest is { } record && BucketSettings.TryRead(record.Inline.Span, out BucketSettings? settings, out _))
            {
                _buckets[operation.Target.Name] = settings;
            }
        }

        if (operation.Manifest is { Form: not ContentForm.Inline } manifest)
        {
            _chunked.Add((operation.Target.Bucket, manifest));
        }
    }
}
