using Carillon.Storage;

namespace Carillon.Runtime.Storage;

/// <summary>
/// A folder of the machine's file system as an <see cref="IStorageDevice"/>. All calls block; any thread may call. Errors of the
/// operating system come out as <see cref="StorageException"/>, and nothing else does.
/// </summary>
public sealed class FileDevice : IStorageDevice
{
    private readonly string _root;

    /// <summary>A device over a folder, made if it is not there.</summary>
    /// <exception cref="StorageException">The folder can't be made.</exception>
    public FileDevice(string root)
    {
        _root = Path.GetFullPath(root);
        DeviceErrors.Translate(_root, static path => Directory.CreateDirectory(path));
    }

    /// <inheritdoc/>
    public long FreeBytes => DeviceErrors.Translate(_root, static path => new DriveInfo(path).AvailableFreeSpace);

    /// <inheritdoc/>
    public IReadOnlyList<string> List(string folder) => DeviceErrors.Translate(FolderPath(folder), static path =>
    {
        if (!Directory.Exists(path))
        {
            return [];
        }

        string[] names = [.. Directory.EnumerateFiles(path).Select(file => Path.GetFileName(file))];
        Array.Sort(names, StringComparer.Ordinal);
        return names;
    });

    /// <inheritdoc/>
    public IStorageFile Open(string folder, string name)
    {
        string path = FilePath(folder, name);
        return DeviceErrors.Translate(path, static path =>
        {
            string parent = Path.GetDirectoryName(path)!;
            if (!Directory.Exists(parent))
            {
                Directory.CreateDirectory(parent);
            }

            // No sharing mode: on Unix it would take an advisory lock per file; the data folder as a whole is locked once, elsewhere.
            const FileShare Anyone = FileShare.ReadWrite | FileShare.Delete;
            return new DeviceFile(path, File.OpenHandle(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, Anyone));
        });
    }

    /// <inheritdoc/>
    public void Delete(string folder, string name) => DeviceErrors.Translate(FilePath(folder, name), static path =>
    {
        if (File.Exists(path))
        {
            File.Delete(path);
        }

        return true;
    });

    /// <inheritdoc/>
    public void Rename(string folder, string from, string to)
    {
        string target = FilePath(folder, to);
        DeviceErrors.Translate(FilePath(folder, from), path =>
        {
            File.Move(path, target, overwrite: true);
            return true;
        });
    }

    /// <inheritdoc/>
    public void FlushFolder(string folder)
    {
        string path = FolderPath(folder);
        NativeFlush.Folder(path);

        // The folder itself is an entry of its parent, and may be new.
        if (path.Length > _root.Length)
        {
            NativeFlush.Folder(_root);
        }
    }

    private string FolderPath(string folder) => Path.Combine(_root, Checked(folder));

    private string FilePath(string folder, string name) => Path.Combine(_root, Checked(folder), Checked(name));

    // Stores make these names themselves; a name that leaves the folder is a bug of theirs.
    private static string Checked(string name)
    {
        Protocols.Invariant.That(name.Length > 0 && name is not ("." or "..") && !name.AsSpan().ContainsAny('/', '\\', '\0'));
        return name;
    }
}
