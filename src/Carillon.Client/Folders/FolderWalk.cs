namespace Carillon.Client.Folders;

/// <summary>
/// Walks a folder, depth first in order of the names, and yields what a put keeps. Links are never followed unless told to.
/// </summary>
internal sealed class FolderWalk(string root, LinkMode links, FolderTally tally)
{
    /// <summary>The mode of a directory that needs no object of its own.</summary>
    public const UnixFileMode UsualDirectoryMode = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    // Deeper than any name of 1,024 bytes can be: only a loop gets there.
    private const int MaxDepth = 512;

    /// <summary>Everything below the root, each once.</summary>
    public IEnumerable<FolderItem> Items() => Walk(new DirectoryInfo(root), "", [Path.GetFullPath(root)]);

    private IEnumerable<FolderItem> Walk(DirectoryInfo directory, string prefix, List<string> ancestors)
    {
        FileSystemInfo[] entries;
        try
        {
            entries = directory.GetFileSystemInfos();
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            tally.Failed(prefix, fault.Message);
            yield break;
        }

        if (prefix.Length > 0 && (entries.Length == 0 || directory.UnixFileMode != UsualDirectoryMode))
        {
            yield return new FolderItem(prefix, directory.FullName, FolderItemKind.Directory, 0);
        }

        Array.Sort(entries, (a, b) => string.CompareOrdinal(a.Name, b.Name));
        foreach (FileSystemInfo entry in entries)
        {
            string name = prefix.Length == 0 ? entry.Name : $"{prefix}/{entry.Name}";
            foreach (FolderItem item in Entry(entry, name, ancestors))
            {
                yield return item;
            }
        }
    }

    private IEnumerable<FolderItem> Entry(FileSystemInfo entry, string name, List<string> ancestors)
    {
        if (entry.LinkTarget is not null)
        {
            switch (links)
            {
                case LinkMode.Keep:
                    return [new FolderItem(name, entry.FullName, FolderItemKind.Link, 0)];
                case LinkMode.Skip:
                    tally.Skipped(name, "a symbolic link");
                    return [];
                default:
                    return Follow(entry, name, ancestors);
            }
        }

        return entry switch
        {
            DirectoryInfo directory => Descend(directory, name, ancestors),
            FileInfo file => Regular(file, name),
            _ => [],
        };
    }

    private IEnumerable<FolderItem> Follow(FileSystemInfo link, string name, List<string> ancestors)
    {
        FileSystemInfo? target;
        try
        {
            target = link.ResolveLinkTarget(returnFinalTarget: true);
        }
        catch (IOException fault)
        {
            tally.Failed(name, fault.Message);
            return [];
        }

        if (target is null || !target.Exists)
        {
            tally.Failed(name, "the link's target does not exist");
            return [];
        }

        return target is DirectoryInfo directory ? Descend(directory, name, ancestors) : Regular((FileInfo)target, name);
    }

    private IEnumerable<FolderItem> Descend(DirectoryInfo directory, string name, List<string> ancestors)
    {
        if (ancestors.Contains(directory.FullName) || ancestors.Count > MaxDepth)
        {
            tally.Skipped(name, "a link back to a folder above it");
            return [];
        }

        return Walk(directory, name, [.. ancestors, directory.FullName]);
    }

    private IEnumerable<FolderItem> Regular(FileInfo file, string name)
    {
        // To open a pipe waits for ever, and a device never ends.
        if (!FileKind.IsRegular(file.FullName))
        {
            tally.Skipped(name, "neither a file, a directory nor a link");
            return [];
        }

        return [new FolderItem(name, file.FullName, FolderItemKind.File, file.Length)];
    }
}
