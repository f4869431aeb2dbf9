using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Carillon.Runtime.Storage;

/// <summary>
/// Flushes that the framework does not offer: fdatasync, which spares the journal commit that fsync makes for a changed time stamp, and
/// fsync of a folder.
/// </summary>
internal static partial class NativeFlush
{
    private const int Interrupted = 4; // EINTR
    private const int NotNeeded = 4; // POSIX_FADV_DONTNEED of Linux
    private const int ReadOnlyAccess = 0; // O_RDONLY
    private const int CloseOnExec = 0x80000; // O_CLOEXEC of Linux, on every architecture that .NET runs on

    /// <summary>Makes a file's bytes, and as much of its metadata as finding them takes, durable.</summary>
    /// <exception cref="Carillon.Storage.StorageException">The device refused.</exception>
    public static void Data(string path, SafeFileHandle file)
    {
        if (OperatingSystem.IsLinux())
        {
            while (FlushData(file) != 0)
            {
                ThrowUnlessInterrupted(path);
            }

            return;
        }

        DeviceErrors.Translate(path, file, static file =>
        {
            RandomAccess.FlushToDisk(file);
            return true;
        });
    }

    /// <summary>Gives back the memory in which the system keeps a part of a file that is durable. A hint: what comes of it does not
    /// matter.</summary>
    public static void Forget(SafeFileHandle file, long offset, long length)
    {
        if (OperatingSystem.IsLinux() && Environment.Is64BitProcess)
        {
            _ = Advise(file, offset, length, NotNeeded);
        }
    }

    /// <summary>Makes a folder's entries durable. Windows does that by itself with the file.</summary>
    /// <exception cref="Carillon.Storage.StorageException">The device refused.</exception>
    public static void Folder(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        int descriptor = OpenPath(path, OperatingSystem.IsLinux() ? ReadOnlyAccess | CloseOnExec : ReadOnlyAccess);
        if (descriptor < 0)
        {
            throw DeviceErrors.Translated(path, Marshal.GetLastPInvokeError());
        }

        using var folder = new SafeFileHandle(descriptor, ownsHandle: true);
        while (FlushAll(folder) != 0)
        {
            ThrowUnlessInterrupted(path);
        }
    }

    private static void ThrowUnlessInterrupted(string path)
    {
        int error = Marshal.GetLastPInvokeError();
        if (error != Interrupted)
        {
            throw DeviceErrors.Translated(path, error);
        }
    }

    [LibraryImport("libc", EntryPoint = "posix_fadvise")]
    private static partial int Advise(SafeFileHandle file, long offset, long length, int advice);

    [LibraryImport("libc", EntryPoint = "fdatasync", SetLastError = true)]
    private static partial int FlushData(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int FlushAll(SafeFileHandle file);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int OpenPath(string path, int flags);
}
