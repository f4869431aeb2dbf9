using System.Runtime.InteropServices;
using Carillon.Protocols;

namespace Carillon.Simulator.World;

/// <summary>How much of what was not flushed a power cut leaves behind.</summary>
internal enum CrashStyle
{
    /// <summary>Nothing of it.</summary>
    LoseAll,

    /// <summary>All of it: the disk had written everything back by itself.</summary>
    KeepAll,

    /// <summary>Each page by itself, whole.</summary>
    AnyPages,

    /// <summary>Each sector by itself: pages may be torn.</summary>
    AnySectors,
}

/// <summary>
/// One file's bytes, twice: as its writers see them (the page cache), and as the disk has them. A flush makes the second like the first; a
/// power cut makes the first like the second, except that any of the pages in between may have reached the disk, or a part of one.
/// </summary>
/// <remarks>Pages are shared between the two images until one is written, and a page of zeros is no page at all, so that prepared segments
/// cost nothing.</remarks>
internal sealed class SimulatedInode
{
    /// <summary>What a page cache writes back at once, in bytes.</summary>
    public const int PageSize = 4096;

    // The most that a disk promises to write whole, in bytes.
    private const int SectorSize = 512;

    private static readonly byte[] Zeros = new byte[PageSize];

    private readonly List<byte[]?> _live = [];
    private readonly List<byte[]?> _durable = [];

    // Pages whose live array is this inode's own, written since the last flush.
    private readonly SortedSet<int> _dirty = [];

    // Flush count at which each page last became durable; what is old enough is where rot may strike.
    private readonly Dictionary<int, long> _flushedAt = [];

    private long _flushes;

    /// <summary>Length as its writers see it.</summary>
    public long Length { get; private set; }

    /// <summary>Where its last flush stands among all flushes of its disk.</summary>
    public long LastFlush { get; set; }

    /// <summary>Length on the disk.</summary>
    public long DurableLength { get; private set; }

    /// <summary>Pages that a flush would write.</summary>
    public int DirtyPages => _dirty.Count;

    /// <summary>Reads what was written, flushed or not.</summary>
    public int Read(long offset, Span<byte> into) => ReadImage(_live, Length, offset, into);

    /// <summary>Reads what would survive a power cut for certain.</summary>
    public int ReadDurable(long offset, Span<byte> into) => ReadImage(_durable, DurableLength, offset, into);

