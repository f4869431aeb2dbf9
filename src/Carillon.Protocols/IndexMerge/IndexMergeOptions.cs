namespace Carillon.Protocols.IndexMerge;

/// <summary>How index merge behaves.</summary>
public sealed record IndexMergeOptions
{
    /// <summary>Time between two comparisons with the same peer. Too low: traffic at rest; too high: what a server missed comes that
    /// late.</summary>
    public TimeSpan Interval { get; init; } = TimeSpan.FromMinutes(1);

    /// <summary>Longest random wait after a peer is connected, so that not all compare at once.</summary>
    public TimeSpan ConnectDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>
    /// After this long without an answer, doubled each time up to <c>merge.interval</c>, a question is asked again. Too low: a slow peer
    /// is asked for the same again; too high: a lost message costs that long.
    /// </summary>
    public TimeSpan Stall { get; init; } = TimeSpan.FromSeconds(3);

    /// <summary>Ranges asked about at once. Too low: one round trip a range; too high: a burst of answers.</summary>
    public int Window { get; init; } = 64;

    /// <summary>Submissions asked for at once.</summary>
    public int FetchWindow { get; init; } = 128;

    /// <summary>
    /// A range with no more items than this is listed and not cut further. Too low: round trips; too high: lists of what is known already.
    /// </summary>
    public int ListedItems { get; init; } = 64;

    /// <summary>
    /// Bytes of records that one question is answered with; the first one is sent whatever its size, the others wait for another question.
    /// So neither side ever holds more than this and one submission for a peer.
    /// </summary>
    public int AnswerBytes { get; init; } = 1 << 20;

    /// <summary>Wait before more is asked for where the catalog is behind. Too high: it runs dry meanwhile.</summary>
    public TimeSpan BusyDelay { get; init; } = TimeSpan.FromMilliseconds(20);

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (Interval <= TimeSpan.Zero || Stall <= TimeSpan.Zero || ConnectDelay < TimeSpan.Zero || BusyDelay <= TimeSpan.Zero)
        {
            yield return "times of index merge must be above zero";
        }

        if (Window < 1 || FetchWindow is < 1 or > MergeMessage.MaxItems)
        {
            yield return $"windows of index merge must be at least 1, and at most {MergeMessage.MaxItems} submissions";
        }

        if (ListedItems is < 0 or > MergeMessage.MaxItems || AnswerBytes < 0)
        {
            yield return $"index merge lists 0 to {MergeMessage.MaxItems} items and answers with at least 0 bytes";
        }
    }
}
