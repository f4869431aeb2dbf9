using System.Collections.Immutable;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace Carillon.Client.Folders;

/// <summary>How modes, times and links travel: as metadata of the objects that <c>put -r</c> makes.</summary>
internal static class FileMetadata
{
    /// <summary>Permission bits, octal.</summary>
    public const string ModeKey = "carillon-mode";

    /// <summary>Time of the last change, ISO 8601 in UTC with seven digits of the second (100 ns).</summary>
    public const string TimeKey = "carillon-mtime";

    /// <summary>A symbolic link's target, as it is written in the link.</summary>
    public const string LinkKey = "carillon-link";

    /// <summary><c>directory</c> for an object that stands for one.</summary>
    public const string TypeKey = "carillon-type";

    /// <summary>The value of <see cref="TypeKey"/>.</summary>
    public const string DirectoryType = "directory";

    // Set-user-id and set-group-id are not given back: who could put a file could otherwise get a program run as somebody else.
    private const UnixFileMode Restorable = (UnixFileMode)0x1FF | UnixFileMode.StickyBit;

    /// <summary>What is kept of an entry.</summary>
    public static ImmutableArray<KeyValuePair<string, string>> Of(FolderItem item)
    {
        if (item.Kind == FolderItemKind.Link)
        {
            var link = new FileInfo(item.Path);
            string target = link.LinkTarget ?? throw new IOException("it is not a link any more");
            return [new(LinkKey, target)];
        }

        FileSystemInfo entry = item.Kind == FolderItemKind.Directory ? new DirectoryInfo(item.Path) : new FileInfo(item.Path);
        List<KeyValuePair<string, string>> metadata =
        [
            new(ModeKey, Convert.ToString(OperatingSystem.IsWindows() ? 0x1A4 : (int)entry.UnixFileMode, 8).PadLeft(4, '0')),
            new(TimeKey, entry.LastWriteTimeUtc.ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture)),
        ];
        if (item.Kind == FolderItemKind.Directory)
        {
            metadata.Add(new(TypeKey, DirectoryType));
        }

        return [.. metadata];
    }

    /// <summary>The mode that is kept, or null.</summary>
    public static UnixFileMode? Mode(IReadOnlyDictionary<string, string>? metadata)
    {
        if (OperatingSystem.IsWindows() || metadata is null || !metadata.TryGetValue(ModeKey, out string? text)
            || text.Length is 0 or > 5 || text.AsSpan().ContainsAnyExceptInRange('0', '7'))
        {
            return null;
        }

        return (UnixFileMode)Convert.ToInt32(text, 8) & Restorable;
    }

    /// <summary>The time that is kept, or null.</summary>
    public static DateTime? Time(IReadOnlyDictionary<string, string>? metadata) =>
        metadata is not null && metadata.TryGetValue(TimeKey, out string? text)
        && DateTime.TryParse(
            text, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal | DateTimeStyles.AssumeUniversal, out DateTime time)
            ? time
            : null;

    /// <summary>Gives a file its mode and time.</summary>
    public static void Apply(SafeFileHandle file, IReadOnlyDictionary<string, string>? metadata)
    {
        if (!OperatingSystem.IsWindows() && Mode(metadata) is { } mode)
        {
            File.SetUnixFileMode(file, mode);
        }

        if (Time(metadata) is { } time)
        {
            File.SetLastWriteTimeUtc(file, time);
        }
    }
}
