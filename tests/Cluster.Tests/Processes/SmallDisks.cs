using System.Diagnostics;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>Folders that are file systems of their own, of a few megabytes: what fills one leaves the rest of the machine alone.</summary>
internal sealed class SmallDisks : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private readonly List<string> _mounted = [];

    /// <summary>Mounts one at each folder.</summary>
    public SmallDisks(IEnumerable<string> folders, int mebibytes)
    {
        try
        {
            foreach (string folder in folders)
            {
                Directory.CreateDirectory(folder);
                Assert.Equal(0, Run("mount", "-t", "tmpfs", "-o", $"size={mebibytes}m", "carillon-test", folder));
                _mounted.Add(folder);
            }
        }
        catch
        {
            Dispose();
            throw;
        }
    }

    /// <summary>True if this process may mount.</summary>
    public static bool IsPossible { get; } = OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess && CanMount();

    public void Dispose()
    {
        foreach (string folder in _mounted)
        {
            // Lazily: a server that is being killed may hold files for a moment yet.
            Run("umount", "-l", folder);
        }

        _mounted.Clear();
    }

    private static bool CanMount()
    {
        string folder = Directory.CreateTempSubdirectory("carillon-mount-").FullName;
        try
        {
            return Run("mount", "-t", "tmpfs", "-o", "size=1m", "carillon-test", folder) == 0 && Run("umount", folder) == 0;
        }
        finally
        {
            Directory.Delete(folder);
        }
    }

    private static int Run(string program, params string[] arguments)
    {
        try
        {
            var start = new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false };
            using Process process = Process.Start(start)!;
            return process.WaitForExit(Patience) ? process.ExitCode : -1;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return -1;
        }
    }
}
