namespace Carillon.Storage.Log;

/// <summary>The condition of a <see cref="SegmentLog"/>, and the reason in words for an operator (empty where it is intact).</summary>
public readonly record struct LogHealth(LogCondition Condition, string Reason)
{
    /// <summary>True if records may be appended: the log is intact, or was after a torn tail was dropped.</summary>
    public bool IsWritable => Condition is LogCondition.Intact or LogCondition.TornTail;
}
