using System.Collections.Concurrent;
using Carillon.Protocols.Submissions;

namespace Carillon.Client.Folders;

/// <summary>
/// A folder that names from elsewhere are turned into paths of. No name leads out of it: not by its segments, and not through
/// a link that is already in it.
/// </summary>
internal sealed class SafeFolder
{
    private readonly string _root;
    private readonly ConcurrentDictionary<string, bool> _directories = new(StringComparer.Ordinal);
    private readonly Lock _making = new();

    /// <summary>Opens the folder, and makes it where it is missing. The folder itself may be a link: its owner chose it.</summary>
    public SafeFolder(string root)
    {
        _root = Path.GetFullPath(root);
        Directory.CreateDirectory(_root);
    }

    /// <summary>The path of a name, whose parent directories exist and are no links.</summary>
    /// <exception cref="CarillonException">The name leads out of the folder, or through a link or a file.</exception>
    public string Resolve(string name)
    {
        if (ObjectName.FaultOfName(name) is { } fault)
        {
            throw new CarillonException(Failure.Usage, fault);
        }

        if (OperatingSystem.IsWindows() && name.AsSpan().ContainsAny("\\:*?\"<>|"))
        {
            throw new CarillonException(Failure.Usage, "the name has characters that no file here can have");
        }

        int slash = name.LastIndexOf('/');
        if (slash >= 0)
        {
            EnsureDirectory(name[..slash]);
        }

        return Path.Combine(_root, name);
    }

    /// <summary>Makes a directory and all above it.</summary>
    /// <exception cref="CarillonException">There is a link or a file in the way.</exception>
    public string EnsureDirectory(string name)
    {
        string path = Path.Combine(_root, name);
        if (_directories.ContainsKey(name))
        {
            return path;
        }

        int slash = name.LastIndexOf('/');
        if (slash >= 0)
        {
            EnsureDirectory(name[..slash]);
        }

        lock (_making)
        {
            var entry = new DirectoryInfo(path);
            if (entry.LinkTarget is not null)
            {
                throw new CarillonException(Failure.Failed, $"{name} is a symbolic link here, and is not followed");
            }

            if (!entry.Exists)
            {
                if (File.Exists(path))
                {
                    throw new CarillonException(Failure.Failed, $"{name} is a file here, and can't have files below it");
                }

                Directory.CreateDirectory(path);
            }
        }

        _directories[name] = true;
        return path;
    }
}
