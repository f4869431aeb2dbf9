using System.Diagnostics;
using Xunit;

namespace Carillon.Storage.Tests.Devices;

/// <summary>
/// A file system mounted for a test, and unmounted with it. Needs root, Linux and the usual tools; the test is skipped otherwise.
/// </summary>
internal sealed class Mount : IDisposable
{
    private Mount(string point) => Point = point;

    public string Point { get; }

    /// <summary>Makes an ext4 file system in a new image file.</summary>
    public static void MakeImage(string image, long bytes)
    {
        RequireTools();
        using (FileStream file = File.Create(image))
        {
            file.SetLength(bytes);
        }

        RequireSuccess("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
    }

    /// <summary>Mounts an image.</summary>
    public static Mount OfImage(string image, string point) => Of(point, "-o", "loop", image);

    /// <summary>Mounts an empty file system in memory.</summary>
    public static Mount OfMemory(string point, string options)
    {
        RequireTools();
        return Of(point, "-t", "tmpfs", "-o", options, "tmpfs");
    }

    public void Remount(string options) => RequireSuccess("mount", "-o", "remount," + options, Point);

    public void Dispose()
    {
        (int code, string error) = Run("umount", Point);
        if (code != 0)
        {
            // Rather a lazy end than a mount that outlives the test.
            Run("umount", "-l", Point);
            Assert.Fail($"umount {Point}: {error}");
        }

        Directory.Delete(Point);
    }

    private static Mount Of(string point, params string[] arguments)
    {
        Directory.CreateDirectory(point);
        (int code, string error) = Run("mount", [.. arguments, point]);
        if (code != 0)
        {
            Directory.Delete(point);
            Assert.Skip($"mount is not possible here: {error}");
        }

        return new Mount(point);
    }

    private static void RequireTools()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux() && Environment.IsPrivilegedProcess, "Needs root on Linux, to mount a file system.");
        foreach (string tool in (string[])["mkfs.ext4", "mount", "umount"])
        {
            Assert.SkipUnless(ToolFolders().Any(folder => File.Exists(Path.Combine(folder, tool))), $"Needs {tool}.");
        }
    }

    private static IEnumerable<string> ToolFolders() =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':', StringSplitOptions.RemoveEmptyEntries).Concat(["/usr/sbin", "/sbin"]);

    private static void RequireSuccess(string tool, params string[] arguments)
    {
        (int code, string error) = Run(tool, arguments);
        Assert.True(code == 0, $"{tool}: {error}");
    }

    private static (int Code, string Error) Run(string tool, params string[] arguments)
    {
        string path = ToolFolders().Select(folder => Path.Combine(folder, tool)).First(File.Exists);
        var start = new ProcessStartInfo(path, arguments) { RedirectStandardError = true, UseShellExecute = false };
        using Process process = Process.Start(start)!;
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, error.Trim());
    }
}
