namespace Carillon.Storage.Log;

/// <summary>What recovery finds where batch n of generation g is to be.</summary>
internal enum BatchFound
{
    /// <summary>Batch n, header and payload right.</summary>
    Whole,

    /// <summary>A right header of batch n, and a payload that does not match it.</summary>
    Torn,

    /// <summary>A header with a wrong checksum, or one that can't be here.</summary>
    Broken,

    /// <summary>A right header of an older generation: left from the segment's last use.</summary>
    Stale,

    /// <summary>No header: zeros, the inside of an old batch, or the end of the segment.</summary>
    Blank,
}

/// <summary>What stands behind it.</summary>
internal enum BatchesBehind
{
    /// <summary>No right header of a batch from n on in this generation or a newer one.</summary>
    None,

    /// <summary>Segment g + 1 begins with batch n: nothing is missing.</summary>
    NextSegment,

    /// <summary>
    /// A right header of a later batch. It was written only after the flush of n (or of the one dropped before it), so n was flushed.
    /// </summary>
    Later,
}

/// <summary>What recovery does about it.</summary>
internal enum RecoveryStep
{
    /// <summary>Deliver its records and look for n + 1 behind it.</summary>
    Take,

    /// <summary>Look for batch n at the start of segment g + 1.</summary>
    GoToNextSegment,

    /// <summary>The log ends here, whole.</summary>
    EndOfLog,

    /// <summary>The log ends here; a batch that was being written when the power went is dropped.</summary>
    DropTornTail,

    /// <summary>A flushed batch is damaged: the log is corrupt. Go on behind the gap with what can be verified.</summary>
    ReportCorruption,
}

/// <summary>
/// The decision table of recovery. The unit of writing is the flushed batch, and batch n + 1 is written only after the flush of n, so
/// only the last one can be torn. docs/formats/segment-log.md has the same table, and a test holds the two together.
/// </summary>
internal static class RecoveryTable
{
    /// <summary>Every row; <see cref="BatchFound.Whole"/> is taken whatever stands behind.</summary>
    public static IReadOnlyList<(BatchFound Here, BatchesBehind Behind, RecoveryStep Step)> Rows { get; } =
    [
        (BatchFound.Whole, BatchesBehind.None, RecoveryStep.Take),
        (BatchFound.Whole, BatchesBehind.NextSegment, RecoveryStep.Take),
        (BatchFound.Whole, BatchesBehind.Later, RecoveryStep.Take),
        (BatchFound.Torn, BatchesBehind.None, RecoveryStep.DropTornTail),
        (BatchFound.Torn, BatchesBehind.NextSegment, RecoveryStep.GoToNextSegment),
        (BatchFound.Torn, BatchesBehind.Later, RecoveryStep.ReportCorruption),
        (BatchFound.Broken, BatchesBehind.None, RecoveryStep.DropTornTail),
        (BatchFound.Broken, BatchesBehind.NextSegment, RecoveryStep.GoToNextSegment),
        (BatchFound.Broken, BatchesBehind.Later, RecoveryStep.ReportCorruption),
        (BatchFound.Stale, BatchesBehind.None, RecoveryStep.EndOfLog),
        (BatchFound.Stale, BatchesBehind.NextSegment, RecoveryStep.GoToNextSegment),
        (BatchFound.Stale, BatchesBehind.Later, RecoveryStep.ReportCorruption),
        (BatchFound.Blank, BatchesBehind.None, RecoveryStep.EndOfLog),
        (BatchFound.Blank, BatchesBehind.NextSegment, RecoveryStep.GoToNextSegment),
        (BatchFound.Blank, BatchesBehind.Later, RecoveryStep.ReportCorruption),
    ];

    public static RecoveryStep Decide(BatchFound here, BatchesBehind behind)
    {
        foreach ((BatchFound rowHere, BatchesBehind rowBehind, RecoveryStep step) in Rows)
        {
            if (rowHere == here && rowBehind == behind)
            {
                return Protocols.SeededBug.Is("log-accepts-corrupt-middle") && step == RecoveryStep.ReportCorruption
                    ? RecoveryStep.DropTornTail
                    : step;
            }
        }

        throw new Protocols.InvariantBrokenException($"No row of the recovery table for {here} and {behind}.");
    }
}
