using Carillon.Protocols;

namespace Carillon.Storage.Tests.Devices;

/// <summary>
/// A device whose calls hold a lock, so that a test can look at the disk between two of them. Long writes are made in two parts, and
/// the first is sometimes flushed: the kernel may write back any part of them at any time.
/// </summary>
internal sealed class GatedDevice(IStorageDevice device, Lock gate, RandomSource random) : IStorageDevice
{
    private readonly Lock _gate = gate;
    private readonly RandomSource _random = random;

    public long FreeBytes => device.FreeBytes;

    public IReadOnlyList<string> List(string folder) => Do(() => device.List(folder));

    public IStorageFile Open(string folder, string name) => Do(() => new GatedFile(this, device.Open(folder, name)));

    public void Delete(string folder, string name) => Do(() => device.Delete(folder, name));

    public void Rename(string folder, string from, string to) => Do(() => device.Rename(folder, from, to));

    public void FlushFolder(string folder) => Do(() => device.FlushFolder(folder));

    private void Do(Action call)
    {
        lock (_gate)
        {
            call();
        }
    }

    private T Do<T>(Func<T> call)
    {
        lock (_gate)
        {
            return call();
        }
    }

    private sealed class GatedFile(GatedDevice owner, IStorageFile file) : IStorageFile
    {
        public long Length => file.Length;

        public int Read(long offset, Span<byte> into) => file.Read(offset, into);

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            int first = Part(bytes.Length, out bool flush);
            lock (owner._gate)
            {
                file.Write(offset, bytes[..first]);
                if (flush)
                {
                    file.Flush();
                }
            }

            lock (owner._gate)
            {
                file.Write(offset + first, bytes[first..]);
            }
        }

        public void SetLength(long length) => owner.Do(() => file.SetLength(length));

        public void Flush() => owner.Do(file.Flush);

        public void Dispose() => file.Dispose();

        private int Part(int bytes, out bool flush)
        {
            lock (owner._gate)
            {
                flush = owner._random.Chance(0.1);
                return bytes < 8192 ? bytes : 4096 * (1 + owner._random.Below((bytes / 4096) - 1));
            }
        }
    }
}
