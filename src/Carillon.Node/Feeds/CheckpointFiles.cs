using System.Globalization;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Feeds;

/// <summary>
/// Checkpoints on this disk: for each a file of its blocks, one behind the other, and one of its list, which is written last, so that a
/// list that is there and readable says that the blocks are. Every block is verified by its name when it is read.
/// </summary>
internal sealed class CheckpointFiles(IStorageDevice device)
{
    /// <summary>Where they are.</summary>
    public const string Folder = "checkpoints";

    private const int Kept = 2;
    private const string BlocksSuffix = ".blocks";
    private const string ListSuffix = ".list";

    /// <summary>The newest that is whole, as far as its list says; null where there is none. Blocking.</summary>
    public CatalogCheckpoint? Newest()
    {
        foreach (string name in device.List(Folder).Reverse())
        {
            if (name.EndsWith(ListSuffix, StringComparison.Ordinal) && ReadList(name) is { } checkpoint)
            {
                return checkpoint;
            }
        }

        return null;
    }

    /// <summary>The list of one, or null.</summary>
    public CatalogCheckpoint? Find(SequenceNumber number) =>
        device.List(Folder).Contains(Name(number, ListSuffix)) ? ReadList(Name(number, ListSuffix)) : null;

    /// <summary>Begins to write one.</summary>
    public IStorageFile Create(SequenceNumber number)
    {
        device.Delete(Folder, Name(number, ListSuffix));
        IStorageFile file = device.Open(Folder, Name(number, BlocksSuffix));
        try
        {
            file.SetLength(0);
            return file;
        }
        catch (StorageException)
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>All blocks are written and flushed: the list says so; older ones go.</summary>
    public void Finish(CatalogCheckpoint checkpoint)
    {
        using (IStorageFile list = device.Open(Folder, Name(checkpoint.Number, ListSuffix)))
        {
            byte[] bytes = checkpoint.Write();
            list.SetLength(bytes.Length);
            list.Write(0, bytes);
            list.Flush();
        }

        device.FlushFolder(Folder);
        string[] lists = [.. device.List(Folder).Where(name => name.EndsWith(ListSuffix, StringComparison.Ordinal))];
        foreach (string old in lists.Take(Math.Max(0, lists.Length - Kept)))
        {
            device.Delete(Folder, old);
            device.Delete(Folder, old[..^ListSuffix.Length] + BlocksSuffix);
        }
    }

    /// <summary>A block of one; empty where it is not there, or not what its name says.</summary>
    public ReadOnlyMemory<byte> ReadBlock(CatalogCheckpoint checkpoint, int index)
    {
        if (index < 0 || index >= checkpoint.Blocks.Length || !device.List(Folder).Contains(Name(checkpoint.Number, BlocksSuffix)))
        {
            return default;
        }

        using IStorageFile file = device.Open(Folder, Name(checkpoint.Number, BlocksSuffix));
        byte[] bytes = new byte[checkpoint.Blocks[index].Length];
        int read = file.Read(OffsetOf(checkpoint, index), bytes);
        return read == bytes.Length && ChunkId.Of(bytes) == checkpoint.Blocks[index].Id ? bytes : default;
    }

    /// <summary>Where a block begins.</summary>
    public static long OffsetOf(CatalogCheckpoint checkpoint, int index)
    {
        long offset = 0;
        for (int i = 0; i < index; i++)
        {
            offset += checkpoint.Blocks[i].Length;
        }

        return offset;
    }

    private static string Name(SequenceNumber number, string suffix) => number.Value.ToString("D20", CultureInfo.InvariantCulture) + suffix;

    private CatalogCheckpoint? ReadList(string name)
    {
        using IStorageFile file = device.Open(Folder, name);
        byte[] bytes = new byte[file.Length];
        return file.Read(0, bytes) == bytes.Length && CatalogCheckpoint.TryRead(bytes, out CatalogCheckpoint? checkpoint)
            && name == Name(checkpoint.Number, ListSuffix) ? checkpoint : null;
    }
}
