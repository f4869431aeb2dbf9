using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Storage.Catalogs;

namespace Carillon.Backups;

/// <summary>
/// A backup on disk (docs/formats/backup.md): lists of checkpoints, and the blocks and chunks that they name, each a file under the SHA-256
/// of its bytes. What is written is flushed and then renamed into place, and a list is written last: a list that is there is whole.
/// </summary>
internal sealed class BackupFolder
{
    private const string HeadFile = "carillon-backup.json";
    private const string Lists = "checkpoints";
    private const string Blobs = "blobs";
    private const string ListSuffix = ".list";
    private const string Unfinished = ".new";
    private const int Version = 1;

    private readonly string _root;

    private BackupFolder(string root, string cluster)
    {
        _root = root;
        Cluster = cluster;
    }

    /// <summary>The cluster that it is of.</summary>
    public string Cluster { get; }

    /// <summary>The names of the checkpoints, the oldest first: the time of each.</summary>
    public ImmutableArray<string> Checkpoints =>
    [
        .. Directory.EnumerateFiles(Path.Combine(_root, Lists), "*" + ListSuffix).Select(f => Path.GetFileNameWithoutExtension(f)!)
            .Order(StringComparer.Ordinal),
    ];

    /// <summary>Opens a backup.</summary>
    /// <exception cref="ExitException">There is none, or it is of a newer release.</exception>
    public static BackupFolder Open(string root)
    {
        string head = Path.Combine(root, HeadFile);
        if (!File.Exists(head))
        {
            throw new ExitException(ExitCode.NotFound, $"{root} is no backup: it has no {HeadFile}");
        }

        (int version, string cluster) = ReadHead(head);
        return version == Version
            ? new BackupFolder(root, cluster)
            : throw new ExitException(
                ExitCode.Failed, $"{root} is a backup of format {version}; this release reads {Version}: use the one that wrote it");
    }

    private static (int Version, string Cluster) ReadHead(string head)
    {
        try
        {
            using var document = JsonDocument.Parse(File.ReadAllBytes(head));
            return (
                document.RootElement.GetProperty("version").GetInt32(), document.RootElement.GetProperty("cluster").GetString() ?? "");
        }
        catch (Exception fault) when (fault is JsonException or KeyNotFoundException or InvalidOperationException or FormatException)
        {
            throw new ExitException(
                ExitCode.Integrity,
                $"{head} is damaged; where the checkpoints are good, write it anew: {{\"version\":{Version},\"cluster\":\"NAME\"}}");
        }
    }

    /// <summary>Opens a backup of this cluster, or begins one in a folder that is empty or not there.</summary>
    /// <exception cref="ExitException">The folder holds something else, or another cluster's backup.</exception>
    public static BackupFolder OpenOrMake(string root, string cluster)
    {
        if (File.Exists(root))
        {
            throw new ExitException(ExitCode.Conflict, $"{root} is a file; a backup is a folder");
        }

        if (!File.Exists(Path.Combine(root, HeadFile)))
        {
            if (Directory.Exists(root) && Directory.EnumerateFileSystemEntries(root).Any())
            {
                throw new ExitException(ExitCode.Conflict, $"{root} is neither empty nor a backup; nothing was written");
            }

            Directory.CreateDirectory(Path.Combine(root, Lists));
            Directory.CreateDirectory(Path.Combine(root, Blobs));
            WriteWhole(
                Path.Combine(root, HeadFile), JsonSerializer.SerializeToUtf8Bytes(new { version = Version, cluster }));
        }

        BackupFolder folder = Open(root);
        return folder.Cluster == cluster
            ? folder
            : throw new ExitException(ExitCode.Conflict, $"{root} is a backup of cluster '{folder.Cluster}', not of '{cluster}'");
    }

    /// <summary>True if a block or chunk is there; its bytes are not looked at.</summary>
    public bool Contains(ChunkId id) => File.Exists(BlobPath(id));

    /// <summary>A block or chunk, or null where it is not there or not what its name says.</summary>
    public byte[]? Read(ChunkId id)
    {
        try
        {
            byte[] bytes = File.ReadAllBytes(BlobPath(id));
            return ChunkId.Of(bytes) == id ? bytes : null;
        }
        catch (Exception missing) when (missing is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    /// <summary>Keeps a block or chunk.</summary>
    public void Add(ChunkId id, byte[] bytes)
    {
        string path = BlobPath(id);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        WriteWhole(path, bytes);
    }

    /// <summary>Adds a list, all of whose blocks and chunks are there; gives the checkpoint's name.</summary>
    public string Add(CatalogCheckpoint checkpoint, DateTimeOffset now)
    {
        string name = now.UtcDateTime.ToString("yyyyMMdd'T'HHmmssfff'Z'", CultureInfo.InvariantCulture);
        WriteWhole(ListPath(name), checkpoint.Write());
        return name;
    }

    /// <summary>Reads a list.</summary>
    /// <exception cref="ExitException">It is not there, or damaged.</exception>
    public CatalogCheckpoint Checkpoint(string name)
    {
        if (!Checkpoints.Contains(name))
        {
            throw new ExitException(ExitCode.NotFound, $"{_root} has no checkpoint '{Shown.Text(name)}'; it has {string.Join(' ', Checkpoints)}");
        }

        return TryCheckpoint(name) ?? throw new ExitException(ExitCode.Integrity, $"{ListPath(name)} is damaged");
    }

    /// <summary>Reads a list; null where it is damaged.</summary>
    public CatalogCheckpoint? TryCheckpoint(string name) =>
        CatalogCheckpoint.TryRead(File.ReadAllBytes(ListPath(name)), out CatalogCheckpoint? checkpoint) ? checkpoint : null;

    /// <summary>Where a checkpoint's list is.</summary>
    public string ListPath(string name) => Path.Combine(_root, Lists, name + ListSuffix);

    /// <summary>Removes a checkpoint's list.</summary>
    public void Remove(string checkpoint) => File.Delete(ListPath(checkpoint));

    /// <summary>Removes all blocks and chunks but these, and what an earlier run left unfinished; gives how many.</summary>
    public int RemoveOthers(IReadOnlySet<ChunkId> kept)
    {
        int removed = 0;
        foreach (string path in Directory.EnumerateFiles(Path.Combine(_root, Blobs), "*", SearchOption.AllDirectories))
        {
            bool isKept = Digest.TryParse(Path.GetFileName(path), out Digest digest) && kept.Contains(new ChunkId(digest));
            if (!isKept)
            {
                File.Delete(path);
                removed++;
            }
        }

        return removed;
    }

    private string BlobPath(ChunkId id)
    {
        string name = id.ToString();
        return Path.Combine(_root, Blobs, name[..2], name);
    }

    private static void WriteWhole(string path, byte[] bytes)
    {
        string unfinished = path + Unfinished;
        try
        {
            using (var stream = new FileStream(unfinished, FileMode.Create, FileAccess.Write, FileShare.None))
            {
                stream.Write(bytes);
                stream.Flush(flushToDisk: true);
            }

            File.Move(unfinished, path, overwrite: true);
        }
        catch (IOException refusal)
        {
            // Not what a connection in trouble throws: in the midst of a download it would be taken for that.
            throw new ExitException(ExitCode.Of(refusal), $"{path}: {refusal.Message}");
        }
    }
}
