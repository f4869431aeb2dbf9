namespace Carillon.Protocols.Replicast;

/// <summary>How chunks are put, kept at their count, checked and collected.</summary>
public sealed record ChunkReplicationOptions
{
    /// <summary>Longest wait for <c>minimum</c> copies of a chunk, beside its size's share. Too low: slow disks fail puts.</summary>
    public TimeSpan PutTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Bytes per second that a transfer may be slow as; adds size / rate to timeouts.</summary>
    public long MinimumRate { get; init; } = 1_000_000;

    /// <summary>Wait for a server's answer to a request before the next one is asked.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Mean time between two comparisons with the same server. Too low: traffic at rest; too high: a lost copy is noticed that
    /// late.</summary>
    public TimeSpan RepairInterval { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Chunks that are fetched for repair at once; bounds memory and leaves room for clients.</summary>
    public int RepairWindow { get; init; } = 8;

    /// <summary>Missing chunks that are remembered to be fetched; more are found by the next comparison.</summary>
    public int RepairQueue { get; init; } = 10_000;

    /// <summary>Time in which every chunk is read back once.</summary>
    public TimeSpan ScrubPeriod { get; init; } = TimeSpan.FromDays(14);

    /// <summary>Time between two looks for chunks that nothing refers to.</summary>
    public TimeSpan CollectInterval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>How long a chunk must have been without reference before it is deleted.</summary>
    public TimeSpan CollectGrace { get; init; } = TimeSpan.FromHours(1);

    /// <summary>Chunks looked at in one step of a collection.</summary>
    public int CollectStep { get; init; } = 256;

    /// <summary>Age of a put-intent from which its submission's outcome is asked for.</summary>
    public TimeSpan IntentLease { get; init; } = TimeSpan.FromMinutes(5);

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (PutTimeout <= TimeSpan.Zero || RequestTimeout <= TimeSpan.Zero || RepairInterval <= TimeSpan.Zero
            || CollectInterval <= TimeSpan.Zero
            || ScrubPeriod <= TimeSpan.Zero || IntentLease <= TimeSpan.Zero || CollectGrace < TimeSpan.Zero)
        {
            yield return "times of chunk replication must be above zero";
        }

        if (MinimumRate < 1 || RepairWindow < 1 || RepairQueue < 1 || CollectStep < 1)
        {
            yield return "counts and rates of chunk replication must be at least 1";
        }
    }
}
