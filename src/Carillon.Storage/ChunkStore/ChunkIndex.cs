using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <summary>Where one chunk is: 48 bytes, no references, so that millions cost the collector nothing.</summary>
internal struct IndexEntry
{
    public ChunkId Id;
    public uint Segment;
    public uint Offset;
    public uint Length;
    public byte Replicas;
}

/// <summary>
/// The chunks in order of their ids: a sorted list of leaves of up to <see cref="LeafEntries"/> entries. Lookups are two binary
/// searches; leaves grow in small steps, so that a chunk costs about 52 bytes; walks in order cost nothing extra, and repair,
/// scrubbing and collection are such walks.
/// </summary>
internal sealed class ChunkIndex
{
    // A split leaf is moved once per 256 inserts, an insert shifts 12 KB on average at worst: both well under a microsecond.
    private const int LeafEntries = 512;

    // With steps of 32 of up to 512 entries a leaf is 95 % full on average.
    private const int GrowthStep = 32;

    private readonly List<Leaf> _leaves = [];
    private readonly List<ChunkId> _firsts = [];

    public int Count { get; private set; }

    /// <summary>The entry of a chunk, or a null reference.</summary>
    public ref IndexEntry Find(ChunkId id)
    {
        int leaf = LeafOf(id);
        if (leaf >= 0)
        {
            int place = _leaves[leaf].Search(id);
            if (place >= 0)
            {
                return ref _leaves[leaf].Entries[place];
            }
        }

        return ref System.Runtime.CompilerServices.Unsafe.NullRef<IndexEntry>();
    }

    /// <summary>Adds a chunk that is not there yet.</summary>
    public void Add(IndexEntry entry)
    {
        int leaf = LeafOf(entry.Id);
        if (leaf < 0)
        {
            if (_leaves.Count == 0)
            {
                _leaves.Add(new Leaf());
                _firsts.Add(entry.Id);
            }

            leaf = 0;
        }

        int place = _leaves[leaf].Search(entry.Id);
        Invariant.That(place < 0);
        if (_leaves[leaf].Count == LeafEntries)
        {
            Leaf right = _leaves[leaf].Split();
            _leaves.Insert(leaf + 1, right);
            _firsts.Insert(leaf + 1, right.Entries[0].Id);
            leaf += entry.Id.CompareTo(right.Entries[0].Id) >= 0 ? 1 : 0;
            place = _leaves[leaf].Search(entry.Id);
        }

        _leaves[leaf].Insert(~place, entry);
        _firsts[leaf] = _leaves[leaf].Entries[0].Id;
        Count++;
    }

    /// <summary>Takes a chunk out, if it is there.</summary>
    public bool Remove(ChunkId id)
    {
        int leaf = LeafOf(id);
        int place = leaf < 0 ? -1 : _leaves[leaf].Search(id);
        if (place < 0)
        {
            return false;
        }

        _leaves[leaf].RemoveAt(place);
        if (_leaves[leaf].Count == 0)
        {
            _leaves.RemoveAt(leaf);
            _firsts.RemoveAt(leaf);
        }
        else
        {
            _firsts[leaf] = _leaves[leaf].Entries[0].Id;
        }

        Count--;
        return true;
    }

    /// <summary>Up to <paramref name="count"/> ids above <paramref name="after"/>, in order.</summary>
    public List<ChunkId> From(ChunkId after, int count)
    {
        var ids = new List<ChunkId>(Math.Min(count, Count));
        int leaf = Math.Max(0, LeafOf(after));
        for (; leaf < _leaves.Count && ids.Count < count; leaf++)
        {
            int place = _leaves[leaf].Search(after);
            place = place >= 0 ? place + 1 : ~place;
            for (; place < _leaves[leaf].Count && ids.Count < count; place++)
            {
                ids.Add(_leaves[leaf].Entries[place].Id);
            }
        }

        return ids;
    }

    /// <summary>The last leaf whose first id is not above, or -1.</summary>
    private int LeafOf(ChunkId id)
    {
        int place = _firsts.BinarySearch(id);
        return place >= 0 ? place : ~place - 1;
    }

    private sealed class Leaf
    {
        public IndexEntry[] Entries = new IndexEntry[GrowthStep];
        public int Count;

        public int Search(ChunkId id)
        {
            int low = 0;
            int high = Count - 1;
            while (low <= high)
            {
                int middle = (low + high) >> 1;
                int order = Entries[middle].Id.CompareTo(id);
                if (order == 0)
                {
                    return middle;
                }

                (low, high) = order < 0 ? (middle + 1, high) : (low, middle - 1);
            }

            return ~low;
        }

        public void Insert(int place, IndexEntry entry)
        {
            if (Count == Entries.Length)
            {
                Array.Resize(ref Entries, Count + GrowthStep);
            }

            Array.Copy(Entries, place, Entries, place + 1, Count - place);
            Entries[place] = entry;
            Count++;
        }

        public void RemoveAt(int place)
        {
            Count--;
            Array.Copy(Entries, place + 1, Entries, place, Count - place);
            if (Entries.Length - Count > 2 * GrowthStep)
            {
                Array.Resize(ref Entries, Count + GrowthStep);
            }
        }

        public Leaf Split()
        {
            int half = Count / 2;
            var right = new Leaf { Entries = new IndexEntry[Count - half + GrowthStep], Count = Count - half };
            Array.Copy(Entries, half, right.Entries, 0, right.Count);
            Count = half;
            Array.Resize(ref Entries, half + GrowthStep);
            return right;
        }
    }
}
