using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>Numbers whose messages were here, and can't be read any more.</summary>
/// <param name="First">The first of them.</param>
/// <param name="Last">The last of them.</param>
public readonly record struct DamagedRange(SequenceNumber First, SequenceNumber Last);

/// <summary>
/// Where each batch of an archive is, about 48 bytes a batch, and the files that are open. The only part that the owner's loop shares with
/// readers on other threads: one lock, held for a search, or while a file is opened.
/// </summary>
/// <remarks>The places are in the order of their numbers, without gap or overlap, and end at the last durable number; the first may begin
/// before the first number kept.</remarks>
internal sealed class ArchiveIndex(IStorageDevice device, string folder, int maxOpenFiles)
{
    private readonly Lock _lock = new();
    private readonly List<BatchPlace> _places = [];
    private readonly List<ArchiveFile> _files = [];
    private readonly List<ArchiveFile> _open = [];
    private ulong _first = 1;
    private ulong _durable;
    private long _bytes;
    private int _holes;
    private ulong _uses;
    private bool _isClosed;

    /// <summary>The first number kept.</summary>
    public ulong First => Volatile.Read(ref _first);

    /// <summary>The last durable number.</summary>
    public ulong Durable => Volatile.Read(ref _durable);

    /// <summary>Bytes of the batches in the index.</summary>
    public long Bytes => Locked(static index => index._bytes);

    /// <summary>Batches in the index.</summary>
    public int Count => Locked(static index => index._places.Count - index._holes);

    /// <summary>True if a number that is kept can't be read.</summary>
    public bool HasDamage => Locked(static index => index._holes > 0);

    /// <summary>Files that it knows.</summary>
    public int Files => Locked(static index => index._files.Count);

    /// <summary>Empties it: numbers count from <paramref name="first"/> on. Returns the files that are not needed any more.</summary>
    public List<string> Reset(ulong first)
    {
        lock (_lock)
        {
            List<string> names = [.. _files.Select(file => file.Name)];
            _files.ForEach(Retire);
            _files.Clear();
            _places.Clear();
            (_first, _durable, _bytes, _holes) = (first, first - 1, 0, 0);
            return names;
        }
    }

    /// <summary>Adds a file, before the first of its places.</summary>
    public void Add(ArchiveFile file)
    {
        lock (_lock)
        {
            _files.Add(file);
        }
    }

    /// <summary>Adds the next batch, or the next numbers that are damaged.</summary>
    public void Append(BatchPlace place)
    {
        lock (_lock)
        {
            // The first one found at a start may begin before the first number kept.
            Invariant.That(place.Last >= place.First && (place.First == _durable + 1 || (_places.Count == 0 && place.First <= _first)));
            _places.Add(place);
            _durable = place.Last;
            Register(place, 1);
        }
    }

    /// <summary>Takes damaged numbers out of service, if that batch still is what serves them.</summary>
    public void MarkDamaged(BatchPlace place)
    {
        lock (_lock)
        {
            int at = Search(place.First);
            if (at >= 0 && _places[at] == place)
            {
                Register(place, -1);
                _places[at] = BatchPlace.Hole(place.First, place.Last);
                Register(_places[at], 1);
            }
        }
    }

    /// <summary>True if a patch found at a start has its place here.</summary>
    public bool Spans(BatchPlace patch)
    {
        lock (_lock)
        {
            return patch.Last >= _first && patch.Last <= _durable && _places.Count > 0;
        }
    }

    /// <summary>Puts a patch in place of what was there: that is known to be damaged, where it reaches further too.</summary>
    public void Replace(BatchPlace patch)
    {
        lock (_lock)
        {
            int from = _places.Count == 0 ? -1 : Search(Math.Max(patch.First, _places[0].First));
            int to = Search(patch.Last);
            Invariant.That(from >= 0 && to >= from);
            ulong first = _places[from].First;
            ulong last = _places[to].Last;
            for (int i = from; i <= to; i++)
            {
                Register(_places[i], -1);
            }

            List<BatchPlace> instead = [patch];
            if (first < patch.First)
            {
                instead.Insert(0, BatchPlace.Hole(first, patch.First - 1));
            }

            if (last > patch.Last)
            {
                instead.Add(BatchPlace.Hole(patch.Last + 1, last));
            }

            _places.RemoveRange(from, to - from + 1);
            _places.InsertRange(from, instead);
            instead.ForEach(place => Register(place, 1));
        }
    }

    /// <summary>True if all of these numbers are damaged.</summary>
    public bool IsDamaged(ulong first, ulong last)
    {
        lock (_lock)
        {
            if (_holes == 0)
            {
                return false;
            }

            int from = Search(first);
            int to = Search(last);
            return from >= 0 && to >= 0 && _places.GetRange(from, to - from + 1).TrueForAll(place => place.IsHole);
        }
    }

    /// <summary>What is damaged, in order, neighbours joined; at most so many.</summary>
    public List<DamagedRange> Damage(int limit)
    {
        var ranges = new List<DamagedRange>();
        lock (_lock)
        {
            ulong end = 0;
            for (int i = 0; i < _places.Count && _holes > 0; i++)
            {
                if (!_places[i].IsHole)
                {
                    continue;
                }

                var first = new SequenceNumber(Math.Max(_first, _places[i].First));
                var last = new SequenceNumber(_places[i].Last);
                if (ranges.Count > 0 && end + 1 == _places[i].First)
                {
                    ranges[^1] = ranges[^1] with { Last = last };
                }
                else if (ranges.Count == limit)
                {
                    break;
                }
                else
                {
                    ranges.Add(new DamagedRange(first, last));
                }

                end = last.Value;
            }
        }

        return ranges;
    }

