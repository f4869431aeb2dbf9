using Carillon.Protocols.Cluster;
using Carillon.Protocols.Wire;
using Carillon.Storage;

namespace Carillon.Node.Identity;

/// <summary>
/// The version of the cluster's configuration that is in force on this disk, and the one that it closed. It is durable before anything is
/// said or done under it. Kept in two files that are written in turn, so that a torn write leaves the other.
/// </summary>
/// <remarks><c>u32 magic "CRCF" │ u8 version = 1 │ u64 writes │ u64 closed │ blob entry, empty before the first change │ u32 crc32c of all
/// before</c></remarks>
public sealed class ConfigurationStore
{
    private const string Folder = "configuration";
    private const uint Magic = 0x46435243;
    private const byte Version = 1;
    private const int MaxBytes = 64 << 20;
    private static readonly string[] Files = ["a", "b"];

    private readonly IStorageDevice _device;
    private ulong _writes;

    private ConfigurationStore(IStorageDevice device) => _device = device;

    /// <summary>The version in force, with what the one before left; null before the first change.</summary>
    public ConfigurationEntry? Entry { get; private set; }

    /// <summary>The greatest version under which this disk sets no more bits.</summary>
    public ulong Closed { get; private set; }

    /// <summary>Reads what is there.</summary>
    /// <exception cref="WrongDiskException">Neither file can be read, or they are of a newer release.</exception>
    /// <exception cref="StorageException">The device refused.</exception>
    public static ConfigurationStore Open(IStorageDevice device)
    {
        var store = new ConfigurationStore(device);
        int damaged = 0;
        foreach (string file in device.List(Folder).Where(f => Files.Contains(f)))
        {
            damaged += store.Read(file) ? 0 : 1;
        }

        // The second file is begun once the first is whole: one alone that can't be read was never relied on.
        return damaged < Files.Length
            ? store
            : throw new WrongDiskException(
                "The data directory's configuration can't be read: its disk is damaged. Replace it by an empty one (see docs/operations/lost-server.md).");
    }

    /// <summary>This disk sets no more bits under a version: durable when it returns.</summary>
    /// <exception cref="StorageException">The device refused; it may be tried again.</exception>
    public void Close(ulong version)
    {
        Save(Entry, Math.Max(Closed, version));
        Closed = Math.Max(Closed, version);
    }

    /// <summary>A version is in force: durable when it returns.</summary>
    /// <exception cref="StorageException">The device refused.</exception>
    public void Apply(ConfigurationEntry entry)
    {
        Save(entry, Closed);
        Entry = entry;
    }

    private bool Read(string fileName)
    {
        using IStorageFile file = _device.Open(Folder, fileName);
        byte[] bytes = new byte[(int)Math.Min(file.Length, MaxBytes)];
        int length = file.Read(0, bytes);
        var reader = new WireReader(bytes.AsSpan(0, length));
        uint magic = reader.U32();
        byte version = reader.U8();
        ulong writes = reader.U64();
        ulong closed = reader.U64();
        ReadOnlySpan<byte> encoded = reader.Blob(MaxBytes);
        int covered = length - reader.Remaining;
        uint checksum = reader.U32();
        if (reader.Failed || magic != Magic || checksum != Crc32C.Of(bytes.AsSpan(0, covered)))
        {
            return false;
        }

        if (version != Version)
        {
            throw new WrongDiskException(
                $"The data directory was written by a newer release (configuration format {version}); this one reads up to {Version}.");
        }

        ConfigurationEntry? entry = null;
        if (encoded.Length > 0 && !ConfigurationEntry.TryRead(encoded, out entry))
        {
            return false;
        }

        if (writes > _writes)
        {
            (_writes, Closed, Entry) = (writes, closed, entry);
        }

        return true;
    }

    private void Save(ConfigurationEntry? present, ulong closed)
    {
        _writes++;
        byte[] entry = present?.Write() ?? [];
        byte[] bytes = new byte[4 + 1 + 8 + 8 + WireSize.Blob(entry.Length) + 4];
        var writer = new WireWriter(bytes);
        writer.U32(Magic);
        writer.U8(Version);
        writer.U64(_writes);
        writer.U64(closed);
        writer.Blob(entry);
        writer.U32(Crc32C.Of(bytes.AsSpan(0, writer.Position)));
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
