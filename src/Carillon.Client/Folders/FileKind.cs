using System.Runtime.InteropServices;

namespace Carillon.Client.Folders;

/// <summary>Tells regular files from pipes, sockets and devices, which the framework does not.</summary>
internal static partial class FileKind
{
    private const int CurrentDirectory = -100;
    private const int NoAutomount = 0x800;
    private const uint TypeMask = 1;
    private const ushort TypeBits = 0xF000;
    private const ushort Regular = 0x8000;

    /// <summary>True for a regular file, and where it can't be told.</summary>
    public static bool IsRegular(string path) =>
        !OperatingSystem.IsLinux() || StatX(CurrentDirectory, path, NoAutomount, TypeMask, out Status status) != 0
        || (status.Mode & TypeBits) == Regular;

    [LibraryImport("libc", EntryPoint = "statx", StringMarshalling = StringMarshalling.Utf8)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static partial int StatX(int directory, string path, int flags, uint mask, out Status status);

    // struct statx of linux/stat.h: the same on every architecture, 256 bytes, the mode at 28.
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct Status
    {
        [FieldOffset(28)]
        public ushort Mode;
    }
}
