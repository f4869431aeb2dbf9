using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <summary>The open put-intents: which chunks each open tag names, and how many tags name each chunk (5-replicast.md, rule R1).</summary>
internal sealed class IntentTable
{
    private readonly SortedDictionary<Tag, TagIntents> _tags = [];
    private readonly Dictionary<ChunkId, int> _named = [];

    /// <summary>Pairs of tag and chunk.</summary>
    public int Count { get; private set; }

    /// <summary>The open tags, in their order.</summary>
    public IEnumerable<Tag> Tags => _tags.Keys;

    public bool Names(ChunkId id) => _named.ContainsKey(id);

    public bool Contains(Tag tag, ChunkId id) => _tags.TryGetValue(tag, out TagIntents? intents) && intents.Chunks.Contains(id);

    public TagIntents? Find(Tag tag) => _tags.GetValueOrDefault(tag);

    /// <summary>Adds an intent; false if it was there.</summary>
    public bool Add(Tag tag, ChunkId id)
    {
        if (!_tags.TryGetValue(tag, out TagIntents? intents))
        {
            _tags.Add(tag, intents = new TagIntents());
        }

        if (!intents.Chunks.Add(id))
        {
            return false;
        }

        _named[id] = _named.GetValueOrDefault(id) + 1;
        Count++;
        return true;
    }

    /// <summary>Ends all of a tag's intents; null if it had none.</summary>
    public TagIntents? End(Tag tag)
    {
        if (!_tags.Remove(tag, out TagIntents? intents))
        {
            return null;
        }

        foreach (ChunkId id in intents.Chunks)
        {
            int left = _named[id] - 1;
            if (left == 0)
            {
                _named.Remove(id);
            }
            else
            {
                _named[id] = left;
            }
        }

        Count -= intents.Chunks.Count;
        return intents;
    }
}

/// <summary>The intents of one tag.</summary>
internal sealed class TagIntents
{
    public HashSet<ChunkId> Chunks { get; } = [];

    /// <summary>The first segment that holds one of them: the record of their end is kept as long as that could bring them back.</summary>
    public uint FirstSegment { get; set; }

    /// <summary>The records of intents (not chunks) that state them, for the count of what compaction would have to keep.</summary>
    public List<(uint Segment, long Bytes)> Records { get; } = [];

    /// <summary>Number of the last record written for the tag; all are durable when that one is.</summary>
    public ulong LastSequence { get; set; }

    /// <summary>The chunks in order of their ids.</summary>
    public List<ChunkId> Sorted()
    {
        List<ChunkId> ids = [.. Chunks];
        ids.Sort();
        return ids;
    }
}
