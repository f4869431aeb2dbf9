using System.Globalization;

namespace Carillon.Runtime.Guarding;

/// <summary>Looks into /proc: who descends from a process, and who holds a lock.</summary>
internal static class ProcessTree
{
    /// <summary>
    /// All descendants of a process that still run. For a process that adopts orphans these are all that its children ever started,
    /// unless a descendant adopts orphans itself, and then they are below that one.
    /// </summary>
    public static List<int> DescendantsOf(int ancestor)
    {
        var children = new Dictionary<int, List<int>>();
        foreach (int process in All())
        {
            if (ParentOf(process) is { } parent)
            {
                (children.TryGetValue(parent, out List<int>? known) ? known : children[parent] = []).Add(process);
            }
        }

        var found = new List<int>();
        var open = new Stack<int>([ancestor]);
        while (open.TryPop(out int next))
        {
            foreach (int child in children.GetValueOrDefault(next, []))
            {
                found.Add(child);
                open.Push(child);
            }
        }

        return found;
    }

    /// <summary>Processes other than this one that have a file open, which is named as the kernel names it; those of other users can't be
    /// looked into.</summary>
    public static List<int> HoldersOf(string path)
    {
        var found = new List<int>();
        foreach (int process in All())
        {
            if (process != Environment.ProcessId && Holds(process, path))
            {
                found.Add(process);
            }
        }

        return found;
    }

    private static bool Holds(int process, string path)
    {
        try
        {
            return Directory.EnumerateFiles(Folder(process) + "/fd")
                .Any(link => File.ResolveLinkTarget(link, returnFinalTarget: false)?.FullName == path);
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            // It has ended meanwhile, or is another user's.
            return false;
        }
    }

    private static IEnumerable<int> All()
    {
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (int.TryParse(Path.GetFileName(folder.AsSpan()), NumberStyles.None, CultureInfo.InvariantCulture, out int process))
            {
                yield return process;
            }
        }
    }

    /// <summary>The parent of a process that runs; a zombie has ended, and waits only to be reaped.</summary>
    private static int? ParentOf(int process)
    {
        try
        {
            // proc(5): "pid (name) state parent …", and the name may have any characters.
            ReadOnlySpan<char> text = File.ReadAllText(Folder(process) + "/stat");
            ReadOnlySpan<char> rest = text[(text.LastIndexOf(')') + 2)..];
            int end = rest[2..].IndexOf(' ');
            return rest[0] is 'Z' or 'X' ? null : int.Parse(rest.Slice(2, end), CultureInfo.InvariantCulture);
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    private static string Folder(int process) => string.Create(CultureInfo.InvariantCulture, $"/proc/{process}");
}
