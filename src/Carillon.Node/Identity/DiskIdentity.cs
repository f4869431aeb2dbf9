using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Carillon.Storage;

namespace Carillon.Node.Identity;

/// <summary>A data directory can't be used by this server as it is configured; the message says why and what to do.</summary>
public sealed class WrongDiskException : Exception
{
    public WrongDiskException()
    {
    }

    public WrongDiskException(string message) : base(message)
    {
    }

    public WrongDiskException(string message, Exception inner) : base(message, inner)
    {
    }
}

/// <summary>
/// What a data directory says of itself: whose it is, which disk, and how often it was started. The incarnation is raised and flushed
/// before a server says a word, so that it is never used twice. Kept in two files that are written in turn, so that a torn write leaves the
/// other.
/// </summary>
/// <remarks><c>u32 magic "CRID" │ u8 version = 1 │ text cluster │ node │ disk 16 │ u64 incarnation │ bool catalog is being rebuilt │ u32
/// crc32c of all before</c></remarks>
public sealed class DiskIdentity
{
    private const string Folder = "identity";
    private const uint Magic = 0x44495243;
    private const byte Version = 1;
    private const int MaxBytes = 512;
    private static readonly string[] Files = ["a", "b"];

    private readonly IStorageDevice _device;
    private readonly string _cluster;
    private readonly NodeId _name;

    private DiskIdentity(IStorageDevice device, string cluster, NodeId name, DiskId disk)
    {
        _device = device;
        _cluster = cluster;
        _name = name;
        Disk = disk;
    }

    /// <summary>The disk that this is.</summary>
    public DiskId Disk { get; }

    /// <summary>This start's number.</summary>
    public Incarnation Incarnation { get; private set; }

    /// <summary>True from the loss of the catalog, or of the whole disk that this one replaces, until what was on it is rebuilt: this disk
    /// does not vote meanwhile.</summary>
    public bool IsRebuilding { get; private set; }

    /// <summary>True if this disk was never started before.</summary>
    public bool IsNew => Incarnation.Value == 1;

    /// <summary>Opens the directory's identity, makes it at the first start, and raises the incarnation durably.</summary>
    /// <param name="device">The data directory.</param>
    /// <param name="cluster">The cluster's name.</param>
    /// <param name="name">The server's name.</param>
    /// <param name="configured">The disk that the configuration names: what an empty directory becomes.</param>
    /// <param name="isReplacement">True if an empty directory takes the place of a disk that may have voted: it is to be rebuilt.</param>
    /// <exception cref="WrongDiskException">It belongs to another cluster or server, or can't be read.</exception>
    /// <exception cref="StorageException">The device refused.</exception>
    public static DiskIdentity Open(IStorageDevice device, string cluster, NodeId name, DiskId configured, bool isReplacement = false)
    {
        DiskIdentity identity = Find(device, cluster, name)
            ?? new DiskIdentity(device, cluster, name, configured) { IsRebuilding = isReplacement };
        identity.Incarnation = new Incarnation(identity.Incarnation.Value + 1);
        identity.Save();
        return identity;
    }

    /// <summary>Looks at a directory's identity without starting it; null for a directory that was never started.</summary>
    /// <exception cref="WrongDiskException">It belongs to another cluster or server, or can't be read.</exception>
    /// <exception cref="StorageException">The device refused.</exception>
    public static DiskIdentity? Find(IStorageDevice device, string cluster, NodeId name)
    {
        DiskIdentity? found = null;
        int damaged = 0;
        foreach (string file in device.List(Folder).Where(f => Files.Contains(f)))
        {
            if (Read(device, file, cluster, name) is { } read)
            {
                found = found is null || read.Incarnation > found.Incarnation ? read : found;
            }
            else
            {
                damaged++;
            }
        }

        bool isUsed = device.List("log").Count > 0 || device.List("chunks").Count > 0;
        if (found is null && damaged > 0 && (isUsed || damaged == Files.Length))
        {
            throw new WrongDiskException(
                "The data directory's identity can't be read: its disk is damaged. Start with an empty directory under a new disk id (see docs/operations).");
        }

        if (found is null && isUsed)
        {
            throw new WrongDiskException(
                "The data directory holds data but not its identity: it was copied in part, or damaged. Start with an empty directory (see docs/operations).");
        }

        // Where there is nothing else, the first start was cut short while it wrote this: no word was said by it.
        return found;
    }

    /// <summary>Notes, durably, that the catalog is being rebuilt, or was.</summary>
    public void SetRebuilding(bool rebuilding)
    {
        IsRebuilding = rebuilding;
        Save();
    }

    private static DiskIdentity? Read(IStorageDevice device, string fileName, string cluster, NodeId name)
    {
        using IStorageFile file = device.Open(Folder, fileName);
        byte[] bytes = new byte[(int)Math.Min(file.Length, MaxBytes)];
        int length = file.Read(0, bytes);
        if (length < 8)
        {
            return null;
        }

        var reader = new WireReader(bytes.AsSpan(0, length));
        uint magic = reader.U32();
        byte version = reader.U8();
        if (magic == Magic && version > Version)
        {
            throw new WrongDiskException(
                $"The data directory was written by a newer release (identity format {version}); this one reads up to {Version}.");
        }

        string foundCluster = reader.Text(128);
        NodeId foundName = reader.Node();
        DiskId disk = reader.Disk();
        ulong incarnation = reader.U64();
        bool rebuilding = reader.Bool();
        int covered = length - reader.Remaining;
        uint checksum = reader.U32();
        if (reader.Failed || magic != Magic || version != Version || checksum != Crc32C.Of(bytes.AsSpan(0, covered)))
        {
            return null;
        }

        if (foundCluster != cluster || foundName != name)
        {
            throw new WrongDiskException(
                $"The data directory belongs to server {foundName} of cluster '{foundCluster}', not to {name} of '{cluster}'. Name another directory in the configuration.");
        }

        return new DiskIdentity(device, cluster, name, disk) { Incarnation = new Incarnation(incarnation), IsRebuilding = rebuilding };
    }

    private void Save()
    {
        byte[] bytes = new byte[4 + 1 + WireSize.Text(_cluster) + WireSize.Node(_name) + DiskId.Size + 8 + 1 + 4];
        var writer = new WireWriter(bytes);
        writer.U32(Magic);
        writer.U8(Version);
        writer.Text(_cluster);
        writer.Node(_name);
        writer.Disk(Disk);
        writer.U64(Incarnation.Value);
        writer.Bool(IsRebuilding);
        writer.U32(Crc32C.Of(bytes.AsSpan(0, writer.Position)));

        // Both copies, one after the other: whichever a crash tears, the other is whole, and the greater incarnation counts.
        foreach (string fileName in Files)
        {
            using IStorageFile file = _device.Open(Folder, fileName);
            file.Write(0, bytes);
            file.SetLength(bytes.Length);
            file.Flush();
            _device.FlushFolder(Folder);
        }
    }
}
