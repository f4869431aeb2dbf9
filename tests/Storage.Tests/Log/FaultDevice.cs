using Carillon.Protocols;

namespace Carillon.Storage.Tests.Log;

/// <summary>
/// A disk in memory with a page cache: what was not flushed is lost, kept or torn by 512-byte sectors, page by page, when the power
/// goes. Names that were not made durable go either way.
/// </summary>
internal sealed class FaultDevice : IStorageDevice
{
    public const int Page = 4096;
    private const int Sector = 512;

    private SortedDictionary<(string Folder, string Name), Content> _names = [];
    private SortedDictionary<(string Folder, string Name), Content> _durableNames = [];

    public long Capacity { get; set; } = long.MaxValue;

    /// <summary>The next flushes of files throw this, then succeed again.</summary>
    public Queue<StorageException> FlushFailures { get; } = new();

    /// <summary>The next writes throw this.</summary>
    public Queue<StorageException> WriteFailures { get; } = new();

    /// <summary>File flushes so far.</summary>
    public int Flushes { get; private set; }

    public long FreeBytes => Capacity - _names.Values.Sum(content => (long)content.Length);

    public IReadOnlyList<string> List(string folder) =>
        [.. _names.Keys.Where(key => key.Folder == folder).Select(key => key.Name).Order(StringComparer.Ordinal)];

    public IStorageFile Open(string folder, string name)
    {
        if (!_names.TryGetValue((folder, name), out Content? content))
        {
            _names[(folder, name)] = content = new Content();
        }

        return new OpenFile(this, content);
    }

    public void Delete(string folder, string name) => _names.Remove((folder, name));

    public void Rename(string folder, string from, string to)
    {
        _names[(folder, to)] = _names[(folder, from)];
        _names.Remove((folder, from));
    }

    public void FlushFolder(string folder) => _durableNames = new(_names);

    /// <summary>The bytes of a file as they are now, to be spoiled by a test.</summary>
    public Span<byte> Bytes(string folder, string name) => _names[(folder, name)].Written;

    /// <summary>Makes a file of these bytes, durably.</summary>
    public void Put(string folder, string name, byte[] bytes)
    {
        _names[(folder, name)] = new Content { Bytes = bytes, Length = bytes.Length, Durable = [.. bytes] };
        _durableNames = new(_names);
    }

    /// <summary>The power goes: each unflushed page by itself is lost, kept or torn.</summary>
    public void CutPower(RandomSource random)
    {
        _names = new(random.Chance(0.5) ? _durableNames : _names);
        _durableNames = new(_names);
        foreach (Content content in _names.Values)
        {
            content.CutPower(random);
        }
    }

    private sealed class Content
    {
        /// <summary>What the file holds, and room to grow.</summary>
        public byte[] Bytes { get; set; } = [];

        public int Length { get; set; }

        public Span<byte> Written => Bytes.AsSpan(0, Length);

        public byte[] Durable { get; set; } = [];

        public SortedSet<int> Dirty { get; } = [];

        public void Flush()
        {
            byte[] durable = Durable;
            Array.Resize(ref durable, Length);
            foreach (int page in Dirty)
            {
                int start = page * Page;
                int length = Math.Min(Page, Length - start);
                Bytes.AsSpan(start, length).CopyTo(durable.AsSpan(start));
            }

            Durable = durable;
            Dirty.Clear();
        }

        public void CutPower(RandomSource random)
        {
            byte[] after = Durable;
            Array.Resize(ref after, random.Chance(0.5) ? Math.Max(Durable.Length, Length) : Durable.Length);
            foreach (int page in Dirty)
            {
                int fate = random.Below(3);
                for (int start = page * Page; start < Math.Min((page + 1) * Page, Math.Min(after.Length, Length)); start += Sector)
                {
                    if (fate == 1 || (fate == 2 && random.Chance(0.5)))
                    {
                        int length = Math.Min(Sector, Math.Min(after.Length, Length) - start);
                        Bytes.AsSpan(start, length).CopyTo(after.AsSpan(start));
                    }
                }
            }

            (Bytes, Length, Durable) = ([.. after], after.Length, after);
            Dirty.Clear();
        }
    }

    private sealed class OpenFile(FaultDevice device, Content content) : IStorageFile
    {
        public long Length => content.Length;

        public int Read(long offset, Span<byte> into)
        {
            int count = (int)Math.Clamp(content.Length - offset, 0, into.Length);
            content.Bytes.AsSpan((int)Math.Min(offset, content.Length), count).CopyTo(into);
            return count;
        }

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            if (device.WriteFailures.TryDequeue(out StorageException? failure))
            {
                throw failure;
            }

            long end = offset + bytes.Length;
            if (end > content.Length)
            {
                if (end - content.Length > device.FreeBytes)
                {
                    throw new StorageException(StorageFault.Full, "The disk is full.");
                }

                SetLength(end);
            }

            bytes.CopyTo(content.Bytes.AsSpan((int)offset));
            for (int page = (int)(offset / Page); page <= (int)((end - 1) / Page) && end > offset; page++)
            {
                content.Dirty.Add(page);
            }
        }

        public void SetLength(long length)
        {
            if (length > content.Bytes.Length)
            {
                byte[] longer = content.Bytes;
                Array.Resize(ref longer, (int)Math.Max(length, longer.Length * 2L));
                content.Bytes = longer;
            }

            content.Bytes.AsSpan((int)Math.Min(length, content.Length)..).Clear();
            content.Length = (int)length;
        }

        public void Flush()
        {
            device.Flushes++;
            if (device.FlushFailures.TryDequeue(out StorageException? failure))
            {
                // As kernels do: the pages count as clean from now on, and are not on the disk.
                content.Dirty.Clear();
                throw failure;
            }

            content.Flush();
        }

        public void Dispose()
        {
            // Nothing is held: a file of this disk can be opened any number of times.
        }
    }
}
