namespace Carillon.Protocols.Primacy;

/// <summary>
/// How far a provider's state is: the number of the last checkpoint that it took or applied, in the epoch of the primary that took it.
/// A later epoch's primary began with the state of an earlier one, so epochs come first.
/// </summary>
public readonly record struct Freshness(Epoch Epoch, ulong Number) : IComparable<Freshness>
{
    /// <inheritdoc/>
    public int CompareTo(Freshness other)
    {
        int byEpoch = Epoch.CompareTo(other.Epoch);
        return byEpoch != 0 ? byEpoch : Number.CompareTo(other.Number);
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Epoch}/{Number}";

    public static bool operator <(Freshness a, Freshness b) => a.CompareTo(b) < 0;

    public static bool operator >(Freshness a, Freshness b) => a.CompareTo(b) > 0;

    public static bool operator <=(Freshness a, Freshness b) => a.CompareTo(b) <= 0;

    public static bool operator >=(Freshness a, Freshness b) => a.CompareTo(b) >= 0;
}
