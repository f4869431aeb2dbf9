using System.Globalization;

namespace Carillon.Protocols.Primacy;

/// <summary>
/// A primary's numbered term. For each service at most one node ever gets a quorum's bits for an epoch, and epochs are granted in
/// increasing order; so the number is a fencing token. Zero is no epoch.
/// </summary>
public readonly record struct Epoch(ulong Value) : IComparable<Epoch>
{
    /// <summary>True for <c>default</c>.</summary>
    public bool IsNone => Value == 0;

    /// <summary>The next one.</summary>
    public Epoch Next => new(Value + 1);

    /// <summary>The greater of two.</summary>
    public static Epoch Max(Epoch a, Epoch b) => a.Value >= b.Value ? a : b;

    /// <inheritdoc/>
    public int CompareTo(Epoch other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);

    public static bool operator <(Epoch a, Epoch b) => a.Value < b.Value;

    public static bool operator >(Epoch a, Epoch b) => a.Value > b.Value;

    public static bool operator <=(Epoch a, Epoch b) => a.Value <= b.Value;

    public static bool operator >=(Epoch a, Epoch b) => a.Value >= b.Value;
}
