namespace Carillon.Client.Folders;

/// <summary>What an entry of a folder is.</summary>
internal enum FolderItemKind
{
    /// <summary>A regular file.</summary>
    File,

    /// <summary>A symbolic link, kept as one.</summary>
    Link,

    /// <summary>A directory that files alone would not bring back: it is empty, or its mode is not the usual one.</summary>
    Directory,
}

/// <summary>One entry that a walk found.</summary>
/// <param name="Name">Relative to the folder, with slashes.</param>
/// <param name="Path">Where it is.</param>
/// <param name="Kind">What it is.</param>
/// <param name="Length">Bytes of a regular file.</param>
internal sealed record FolderItem(string Name, string Path, FolderItemKind Kind, long Length);
