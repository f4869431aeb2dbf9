using System.Globalization;

namespace Carillon.Protocols;

/// <summary>How many times a server's disk has been started: stored and raised at each start, never used twice.</summary>
public readonly record struct Incarnation(ulong Value) : IComparable<Incarnation>
{
    /// <inheritdoc/>
    public int CompareTo(Incarnation other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);

    public static bool operator <(Incarnation a, Incarnation b) => a.Value < b.Value;

    public static bool operator >(Incarnation a, Incarnation b) => a.Value > b.Value;

    public static bool operator <=(Incarnation a, Incarnation b) => a.Value <= b.Value;

    public static bool operator >=(Incarnation a, Incarnation b) => a.Value >= b.Value;
}
