using Carillon.Storage;
using Microsoft.Win32.SafeHandles;

namespace Carillon.Runtime.Storage;

/// <summary>An open file of a <see cref="FileDevice"/>, read and written at given places: threads don't share a position.</summary>
internal sealed class DeviceFile(string path, SafeFileHandle handle) : IStorageFile
{
    /// <inheritdoc/>
    public long Length => DeviceErrors.Translate(path, handle, static handle => RandomAccess.GetLength(handle));

    /// <inheritdoc/>
    public int Read(long offset, Span<byte> into)
    {
        try
        {
            int done = 0;
            while (done < into.Length)
            {
                int count = RandomAccess.Read(handle, into[done..], offset + done);
                if (count == 0)
                {
                    break;
                }

                done += count;
            }

            return done;
        }
        catch (Exception e) when (DeviceErrors.IsOfDevice(e))
        {
            throw DeviceErrors.Translated(path, e);
        }
    }

    /// <inheritdoc/>
    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        try
        {
            RandomAccess.Write(handle, bytes, offset);
        }
        catch (Exception e) when (DeviceErrors.IsOfDevice(e))
        {
            throw DeviceErrors.Translated(path, e);
        }
    }

    /// <inheritdoc/>
    public void SetLength(long length) => DeviceErrors.Translate(path, handle, handle =>
    {
        RandomAccess.SetLength(handle, length);
        return true;
    });

    /// <inheritdoc/>
    public void Flush() => NativeFlush.Data(path, handle);

    /// <inheritdoc/>
    public void Forget(long offset, long length) => NativeFlush.Forget(handle, offset, length);

    /// <inheritdoc/>
    public void Dispose() => handle.Dispose();
}
