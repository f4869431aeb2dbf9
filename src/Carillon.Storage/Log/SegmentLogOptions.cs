namespace Carillon.Storage.Log;

/// <summary>Sizes of a <see cref="SegmentLog"/>. They may change from one start to the next.</summary>
public sealed record SegmentLogOptions
{
    /// <summary>
    /// Bytes of a segment file, a multiple of 4 KiB, at least four times <c>log.maxBatchBytes</c>. Too low: many files, and a preparation
    /// often; too high: the log holds on to more disk, since whole segments are cut, and scanning the last one takes longer at a start.
    /// </summary>
    public int SegmentBytes { get; init; } = 16 << 20;

    /// <summary>
    /// Bytes of a batch with its header, a multiple of 4 KiB, from 8 KiB to 4 MiB. Too low: more flushes for the same records (a longer
    /// record takes several batches); too high: more memory, and records wait for the flush of more bytes than their own.
    /// </summary>
    public int MaxBatchBytes { get; init; } = 1 << 20;

    /// <summary>
    /// Bytes that may wait to be flushed; urgent ones twice as many. Too low: bursts are refused, and the greatest record
    /// (24 MiB) may not fit; too high: memory, and time to flush it all.
    /// </summary>
    public int MaxWaitingBytes { get; init; } = 48 << 20;

    /// <summary>
    /// Pre-written bytes kept for urgent records (aborts, bits, outcomes, snapshots) when the device is full, in whole segments rounded up.
    /// Too low: open submissions can't be decided on a full disk; too high: disk that nothing else can use.
    /// </summary>
    public int ReserveBytes { get; init; } = 16 << 20;

    /// <summary>
    /// Segments kept ready besides the reserve. Too low: a burst is refused until one is written; too high: disk used for nothing.
    /// </summary>
    public int SpareSegments { get; init; } = 2;

    /// <summary>
    /// Free segments kept at most after a cut, at least reserve and spare ones; while the device is full only those. Too low: segments
    /// are removed and written anew with every snapshot; too high: disk used for nothing, and a start looks at them.
    /// </summary>
    public int MaxFreeSegments { get; init; } = 6;

    /// <summary>All that is wrong with these values; none if they can be used.</summary>
    public IReadOnlyList<string> Validate()
    {
        var faults = new List<string>();
        Check(SegmentBytes % BatchHeader.Block == 0, "log.segmentBytes must be a multiple of 4096.");
        Check(MaxBatchBytes % BatchHeader.Block == 0, "log.maxBatchBytes must be a multiple of 4096.");
        Check(
            MaxBatchBytes is >= 2 * BatchHeader.Block and <= BatchHeader.MaxBatchBytes, "log.maxBatchBytes must be from 8192 to 4194304.");
        Check(SegmentBytes >= 4L * MaxBatchBytes && SegmentBytes <= 1 << 30, "log.segmentBytes must be from 4 x maxBatchBytes to 1 GiB.");
        Check(MaxWaitingBytes >= MaxBatchBytes && MaxWaitingBytes <= 1 << 30, "log.maxWaitingBytes must be from maxBatchBytes to 1 GiB.");
        Check(ReserveBytes >= 0 && ReserveBytes <= 1 << 30, "log.reserveBytes must be from 0 to 1 GiB.");
        Check(SpareSegments is >= 1 and <= 64, "log.spareSegments must be from 1 to 64.");
        Check(MaxFreeSegments is >= 1 and <= 1024, "log.maxFreeSegments must be from 1 to 1024.");
        return faults;

        void Check(bool holds, string fault)
        {
            if (!holds)
            {
                faults.Add(fault);
            }
        }
    }
}
