using System.Collections.Immutable;

namespace Carillon.Storage.Chunks;

/// <summary>Bounds of a <see cref="ChunkStore"/>.</summary>
public sealed record ChunkStoreOptions
{
    /// <summary>
    /// Bytes after which a segment file is closed and the next begun. Low: many files, each with its footer to read at start.
    /// High: more to scan at start after a crash, and more to copy before deleted space is free again.
    /// </summary>
    public long SegmentBytes { get; init; } = 256L << 20;

    /// <summary>
    /// Records after which a segment is closed; bounds the footer, which is kept in memory until it is written (about 60 bytes a
    /// record).
    /// </summary>
    public int MaxRecordsPerSegment { get; init; } = 65_536;

    /// <summary>
    /// Bytes in one batch; one larger record goes alone. Low: more flushes. High: a chunk waits longer for the flush that it shares.
    /// </summary>
    public long MaxBatchBytes { get; init; } = 32L << 20;

    /// <summary>Records in one batch.</summary>
    public int MaxBatchRecords { get; init; } = 4096;

    /// <summary>Bytes that wait for their batch, in the callers' buffers; more are refused.</summary>
    public long MaxQueuedBytes { get; init; } = 128L << 20;

    /// <summary>Records that wait for their batch; more are refused.</summary>
    public int MaxQueuedRecords { get; init; } = 65_536;

    /// <summary>
    /// Records nobody waits for (ends of intents, drops) that gather before they cause a flush of their own. Lost in a crash, they are
    /// found out again.
    /// </summary>
    public int MaxLazyRecords { get; init; } = 256;

    /// <summary>
    /// Open put-intents, over all tags (about 90 bytes of memory each); more are refused. A put of 1 TiB in chunks of 1 MiB holds a
    /// million.
    /// </summary>
    public int MaxIntents { get; init; } = 4_000_000;

    /// <summary>Bytes of the device that chunks leave free, for intents, for compaction and for the other stores of the disk.</summary>
    public long ReserveBytes { get; init; } = 64L << 20;

    /// <summary>Segment files held open at once.</summary>
    public int MaxOpenFiles { get; init; } = 256;

    /// <summary>A segment is compacted when less than this fraction of it is live. High: less wasted space, more copying.</summary>
    public double CompactBelow { get; init; } = 0.5;

    /// <summary>Segments less than half full (each restart closes one early) before they are merged.</summary>
    public int MaxSmallSegments { get; init; } = 8;

    /// <summary>Bytes read in one step of compaction.</summary>
    public long CompactionStepBytes { get; init; } = 8L << 20;

    /// <summary>Findings of damage kept for reports; more are only counted.</summary>
    public int MaxDamageReports { get; init; } = 1000;

    /// <summary>All faults; none if the options can be used.</summary>
    public ImmutableArray<string> Validate()
    {
        var faults = ImmutableArray.CreateBuilder<string>();
        Check(SegmentBytes is >= 4096 and <= 2L << 30, "SegmentBytes must be from 4 KiB to 2 GiB");
        Check(MaxRecordsPerSegment is >= 1 and <= 1 << 20, "MaxRecordsPerSegment must be from 1 to 1,048,576");
        Check(MaxBatchBytes is >= 4096 and <= 1L << 30, "MaxBatchBytes must be from 4 KiB to 1 GiB");
        Check(MaxBatchRecords is >= 1 and <= 1 << 20, "MaxBatchRecords must be from 1 to 1,048,576");
        Check(MaxQueuedBytes >= MaxBatchBytes, "MaxQueuedBytes must not be less than MaxBatchBytes");
        Check(MaxQueuedRecords >= MaxBatchRecords, "MaxQueuedRecords must not be less than MaxBatchRecords");
        Check(MaxLazyRecords >= 1 && MaxLazyRecords <= MaxQueuedRecords, "MaxLazyRecords must be from 1 to MaxQueuedRecords");
        Check(MaxIntents >= 1, "MaxIntents must be at least 1");
        Check(ReserveBytes >= 0, "ReserveBytes must not be negative");
        Check(MaxOpenFiles >= 4, "MaxOpenFiles must be at least 4");
        Check(CompactBelow is > 0 and < 1, "CompactBelow must be between 0 and 1");
        Check(MaxSmallSegments >= 2, "MaxSmallSegments must be at least 2");
        Check(CompactionStepBytes >= 4096, "CompactionStepBytes must be at least 4 KiB");
        Check(MaxDamageReports >= 1, "MaxDamageReports must be at least 1");
        return faults.ToImmutable();

        void Check(bool holds, string fault)
        {
            if (!holds)
            {
                faults.Add(fault);
            }
        }
    }
}
