using Carillon.Protocols;
using Carillon.Storage;

namespace Carillon.Simulator.World;

/// <summary>
/// A disk that can lose its power. Folders map names to inodes twice, as programs see them and as the disk has them; creations, renames and
/// deletions wait for <see cref="FlushFolder"/>, and a power cut keeps any of those that wait, in order for each name.
/// </summary>
internal sealed class SimulatedDisk(RandomSource random, long capacityBytes) : IStorageDevice
{
    private readonly SortedDictionary<string, Folder> _folders = new(StringComparer.Ordinal);
    private int _life;
    private long _flushes;

    /// <summary>What is wrong with it.</summary>
    public DiskFaults Faults { get; } = new();

    /// <summary>Bytes of all files.</summary>
    public long UsedBytes => _folders.Values.Sum(folder => folder.Live.Values.Sum(inode => inode.Length));

    /// <inheritdoc/>
    public long FreeBytes => Faults.NoSpaceTold
        ? throw new StorageException(StorageFault.Failed, "The simulated disk does not say how much is free.") : Room;

    private long Room => Faults.Full ? 0 : Math.Max(0, capacityBytes - UsedBytes);

    /// <summary>Names of the folders, in order.</summary>
    public IEnumerable<string> Folders => _folders.Keys;

    /// <summary>Another disk takes its place: everything on it is gone. Nothing may have it open.</summary>
    public void Replace()
    {
        _life++;
        _folders.Clear();
    }

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string folder) => _folders.TryGetValue(folder, out Folder? found) ? [.. found.Live.Keys] : [];

    /// <inheritdoc/>
    public IStorageFile Open(string folder, string name)
    {
        Folder home = FolderOf(folder);
        if (!home.Live.TryGetValue(name, out SimulatedInode? inode))
        {
            RefuseChanges();
            inode = new SimulatedInode();
            home.Change(new DirectoryChange(null, name, inode));
        }

        return new SimulatedFile(this, folder, inode, _life);
    }

    /// <inheritdoc/>
    public void Delete(string folder, string name)
    {
        RefuseChanges();
        Folder home = FolderOf(folder);
        if (home.Live.ContainsKey(name))
        {
            home.Change(new DirectoryChange(null, name, null));
        }
    }

    /// <inheritdoc/>
    public void Rename(string folder, string from, string to)
    {
        RefuseChanges();
        Folder home = FolderOf(folder);
        if (!home.Live.TryGetValue(from, out SimulatedInode? inode))
        {
            throw new StorageException($"'{folder}/{from}' is not there.");
        }

        home.Change(new DirectoryChange(from, to, inode));
    }

    /// <inheritdoc/>
    public void FlushFolder(string folder)
    {
        Folder home = FolderOf(folder);
        foreach (DirectoryChange change in home.Waiting)
        {
            change.ApplyTo(home.Durable);
        }

        home.Waiting.Clear();
    }

    /// <summary>The machine stops: everything open is void, and what was not flushed may be gone.</summary>
    public void CutPower(CrashStyle style)
    {
        _life++;
        foreach (Folder folder in _folders.Values)
        {
            folder.CutPower(style, random);
        }
    }

    /// <summary>The process ends, the machine goes on: what was written stays.</summary>
    public void CloseAll() => _life++;

    /// <summary>A disk that holds what a power cut at this instant would leave for certain, to be looked at by checkers.</summary>
    public SimulatedDisk DurableCopy()
    {
        var copy = new SimulatedDisk(random.Fork(), capacityBytes);
        foreach ((string name, Folder folder) in _folders)
        {
            Folder target = copy.FolderOf(name);
            foreach ((string file, SimulatedInode inode) in folder.Durable)
            {
                target.Change(new DirectoryChange(null, file, inode.DurableClone()));
            }

            copy.FlushFolder(name);
        }

        return copy;
    }

    /// <summary>Files of a folder in order of their names, for faults that strike a place on the disk.</summary>
    public IEnumerable<KeyValuePair<string, SimulatedInode>> Files(string folder) =>
        _folders.TryGetValue(folder, out Folder? found) ? found.Live : [];

    private Folder FolderOf(string name)
    {
        if (!_folders.TryGetValue(name, out Folder? folder))
        {
            folder = new Folder();
            _folders.Add(name, folder);
        }

        return folder;
    }

    private void RefuseChanges()
    {
        if (Faults.ReadOnly)
        {
            throw new StorageException(StorageFault.ReadOnly, "The simulated disk is read-only.");
        }
    }

    private void Write(string folder, SimulatedInode inode, long offset, ReadOnlySpan<byte> bytes)
    {
        RefuseChanges();
        long growth = Math.Max(0, offset + bytes.Length - inode.Length);
        if (growth > 0 && growth > Room)
        {
            throw new StorageException(StorageFault.Full, "The simulated disk is full.");
        }

        if (Faults.MisdirectNextWriteIn == folder && inode.Length >= 2 * SimulatedInode.PageSize)
        {
            Faults.MisdirectNextWriteIn = null;
            offset = Misdirect(inode, offset, bytes.Length);
        }

        inode.Write(offset, bytes);
    }

    // Away by whole pages, and within the file: a wrong sector number, not a wrong file.
    private long Misdirect(SimulatedInode inode, long offset, int length)
    {
        long pages = Math.Max(0, inode.Length - length) / SimulatedInode.PageSize;
        long within = offset % SimulatedInode.PageSize;
        long elsewhere = (random.Below(pages + 1) * SimulatedInode.PageSize) + within;
        return elsewhere == offset ? offset + SimulatedInode.PageSize : elsewhere;
    }

    private void SetLength(SimulatedInode inode, long length)
    {
        RefuseChanges();
        if (length - inode.Length > 0 && length - inode.Length > Room)
        {
            throw new StorageException(StorageFault.Full, "The simulated disk is full.");
        }

        inode.SetLength(length);
    }

    private void Flush(string folder, SimulatedInode inode)
    {
        if (Faults.FailNextFlushIn == folder && inode.DirtyPages > 0)
        {
            Faults.FailNextFlushIn = null;
            inode.FailFlush(random);
            throw new StorageException(StorageFault.Failed, "The simulated disk failed a flush.");
        }

        inode.Flush();
        inode.LastFlush = ++_flushes;
    }

    /// <summary>A name's change that waits for its folder's flush: a creation, a deletion (no inode), or a rename (with the old
    /// name).</summary>
    private readonly record struct DirectoryChange(string? From, string Name, SimulatedInode? Inode)
    {
        public void ApplyTo(SortedDictionary<string, SimulatedInode> names)
        {
            if (From is not null)
            {
                names.Remove(From);
            }

            if (Inode is null)
            {
                names.Remove(Name);
            }
            else
            {
                names[Name] = Inode;
            }
        }
    }

    private sealed class Folder
    {
        public SortedDictionary<string, SimulatedInode> Live { get; } = new(StringComparer.Ordinal);

        public SortedDictionary<string, SimulatedInode> Durable { get; } = new(StringComparer.Ordinal);

        public List<DirectoryChange> Waiting { get; } = [];

        public void Change(DirectoryChange change)
        {
            change.ApplyTo(Live);
            Waiting.Add(change);
        }

        public void CutPower(CrashStyle style, RandomSource random)
        {
            // Once a change of a name is lost, so are the later ones of that name; a rename ties two names together.
            var lost = new HashSet<string>(StringComparer.Ordinal);
            foreach (DirectoryChange change in Waiting)
            {
                bool keeps = style == CrashStyle.KeepAll || (style != CrashStyle.LoseAll && random.Chance(0.5));
                if (keeps && !lost.Contains(change.Name) && (change.From is null || !lost.Contains(change.From)))
                {
                    change.ApplyTo(Durable);
                    continue;
                }

                lost.Add(change.Name);
                if (change.From is not null)
                {
                    lost.Add(change.From);
                }
            }

            Waiting.Clear();
            Live.Clear();
            foreach ((string name, SimulatedInode inode) in Durable)
            {
                inode.CutPower(style, random);
                Live.Add(name, inode);
            }
        }
    }

    private sealed class SimulatedFile(SimulatedDisk disk, string folder, SimulatedInode inode, int life) : IStorageFile
    {
        public long Length => Alive().Length;

        public int Read(long offset, Span<byte> into) => Alive().Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> bytes) => disk.Write(folder, Alive(), offset, bytes);

        public void SetLength(long length) => disk.SetLength(Alive(), length);

        public void Flush() => disk.Flush(folder, Alive());

        public void Dispose()
        {
            // Nothing is held beyond the inode.
        }

        private SimulatedInode Alive()
        {
            Invariant.That(life == disk._life, "a file of a process that has ended is not used");
            return inode;
        }
    }
}
