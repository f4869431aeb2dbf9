using System.Globalization;

namespace Carillon.Storage.Chunks;

/// <summary>
/// One segment file as the loop sees it. The fields that other threads touch belong to <see cref="SegmentFiles"/> and its lock.
/// </summary>
internal sealed class ChunkSegment(uint number)
{
    private const string Suffix = ".chunks";

    private volatile Dictionary<uint, ChunkLocation>? _forward;

    /// <summary>Its place in the order of all records; never used twice.</summary>
    public uint Number { get; } = number;

    public string FileName { get; } = number.ToString("x8", CultureInfo.InvariantCulture) + Suffix;

    /// <summary>Where the next record goes; later, where the footer goes.</summary>
    public long End { get; set; }

    /// <summary>Bytes of records, headers included, whose chunks are in the index at this place.</summary>
    public long LiveBytes { get; set; }

    /// <summary>
    /// Bytes of other records that compaction would have to keep: without this count it would move the same ones for ever.
    /// </summary>
    public long NeededBytes { get; set; }

    /// <summary>Segments with drops and ends of what is in this one, and how many bytes of them: needed until this one is gone.</summary>
    public SortedDictionary<uint, long> Dependents { get; } = [];

    /// <summary>True once the file and its header are durable.</summary>
    public bool IsCreated { get; set; }

    /// <summary>True if bytes of a failed batch lie behind <see cref="End"/>: they are cut off before the next write.</summary>
    public bool NeedsCut { get; set; }

    /// <summary>True if the footer or a record is damaged: its good records are moved elsewhere.</summary>
    public bool NeedsRewrite { get; set; }

    /// <summary>True if compaction could not read it; it is left as it is.</summary>
    public bool IsUnmovable { get; set; }

    /// <summary>Chunks on their way from here to another segment.</summary>
    public int MovesUnderWay { get; set; }

    /// <summary>Where compaction has moved chunks so far.</summary>
    public Dictionary<uint, ChunkLocation> Moved { get; } = [];

    /// <summary>The footer's entries while the segment is not sealed; null later.</summary>
    public FooterBuilder? Footer { get; set; }

    /// <summary>Guarded by <see cref="SegmentFiles"/>.</summary>
    public IStorageFile? File { get; set; }

    /// <summary>Readers and writers at work; guarded by <see cref="SegmentFiles"/>.</summary>
    public int Users { get; set; }

    /// <summary>When it was last used, in uses; guarded by <see cref="SegmentFiles"/>.</summary>
    public ulong LastUse { get; set; }

    /// <summary>True once compaction has emptied it; guarded by <see cref="SegmentFiles"/>.</summary>
    public bool IsRetired { get; set; }

    /// <summary>Tells readers who come after the retirement where the chunks went. Set before <see cref="IsRetired"/>.</summary>
    public void ForwardTo(Dictionary<uint, ChunkLocation> moved) => _forward = moved;

    public bool TryForward(uint offset, out ChunkLocation location)
    {
        location = default;
        return _forward?.TryGetValue(offset, out location) == true;
    }

    public static bool TryParseName(string name, out uint number)
    {
        number = 0;
        return name.Length == 8 + Suffix.Length && name.EndsWith(Suffix, StringComparison.Ordinal)
            && uint.TryParse(name.AsSpan(0, 8), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out number) && number > 0;
    }
}
