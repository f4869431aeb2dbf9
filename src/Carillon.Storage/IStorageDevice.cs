namespace Carillon.Storage;

/// <summary>Why a device refused.</summary>
public enum StorageFault
{
    /// <summary>No space, or over quota: what was there is still good.</summary>
    Full,

    /// <summary>The device is read-only.</summary>
    ReadOnly,

    /// <summary>A read, write or flush failed: the store that met it is not to be trusted again.</summary>
    Failed,
}

/// <summary>What a device says when it can't do what it was asked. The stores translate it; it never passes an interface of
/// Node's.</summary>
public sealed class StorageException : Exception
{
    public StorageException(StorageFault fault, string message, Exception? inner = null) : base(message, inner) => Fault = fault;

    public StorageException() : this(StorageFault.Failed, "The device failed.")
    {
    }

    public StorageException(string message) : this(StorageFault.Failed, message)
    {
    }

    public StorageException(string message, Exception inner) : this(StorageFault.Failed, message, inner)
    {
    }

    public StorageFault Fault { get; }
}

/// <summary>
/// A disk as the stores see it: named files in one flat folder per store. All calls block; the stores hand work to their driver,
/// which calls from flusher and data-plane threads (real) or inline (simulated). Different files may be used from different
/// threads at once, and one file may be read while it is written.
/// </summary>
public interface IStorageDevice
{
    /// <summary>Names of the files in a folder, in ordinal order; none if the folder does not exist.</summary>
    IReadOnlyList<string> List(string folder);

    /// <summary>Opens a file, made if it is not there (and its folder).</summary>
    IStorageFile Open(string folder, string name);

    /// <summary>Removes a file; what is not there stays away.</summary>
    void Delete(string folder, string name);

    /// <summary>Gives a file another name, in place of any file of that name. Durable after <see cref="FlushFolder"/>.</summary>
    void Rename(string folder, string from, string to);

    /// <summary>Makes creations, deletions and renames in a folder durable.</summary>
    void FlushFolder(string folder);

    /// <summary>Bytes that can still be written.</summary>
    long FreeBytes { get; }
}

/// <summary>One open file.</summary>
public interface IStorageFile : IDisposable
{
    /// <summary>Its length in bytes.</summary>
    long Length { get; }

    /// <summary>Reads up to the span's length; fewer only at the end of the file.</summary>
    int Read(long offset, Span<byte> into);

    /// <summary>Writes all of the bytes, not durable before <see cref="Flush"/>.</summary>
    void Write(long offset, ReadOnlySpan<byte> bytes);

    /// <summary>Cuts or extends (with zeros) the file.</summary>
    void SetLength(long length);

    /// <summary>Makes everything written so far durable. After a failure nothing written since the last success may be relied
    /// upon.</summary>
    void Flush();

    /// <summary>A hint: what is there is durable and will hardly be read soon, so that the system need not keep it in memory.</summary>
    void Forget(long offset, long length)
    {
    }
}
