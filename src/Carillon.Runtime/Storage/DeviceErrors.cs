using Carillon.Storage;

namespace Carillon.Runtime.Storage;

/// <summary>Turns what the operating system says into a <see cref="StorageException"/>, at the only edge where it may appear.</summary>
internal static class DeviceErrors
{
    // The kernel's numbers, the same on every Linux that .NET runs on (errno-base.h, errno.h), and on macOS but for the last.
    private const int OutOfSpace = 28; // ENOSPC
    private const int ReadOnlyFileSystem = 30; // EROFS
    private const int OverQuota = 122; // EDQUOT
    private const int OverQuotaOfMac = 69; // EDQUOT

    // Windows: ERROR_DISK_FULL, ERROR_HANDLE_DISK_FULL, ERROR_WRITE_PROTECT as HRESULTs.
    private const int WindowsDiskFull = unchecked((int)0x80070070);
    private const int WindowsHandleDiskFull = unchecked((int)0x80070027);
    private const int WindowsWriteProtected = unchecked((int)0x80070013);

    /// <summary>True for exceptions that files throw because of the device, not because of a bug of their caller.</summary>
    public static bool IsOfDevice(Exception e) => e is IOException or UnauthorizedAccessException;

    /// <summary>What became of an operation on a path.</summary>
    public static StorageException Translated(string path, Exception e)
    {
        // .NET keeps the system's own number in HResult where it has no better type for it.
        StorageFault fault = FaultOf(e.HResult);
        if (fault == StorageFault.Failed && e.InnerException is { } inner)
        {
            fault = FaultOf(inner.HResult);
        }

        return new StorageException(fault, $"{Describe(fault)}: {path}: {e.Message}", e);
    }

    /// <summary>What became of a call that left an error number.</summary>
    public static StorageException Translated(string path, int errorNumber) =>
        new(FaultOf(errorNumber), $"{Describe(FaultOf(errorNumber))}: {path}: error {errorNumber}");

    public static T Translate<T>(string path, Func<string, T> operation) => Translate(path, path, operation);

    public static T Translate<TOn, T>(string path, TOn on, Func<TOn, T> operation)
    {
        try
        {
            return operation(on);
        }
        catch (Exception e) when (IsOfDevice(e))
        {
            throw Translated(path, e);
        }
    }

    private static StorageFault FaultOf(int code) => code switch
    {
        OutOfSpace or WindowsDiskFull or WindowsHandleDiskFull => StorageFault.Full,
        OverQuota when !OperatingSystem.IsMacOS() => StorageFault.Full,
        OverQuotaOfMac when OperatingSystem.IsMacOS() => StorageFault.Full,
        ReadOnlyFileSystem or WindowsWriteProtected => StorageFault.ReadOnly,
        _ => StorageFault.Failed,
    };

    private static string Describe(StorageFault fault) => fault switch
    {
        StorageFault.Full => "The disk is full",
        StorageFault.ReadOnly => "The disk is read-only",
        _ => "The disk failed",
    };
}
