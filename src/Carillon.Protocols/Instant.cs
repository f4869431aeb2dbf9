namespace Carillon.Protocols;

/// <summary>
/// A point of this server's monotonic clock, in ticks of 100 ns. Only differences mean anything; never compared between servers.
/// </summary>
public readonly record struct Instant(long Ticks) : IComparable<Instant>
{
    /// <summary>Later than every other: "no deadline".</summary>
    public static readonly Instant Never = new(long.MaxValue);

    /// <inheritdoc/>
    public int CompareTo(Instant other) => Ticks.CompareTo(other.Ticks);

    /// <summary>The earlier of two.</summary>
    public static Instant Min(Instant a, Instant b) => a.Ticks <= b.Ticks ? a : b;

    /// <summary>The later of two.</summary>
    public static Instant Max(Instant a, Instant b) => a.Ticks >= b.Ticks ? a : b;

    /// <summary>Seconds and microseconds, for traces.</summary>
    public override string ToString() =>
        this == Never ? "never" : FormattableString.Invariant($"{Ticks / 10_000_000}.{Ticks / 10 % 1_000_000:D6}");

    public static Instant operator +(Instant a, TimeSpan b) => a == Never ? Never : new(a.Ticks + b.Ticks);

    public static Instant operator -(Instant a, TimeSpan b) => new(a.Ticks - b.Ticks);

    public static TimeSpan operator -(Instant a, Instant b) => new(a.Ticks - b.Ticks);

    public static bool operator <(Instant a, Instant b) => a.Ticks < b.Ticks;

    public static bool operator >(Instant a, Instant b) => a.Ticks > b.Ticks;

    public static bool operator <=(Instant a, Instant b) => a.Ticks <= b.Ticks;

    public static bool operator >=(Instant a, Instant b) => a.Ticks >= b.Ticks;
}