    /// <summary>Writes into the page cache.</summary>
    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        Length = Math.Max(Length, offset + bytes.Length);
        Extend(_live, Length);
        while (bytes.Length > 0)
        {
            int page = (int)(offset / PageSize);
            int within = (int)(offset % PageSize);
            ReadOnlySpan<byte> part = bytes[..Math.Min(bytes.Length, PageSize - within)];
            WritePage(page, within, part);
            bytes = bytes[part.Length..];
            offset += part.Length;
        }
    }

    /// <summary>Cuts, or extends with zeros.</summary>
    public void SetLength(long length)
    {
        if (length < Length)
        {
            int pages = PagesOf(length);
            CollectionsMarshal.SetCount(_live, Math.Min(_live.Count, pages));
            _dirty.RemoveWhere(page => page >= pages);
            int rest = (int)(length % PageSize);
            if (rest > 0)
            {
                WritePage(pages - 1, rest, Zeros.AsSpan(rest));
            }
        }

        Length = length;
        Extend(_live, length);
    }

    /// <summary>Makes everything durable.</summary>
    public void Flush()
    {
        _flushes++;
        AlignDurable();
        foreach (int page in _dirty)
        {
            MakeDurable(page);
        }

        _dirty.Clear();
    }

    /// <summary>
    /// A flush that fails, as Linux does it: some pages reached the disk, the others are marked clean all the same, so that the next flush
    /// says "success" and the disk never gets them.
    /// </summary>
    public void FailFlush(RandomSource random)
    {
        _flushes++;
        if (random.Chance(0.5))
        {
            AlignDurable();
        }

        foreach (int page in _dirty)
        {
            if (page < _durable.Count && random.Chance(0.5))
            {
                MakeDurable(page);
            }
        }

        _dirty.Clear();
    }

    /// <summary>The power fails: what the disk has is all there is.</summary>
    public void CutPower(CrashStyle style, RandomSource random)
    {
        SettleLength(style, random);
        foreach (int page in _dirty)
        {
            if (page >= _durable.Count)
            {
                continue;
            }

            switch (style)
            {
                case CrashStyle.LoseAll:
                    break;
                case CrashStyle.KeepAll:
                    MakeDurable(page);
                    break;
                case CrashStyle.AnyPages:
                    if (random.Chance(0.5))
                    {
                        MakeDurable(page);
                    }

                    break;
                case CrashStyle.AnySectors:
                    TearPage(page, random);
                    break;
            }
        }

        _dirty.Clear();
        _live.Clear();
        _live.AddRange(_durable);
        Length = DurableLength;
    }

    /// <summary>A file that holds what this one has on the disk; the pages are shared.</summary>
    public SimulatedInode DurableClone()
    {
        var clone = new SimulatedInode { Length = DurableLength, DurableLength = DurableLength };
        clone._durable.AddRange(_durable);
        clone._live.AddRange(_durable);
        return clone;
    }

    /// <summary>A page that became durable at least <paramref name="flushesAgo"/> flushes ago and holds more than zeros, or -1.</summary>
    public int PickSettledPage(RandomSource random, int flushesAgo)
    {
        if (_durable.Count == 0)
        {
            return -1;
        }

        int start = random.Below(_durable.Count);
        for (int i = 0; i < _durable.Count; i++)
        {
            int page = (start + i) % _durable.Count;
            if (IsSettled(page, flushesAgo))
            {
                return page;
            }
        }

        return -1;
    }

    /// <summary>The newest of those pages, or -1.</summary>
    public int NewestSettledPage(int flushesAgo)
    {
        int newest = -1;
        for (int page = 0; page < _durable.Count; page++)
        {
            if (IsSettled(page, flushesAgo) && (newest < 0 || _flushedAt[page] > _flushedAt[newest]))
            {
                newest = page;
            }
        }

        return newest;
    }

    /// <summary>Flips one bit of a settled page, on the disk and in the cache.</summary>
    public void Rot(int page, int bit)
    {
        byte[] rotten = (byte[])_durable[page]!.Clone();
        rotten[bit / 8] ^= (byte)(1 << (bit % 8));
        _durable[page] = rotten;
        _live[page] = rotten;
    }

    private bool IsSettled(int page, int flushesAgo) =>
        _flushedAt.TryGetValue(page, out long at) && at + flushesAgo <= _flushes
        && page < _live.Count && _durable[page] is not null && ReferenceEquals(_durable[page], _live[page]);

    /// <summary>A bit of a page that holds something there: what is read rests on few of a page's bytes, where most of them are
    /// zero.</summary>
    public int PickBit(int page, RandomSource random)
    {
        ReadOnlySpan<byte> bytes = _durable[page];
        int used = bytes.LastIndexOfAnyExcept((byte)0) + 1;
        return random.Below(Math.Max(1, used) * 8);
    }

    private static int ReadImage(List<byte[]?> image, long length, long offset, Span<byte> into)
    {
        int total = (int)Math.Clamp(length - offset, 0, into.Length);
        for (int done = 0; done < total;)
        {
            int page = (int)((offset + done) / PageSize);
            int within = (int)((offset + done) % PageSize);
            int count = Math.Min(total - done, PageSize - within);
            (image[page] ?? Zeros).AsSpan(within, count).CopyTo(into[done..]);
            done += count;
        }

        return total;
    }

    private static int PagesOf(long length) => (int)((length + PageSize - 1) / PageSize);

    private static void Extend(List<byte[]?> image, long length) =>
        CollectionsMarshal.SetCount(image, Math.Max(image.Count, PagesOf(length)));

    private void WritePage(int page, int within, ReadOnlySpan<byte> part)
    {
        if (_dirty.Add(page))
        {
            byte[]? shared = _live[page];
            bool zeroStays = shared is null && part.IndexOfAnyExcept((byte)0) < 0;
            if (zeroStays)
            {
                return;
            }

            _live[page] = shared is null || part.Length == PageSize ? new byte[PageSize] : (byte[])shared.Clone();
        }
        else if (_live[page] is null)
        {
            if (part.IndexOfAnyExcept((byte)0) < 0)
            {
                return;
            }

            _live[page] = new byte[PageSize];
        }

        part.CopyTo(_live[page].AsSpan(within));
    }

    private void AlignDurable()
    {
        int pages = PagesOf(Length);
        CollectionsMarshal.SetCount(_durable, pages);
        DurableLength = Length;
    }

    private void MakeDurable(int page)
    {
        _durable[page] = _live[page];
        _flushedAt[page] = _flushes;
    }

    private void SettleLength(CrashStyle style, RandomSource random)
    {
        bool keep = style == CrashStyle.KeepAll || (style != CrashStyle.LoseAll && random.Chance(0.5));
        if (!keep)
        {
            return;
        }

        if (Length > DurableLength && style != CrashStyle.KeepAll)
        {
            // A growing file may have any of the lengths in between.
            long between = DurableLength + random.Below(Length - DurableLength + 1);
            CollectionsMarshal.SetCount(_durable, PagesOf(between));
            DurableLength = between;
            return;
        }

        AlignDurable();
    }

    private void TearPage(int page, RandomSource random)
    {
        byte[] torn = (byte[])(_durable[page] ?? Zeros).Clone();
        byte[] written = _live[page] ?? Zeros;
        for (int sector = 0; sector < PageSize; sector += SectorSize)
        {
            if (random.Chance(0.5))
            {
                written.AsSpan(sector, SectorSize).CopyTo(torn.AsSpan(sector));
            }
        }

        _durable[page] = torn;
        _flushedAt[page] = _flushes;
    }
}
