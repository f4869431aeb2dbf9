namespace Carillon.Protocols.IndexMerge;

/// <summary>How index merge behaves.</summary>
public sealed record IndexMergeOptions
{
    /// <summary>Time between two comparisons with the same peer. Too low: traffic at rest; too high: what a server missed comes that late.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Longest random wait after a peer is connected, so that not all compare at once.</summary>
    public TimeSpan ConnectDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>A comparison that has made no progress for this long is given up, and begun anew at the next turn.</summary>
    public TimeSpan Stall { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Ranges asked about at once.</summary>
    public int Window { get; init; } = 64;

    /// <summary>Submissions fetched at once.</summary>
    public int FetchWindow { get; init; } = 128;

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (Interval <= TimeSpan.Zero || Stall <= TimeSpan.Zero || ConnectDelay < TimeSpan.Zero)
        {
            yield return "times of index merge must be above zero";
        }

        if (Window < 1 || FetchWindow < 1)
        {
            yield return "windows of index merge must be at least 1";
        }
    }
}
