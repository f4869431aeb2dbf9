using System.Globalization;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary>A message's place in its group's total order: 1, 2, 3, … without gaps (seed 001). Zero is before the first.</summary>
public readonly record struct SequenceNumber(ulong Value) : IComparable<SequenceNumber>
{
    /// <summary>True for zero: no message has it.</summary>
    public bool IsNone => Value == 0;

    /// <summary>The number after this one.</summary>
    public SequenceNumber Next => new(Value + 1);

    /// <summary>The greater of two.</summary>
    public static SequenceNumber Max(SequenceNumber a, SequenceNumber b) => a.Value >= b.Value ? a : b;

    /// <summary>The smaller of two.</summary>
    public static SequenceNumber Min(SequenceNumber a, SequenceNumber b) => a.Value <= b.Value ? a : b;

    /// <inheritdoc/>
    public int CompareTo(SequenceNumber other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);

    public static bool operator <(SequenceNumber a, SequenceNumber b) => a.Value < b.Value;

    public static bool operator >(SequenceNumber a, SequenceNumber b) => a.Value > b.Value;

    public static bool operator <=(SequenceNumber a, SequenceNumber b) => a.Value <= b.Value;

    public static bool operator >=(SequenceNumber a, SequenceNumber b) => a.Value >= b.Value;
}
