namespace Carillon.Protocols.Primacy;

/// <summary>Settings of primacy. The lease's duration is not among them: it is part of the configuration that all agree on.</summary>
public sealed record PrimacyOptions
{
    /// <summary>
    /// The part of a lease that its holder does not use: clocks may run 5 % fast here and 5 % slow there, and
    /// 1 − 0.95 / 1.05 is 9.5 %. Too low: two primaries where clocks drift so. Too high: a lease is lost by a short silence.
    /// </summary>
    public double Allowance { get; init; } = 0.10;

    /// <summary>Time between renewals. Too low: traffic. Too high: fewer renewals may be lost before the lease
    /// is.</summary>
    public TimeSpan RenewalInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Silence after which a primary's statement that it holds its lease counts no more. Too low:
    /// selections for nothing, which end at the voters' leases. Too high: failover is late by as much.
    /// </summary>
    public TimeSpan StatementTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a node called may take to answer, raised to three round trips.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>A node that was outranked bids after a lease without a new primary all the same, and each next one in rank by so much
    /// later.</summary>
    public TimeSpan StandAnywayStep { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Time after which a bid goes again to who has not answered.</summary>
    public TimeSpan BidRetry { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Time after which a bid without a quorum is withdrawn. Too low: slow disks elect nobody.</summary>
    public TimeSpan BidTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest random wait after a withdrawn bid: two rivals must not meet again and again.</summary>
    public TimeSpan BidBackoff { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>
    /// How long a provider that failed, lost its lease or moved away ranks behind all others; doubled with
    /// each failure up to <c>primacy.longestQuietTime</c>. Too low: a flapping node takes the service back and loses it again.
    /// </summary>
    public TimeSpan QuietTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The longest that a provider ranks behind all others, however often it failed (<c>primacy.quietTime</c>).</summary>
    public TimeSpan LongestQuietTime { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Time after which a checkpoint that was not acknowledged is sent again.</summary>
    public TimeSpan CheckpointRetry { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest a planned move waits for the last checkpoint to arrive at the successor; after it the epoch
    /// is released all the same.</summary>
    public TimeSpan HandOverTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a request waits for the replica manager's answer.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a secondary may be away before a spare takes its place. Too low: a restart costs
    /// a state transfer.</summary>
    public TimeSpan ReplaceAfter { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a spare may take to become a secondary before another is tried.</summary>
    public TimeSpan PromotionTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The most services: their table is one record.</summary>
    public int MaxServices { get; init; } = 1000;

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (Allowance is < 0.095 or > 0.5)
        {
            yield return "primacy.allowance is from 0.095 to 0.5";
        }

        if (RenewalInterval < TimeSpan.FromMilliseconds(1) || StatementTimeout < 2 * RenewalInterval)
        {
            yield return "primacy.renewalInterval is at least 1 ms, and primacy.statementTimeout at least two of it";
        }

        if (CallTimeout <= TimeSpan.Zero || BidRetry <= TimeSpan.Zero || BidTimeout < BidRetry || BidBackoff <= TimeSpan.Zero)
        {
            yield return "primacy.callTimeout, bidRetry and bidBackoff are above zero, and primacy.bidTimeout is at least primacy.bidRetry";
        }

        if (QuietTime <= TimeSpan.Zero || LongestQuietTime < QuietTime)
        {
            yield return "primacy.quietTime is above zero and not above primacy.longestQuietTime";
        }

        if (MaxServices is < 1 or > HoldingsMessage.MaxItems)
        {
            yield return $"primacy.maxServices is from 1 to {HoldingsMessage.MaxItems}";
        }
    }
}
