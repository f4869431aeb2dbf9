namespace Carillon.Protocols.IndexMerge;

/// <summary>
/// A part of the tag space: all tags whose stamp begins with some bits. The parts form a tree of fixed cuts, the same at every
/// server, so that digests of parts can be kept up to date and compared without agreeing on bounds first.
/// </summary>
/// <remarks>
/// <code>
/// level   0: all   1: 8.7 years   2: 12.4 days   3: 70 min   4: 16.4 s   5 (leaf): 64 ms     (a stamp counts 65,536 a millisecond)
/// stamp >>   64       54             46             38          30          22               each level has 256 parts of the next
/// </code>
/// </remarks>
public readonly record struct MergeRange : IComparable<MergeRange>
{
    /// <summary>The level whose parts are not cut further, but listed.</summary>
    public const int LeafLevel = 5;

    /// <summary>The most parts that a range is cut into: 1,024 for the root, else 256.</summary>
    public const int MaxChildren = 1024;

    /// <summary>The whole tag space.</summary>
    public static readonly MergeRange Root;

    private MergeRange(int level, ulong slot)
    {
        Level = level;
        Slot = slot;
    }

    /// <summary>0 for the whole, up to <see cref="LeafLevel"/>.</summary>
    public int Level { get; }

    /// <summary>The leading bits of its stamps.</summary>
    public ulong Slot { get; }

    /// <summary>True for a part that is not cut further.</summary>
    public bool IsLeaf => Level == LeafLevel;

    /// <summary>The least stamp of the part.</summary>
    public Timestamp First => Level == 0 ? default : new(Slot << ShiftOf(Level));

    /// <summary>The greatest stamp of the part.</summary>
    public Timestamp Last => Level == 0 ? new(ulong.MaxValue) : new((Slot << ShiftOf(Level)) | ((1UL << ShiftOf(Level)) - 1));

    /// <summary>The part of a level that a stamp belongs to.</summary>
    public static MergeRange Of(int level, Timestamp stamp) => level == 0 ? Root : new(level, stamp.Value >> ShiftOf(level));

    /// <summary>Makes a part from its fields, or says no where there is none of that kind.</summary>
    public static bool TryCreate(int level, ulong slot, out MergeRange range)
    {
        bool good = level == 0 ? slot == 0 : level is > 0 and <= LeafLevel && slot <= ulong.MaxValue >> ShiftOf(level);
        range = good ? new MergeRange(level, slot) : default;
        return good;
    }

    /// <summary>True if the stamp lies in the part.</summary>
    public bool Contains(Timestamp stamp) => First <= stamp && stamp <= Last;

    /// <summary>True if the other part is this one or lies in it.</summary>
    public bool Contains(MergeRange other) => other.Level >= Level && Contains(other.First);

    /// <inheritdoc/>
    public int CompareTo(MergeRange other)
    {
        int byLevel = Level.CompareTo(other.Level);
        return byLevel != 0 ? byLevel : Slot.CompareTo(other.Slot);
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Level}:{Slot:x}");

    private static int ShiftOf(int level) => 62 - (8 * level);

    public static bool operator <(MergeRange a, MergeRange b) => a.CompareTo(b) < 0;

    public static bool operator >(MergeRange a, MergeRange b) => a.CompareTo(b) > 0;

    public static bool operator <=(MergeRange a, MergeRange b) => a.CompareTo(b) <= 0;

    public static bool operator >=(MergeRange a, MergeRange b) => a.CompareTo(b) >= 0;
}
