namespace Carillon.Storage.Log;

/// <summary>How far a <see cref="SegmentLog"/> can be relied upon.</summary>
public enum LogCondition
{
    /// <summary>All that was ever flushed is there.</summary>
    Intact,

    /// <summary>
    /// The last batch was cut off by a crash before its flush ended, and was dropped. Nothing that was flushed is missing; the log goes
    /// on.
    /// </summary>
    TornTail,

    /// <summary>Something that was flushed is damaged or missing: no appends, and this disk must not vote.</summary>
    Corrupt,

    /// <summary>
    /// The device failed since the log was opened, or far too much was appended unasked: no appends until it is opened again.
    /// </summary>
    Failed,
}
