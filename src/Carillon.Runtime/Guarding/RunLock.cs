using System.Globalization;

namespace Carillon.Runtime.Guarding;

/// <summary>
/// The lock that a run holds, and that all it starts inherits: it is free only when nothing of the run is left, even where the guard was
/// killed. What closes all its descriptors by itself escapes it.
/// </summary>
internal static class RunLock
{
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(10);

    /// <summary>Kills whatever has inherited a run's lock.</summary>
    public static void KillHolders(string path)
    {
        foreach (int holder in ProcessTree.HoldersOf(KernelName(path)))
        {
            NativeProcesses.Signal(holder, NativeProcesses.SignalKill);
        }
    }

    /// <summary>Kills them until none is left.</summary>
    public static async Task ClearAsync(string path)
    {
        while (!IsFree(path))
        {
            KillHolders(path);
            await Task.Delay(Look);
        }
    }

    private static bool IsFree(string path)
    {
        int file = NativeProcesses.OpenLock(path);
        if (file < 0)
        {
            return true;
        }

        bool free = NativeProcesses.TryLock(file);
        NativeProcesses.CloseFile(file);
        return free;
    }

    // A data directory may be reached by a symbolic link; /proc has names without any.
    private static string KernelName(string path)
    {
        int file = NativeProcesses.OpenLock(path);
        if (file < 0)
        {
            return path;
        }

        try
        {
            return File.ResolveLinkTarget(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fd/{file}"), false)?.FullName ?? path;
        }
        finally
        {
            NativeProcesses.CloseFile(file);
        }
    }
}
