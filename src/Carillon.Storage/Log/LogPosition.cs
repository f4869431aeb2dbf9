namespace Carillon.Storage.Log;

/// <summary>
/// The place of a record in a <see cref="SegmentLog"/>: its number, from 1, counted over the log's whole life. Cutting the log does not
/// change it. Zero is before every record.
/// </summary>
public readonly record struct LogPosition(long Value) : IComparable<LogPosition>
{
    /// <inheritdoc/>
    public int CompareTo(LogPosition other) => Value.CompareTo(other.Value);

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);

    public static bool operator <(LogPosition a, LogPosition b) => a.Value < b.Value;

    public static bool operator >(LogPosition a, LogPosition b) => a.Value > b.Value;

    public static bool operator <=(LogPosition a, LogPosition b) => a.Value <= b.Value;

    public static bool operator >=(LogPosition a, LogPosition b) => a.Value >= b.Value;
}
