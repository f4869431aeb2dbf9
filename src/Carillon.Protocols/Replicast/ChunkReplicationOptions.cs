namespace Carillon.Protocols.Replicast;

/// <summary>How chunks are put, kept at their count, checked and collected.</summary>
public sealed record ChunkReplicationOptions
{
    /// <summary>Longest wait for <c>minimum</c> copies of a chunk, beside its size's share. Too low: slow disks fail puts.</summary>
    public TimeSpan PutTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>
    /// Silence of a server, beside the chunk's share, after which another one is sent the chunk as well. Too low: bytes are sent for
    /// nothing; too high: a server that hangs costs the put its whole time.
    /// </summary>
    public TimeSpan StandInAfter { get; init; } = TimeSpan.FromMilliseconds(700);

    /// <summary>Bytes per second that a transfer may be slow as; adds size / rate to timeouts.</summary>
    public long MinimumRate { get; init; } = 1_000_000;

    /// <summary>Puts under way at once; more are refused.</summary>
    public int MaxPuts { get; init; } = 4096;

    /// <summary>Wait for a server's answer to a request, beside the chunk's share, before the next one is asked.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Fetches under way at once; more end as not found.</summary>
    public int MaxGets { get; init; } = 4096;

    /// <summary>
    /// Mean time between two comparisons with the same server. Too low: traffic at rest; too high: a lost copy is noticed that late.
    /// </summary>
    public TimeSpan RepairInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Chunks that are fetched for repair at once; bounds memory and leaves room for clients.</summary>
    public int RepairWindow { get; init; } = 8;

    /// <summary>
    /// Bytes per second that repair fetches at most. Too low: a lost disk stays under-replicated for long; too high: clients feel it.
    /// </summary>
    public long RepairRate { get; init; } = 100_000_000;

    /// <summary>
    /// Missing chunks that are remembered to be fetched, and chunks listed to one server per comparison; more are found by the next
    /// one.
    /// </summary>
    public int RepairQueue { get; init; } = 10_000;

    /// <summary>Rows whose inventories are asked for in one comparison.</summary>
    public int RowsPerComparison { get; init; } = 64;

    /// <summary>Stand-in copies that are being brought home at once.</summary>
    public int LetGoWindow { get; init; } = 64;

    /// <summary>
    /// Chunks that are read back at once because somebody asks whether they are good; questions beyond are left unanswered.
    /// </summary>
    public int VerifyWindow { get; init; } = 256;

    /// <summary>Wait for a read-back before it counts as failed.</summary>
    public TimeSpan VerifyTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Time in which every chunk is read back once.</summary>
    public TimeSpan ScrubPeriod { get; init; } = TimeSpan.FromDays(14);

    /// <summary>Time between two passes over all chunks for those that nothing refers to.</summary>
    public TimeSpan CollectInterval { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>How long a chunk must have been without reference before it is deleted (<c>gc.grace</c>).</summary>
    public TimeSpan CollectGrace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Chunks looked at in one step of a pass.</summary>
    public int CollectStep { get; init; } = 256;

    /// <summary>Time between two steps of a pass.</summary>
    public TimeSpan CollectStepInterval { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Chunks without reference whose grace is counted at once (about 40 bytes each); others wait for a later pass.</summary>
    public int CollectCandidates { get; init; } = 500_000;

    /// <summary>Age of a put-intent from which its submission's outcome is asked for.</summary>
    public TimeSpan IntentLease { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        (string Name, TimeSpan Value)[] times =
        [
            (nameof(PutTimeout), PutTimeout), (nameof(StandInAfter), StandInAfter), (nameof(RequestTimeout), RequestTimeout),
            (nameof(RepairInterval), RepairInterval), (nameof(VerifyTimeout), VerifyTimeout), (nameof(ScrubPeriod), ScrubPeriod),
            (nameof(CollectInterval), CollectInterval), (nameof(CollectStepInterval), CollectStepInterval),
            (nameof(IntentLease), IntentLease),
        ];
        (string Name, long Value)[] counts =
        [
            (nameof(MinimumRate), MinimumRate), (nameof(MaxPuts), MaxPuts), (nameof(MaxGets), MaxGets),
            (nameof(RepairWindow), RepairWindow),
            (nameof(RepairRate), RepairRate), (nameof(RepairQueue), RepairQueue), (nameof(RowsPerComparison), RowsPerComparison),
            (nameof(LetGoWindow), LetGoWindow), (nameof(VerifyWindow), VerifyWindow), (nameof(CollectStep), CollectStep),
            (nameof(CollectCandidates), CollectCandidates),
        ];
        IEnumerable<string> faults = times.Where(t => t.Value <= TimeSpan.Zero).Select(t => $"{t.Name} must be above zero")
            .Concat(counts.Where(c => c.Value < 1).Select(c => $"{c.Name} must be at least 1"));
        return CollectGrace < TimeSpan.Zero ? faults.Append("CollectGrace must not be negative") : faults;
    }
}