    /// <summary>Keeps numbers from <paramref name="first"/> on. Returns the names of files that hold nothing else.</summary>
    public List<string> TrimBefore(ulong first)
    {
        var dead = new List<string>();
        lock (_lock)
        {
            _first = first;
            int count = 0;
            while (count < _places.Count && _places[count].Last < first)
            {
                Register(_places[count++], -1);
            }

            _places.RemoveRange(0, count);
            TakeDead(file => file.Last < first, dead);
        }

        return dead;
    }

    /// <summary>Names of patches whose numbers other patches hold by now.</summary>
    public List<string> TakeReplacedPatches()
    {
        var dead = new List<string>();
        lock (_lock)
        {
            TakeDead(file => file.IsPatch && file.Places == 0, dead);
        }

        return dead;
    }

    /// <summary>
    /// The first number to keep where batches written before a time, and those that are too much, are to go: the space of whole segments
    /// comes back, so it stands at the beginning of one, or behind the last.
    /// </summary>
    public ulong RetentionPoint(long before, long bytes)
    {
        lock (_lock)
        {
            ulong point = _first;
            long rest = _bytes;
            List<ArchiveFile> segments = [.. _files.Where(file => !file.IsPatch).OrderBy(file => file.Number)];
            for (int i = 0; i < segments.Count; i++)
            {
                ArchiveFile segment = segments[i];
                bool isLast = i == segments.Count - 1;

                // One without a good batch waits for repair, and ages with the next.
                long newest = segment.NewestTime > 0 ? segment.NewestTime : isLast ? long.MaxValue : segments[i + 1].FirstTime;
                if (newest >= before && (isLast || rest <= bytes))
                {
                    break;
                }

                rest -= segment.Bytes;
                point = Math.Max(point, (isLast ? _durable : segment.Last) + 1);
            }

            return point;
        }
    }

    /// <summary>Finds the batch with a number, and takes its file for reading: a success is followed by <see cref="Release"/>.</summary>
    /// <exception cref="StorageException">The file could not be opened.</exception>
    public ArchiveReadStatus Find(ulong number, out BatchPlace place, out IStorageFile? file)
    {
        lock (_lock)
        {
            place = default;
            file = null;
            if (_isClosed)
            {
                return ArchiveReadStatus.Failed;
            }

            if (number < _first)
            {
                return ArchiveReadStatus.Trimmed;
            }

            if (number > _durable)
            {
                return ArchiveReadStatus.Absent;
            }

            place = _places[Search(number)];
            if (place.File is null)
            {
                return ArchiveReadStatus.Damaged;
            }

            file = Acquire(place.File);
            return ArchiveReadStatus.Ok;
        }
    }

    /// <summary>Takes a file for a use; followed by <see cref="Release"/>.</summary>
    /// <exception cref="StorageException">It could not be opened.</exception>
    public IStorageFile Acquire(ArchiveFile file)
    {
        lock (_lock)
        {
            Invariant.That(!file.IsRetired && !_isClosed);
            if (file.Open is null)
            {
                CloseLeastUsed();
                file.Open = device.Open(folder, file.Name);
                _open.Add(file);
            }

            file.Users++;
            file.LastUse = ++_uses;
            return file.Open;
        }
    }

    /// <summary>A use has ended.</summary>
    public void Release(ArchiveFile file)
    {
        lock (_lock)
        {
            file.Users--;
            if (file.IsRetired || _isClosed)
            {
                CloseUnused(file);
            }
        }
    }

    /// <summary>Closes all files, those in use when that ends.</summary>
    public void Close()
    {
        lock (_lock)
        {
            _isClosed = true;
            foreach (ArchiveFile file in _open.ToArray())
            {
                CloseUnused(file);
            }
        }
    }

    // The place with a number, or -1.
    private int Search(ulong number)
    {
        int low = 0;
        int high = _places.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            if (_places[middle].Last < number)
            {
                low = middle + 1;
            }
            else if (_places[middle].First > number)
            {
                high = middle - 1;
            }
            else
            {
                return middle;
            }
        }

        return -1;
    }

    private void Register(in BatchPlace place, int sign)
    {
        if (place.File is not { } file)
        {
            _holes += sign;
            return;
        }

        file.Places += sign;
        file.Bytes += sign * (long)place.Bytes;
        _bytes += sign * (long)place.Bytes;
        if (sign > 0)
        {
            file.FirstTime = file.FirstTime == 0 ? place.Time : file.FirstTime;
            file.NewestTime = Math.Max(file.NewestTime, place.Time);
            file.Last = Math.Max(file.Last, place.Last);
        }
    }

    private void TakeDead(Predicate<ArchiveFile> isDead, List<string> names)
    {
        foreach (ArchiveFile file in _files.FindAll(isDead))
        {
            names.Add(file.Name);
            Retire(file);
        }

        _files.RemoveAll(isDead);
    }

    private void Retire(ArchiveFile file)
    {
        file.IsRetired = true;
        CloseUnused(file);
    }

    private void CloseUnused(ArchiveFile file)
    {
        if (file.Users == 0 && file.Open is not null)
        {
            file.Open.Dispose();
            file.Open = null;
            _open.Remove(file);
        }
    }

    // Over the limit only while more files than that are in use at this very moment: one per thread.
    private void CloseLeastUsed()
    {
        if (_open.Count >= maxOpenFiles && _open.Where(file => file.Users == 0).MinBy(file => file.LastUse) is { } oldest)
        {
            CloseUnused(oldest);
        }
    }

    private T Locked<T>(Func<ArchiveIndex, T> read)
    {
        lock (_lock)
        {
            return read(this);
        }
    }
}
