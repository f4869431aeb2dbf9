namespace Carillon.Protocols.Primacy;

/// <summary>Settings of primacy. The lease's duration is not among them: it is part of the configuration that all agree on.</summary>
public sealed record PrimacyOptions
{
    /// <summary>
    /// The part of a lease that its holder does not use (<c>lease.allowance</c>): clocks may run 5 % fast here and 5 % slow there, and
    /// 1 − 0.95 / 1.05 is 9.5 %. Too low: two primaries where clocks drift so. Too high: a lease is lost by a short silence.
    /// </summary>
    public double Allowance { get; init; } = 0.10;

    /// <summary>Time between renewals (<c>lease.renewal</c>). Too low: traffic. Too high: fewer renewals may be lost before the lease
    /// is.</summary>
    public TimeSpan RenewalInterval { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>
    /// Silence after which a primary's statement that it holds its lease counts no more (<c>selection.statementTimeout</c>). Too low:
    /// selections for nothing, which end at the voters' leases. Too high: failover is late by as much.
    /// </summary>
    public TimeSpan StatementTimeout { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>How long a node called may take to answer (<c>selection.callTimeout</c>), raised to three round trips.</summary>
    public TimeSpan CallTimeout { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Between two nodes that stand anyway, in order of rank (<c>selection.standAnywayStep</c>).</summary>
    public TimeSpan StandAnywayStep { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Time after which a bid goes again to who has not answered (<c>bid.retry</c>).</summary>
    public TimeSpan BidRetry { get; init; } = TimeSpan.FromMilliseconds(100);

    /// <summary>Time after which a bid without a quorum is withdrawn (<c>bid.timeout</c>). Too low: slow disks elect nobody.</summary>
    public TimeSpan BidTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest random wait after a withdrawn bid (<c>bid.backoff</c>): two rivals must not meet again and again.</summary>
    public TimeSpan BidBackoff { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>
    /// How long a provider that failed, lost its lease or moved away ranks behind all others (<c>provider.quietTime</c>); doubled with
    /// each failure up to <see cref="LongestQuietTime"/>. Too low: a flapping node takes the service back and loses it again.
    /// </summary>
    public TimeSpan QuietTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>The longest of these times (<c>provider.longestQuietTime</c>).</summary>
    public TimeSpan LongestQuietTime { get; init; } = TimeSpan.FromMinutes(10);

    /// <summary>Time after which a checkpoint that was not acknowledged is sent again (<c>checkpoint.retry</c>).</summary>
    public TimeSpan CheckpointRetry { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>Longest a planned move waits for the last checkpoint to arrive at the successor (<c>move.handOver</c>); after it the epoch
    /// is released all the same.</summary>
    public TimeSpan HandOverTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How long a request waits for the replica manager's answer (<c>service.requestTimeout</c>).</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long a secondary may be away before a spare takes its place (<c>secondary.replaceAfter</c>). Too low: a restart costs
    /// a state transfer.</summary>
    public TimeSpan ReplaceAfter { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>How long a spare may take to become a secondary before another is tried (<c>secondary.promotionTimeout</c>).</summary>
    public TimeSpan PromotionTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The most services (<c>service.most</c>): their table is one record.</summary>
    public int MaxServices { get; init; } = 1000;

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (Allowance is < 0.095 or > 0.5)
        {
            yield return "lease.allowance is from 0.095 to 0.5";
        }

        if (RenewalInterval < TimeSpan.FromMilliseconds(1) || StatementTimeout < 2 * RenewalInterval)
        {
            yield return "lease.renewal is at least 1 ms, and selection.statementTimeout at least two of it";
        }

        if (CallTimeout <= TimeSpan.Zero || BidRetry <= TimeSpan.Zero || BidTimeout < BidRetry || BidBackoff <= TimeSpan.Zero)
        {
            yield return "selection.callTimeout, bid.retry and bid.backoff are above zero, and bid.timeout is at least bid.retry";
        }

        if (QuietTime <= TimeSpan.Zero || LongestQuietTime < QuietTime)
        {
            yield return "provider.quietTime is above zero and not above provider.longestQuietTime";
        }

        if (MaxServices is < 1 or > HoldingsMessage.MaxItems)
        {
            yield return $"service.most is from 1 to {HoldingsMessage.MaxItems}";
        }
    }
}
