namespace Carillon.Protocols;

/// <summary>
/// Milliseconds since 1970-01-01 UTC as a server's wall clock has them. It may jump; nothing but stamps and the clock guard rests
/// on it.
/// </summary>
public readonly record struct WallTime(long Milliseconds) : IComparable<WallTime>
{
    /// <inheritdoc/>
    public int CompareTo(WallTime other) => Milliseconds.CompareTo(other.Milliseconds);

    public static TimeSpan operator -(WallTime a, WallTime b) => TimeSpan.FromMilliseconds(a.Milliseconds - b.Milliseconds);

    public static bool operator <(WallTime a, WallTime b) => a.Milliseconds < b.Milliseconds;

    public static bool operator >(WallTime a, WallTime b) => a.Milliseconds > b.Milliseconds;

    public static bool operator <=(WallTime a, WallTime b) => a.Milliseconds <= b.Milliseconds;

    public static bool operator >=(WallTime a, WallTime b) => a.Milliseconds >= b.Milliseconds;
}

/// <summary>What a core is told about time with each input: the monotonic clock for deadlines, the wall clock for stamps.</summary>
public readonly record struct Moment(Instant Now, WallTime Wall);
