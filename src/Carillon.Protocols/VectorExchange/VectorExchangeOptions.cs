namespace Carillon.Protocols.VectorExchange;

/// <summary>How vector exchange behaves; the defaults are the design's.</summary>
public sealed record VectorExchangeOptions
{
    /// <summary>True: each server is asked whether it is there before a submission goes on; false: membership's word
    /// is taken.</summary>
    public bool ActiveConnectivity { get; init; }

    /// <summary>Longest wait for a push quorum, beside the size's share. Too low: slow disks reject; too high: clients wait for the
    /// dead.</summary>
    public TimeSpan PushTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Bytes per second that a push may be slow as; adds size / rate to the timeout.</summary>
    public long PushMinimumRate { get; init; } = 1_000_000;

    /// <summary>After this without consensus the client is told "outcome unknown"; the exchange goes on.</summary>
    public TimeSpan ExchangeTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>First wait before an unfinished vector is passed on again. Too low: traffic; too high: a lost message costs that
    /// long.</summary>
    public TimeSpan ResendFirst { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>Longest wait between two of them; the wait doubles from first to last.</summary>
    public TimeSpan ResendLast { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Longest random wait of a rival for the same tag before its next round.</summary>
    public TimeSpan RoundBackoff { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>Wait before a push, a question or a fetch that was not answered is made again.</summary>
    public TimeSpan RetryInterval { get; init; } = TimeSpan.FromMilliseconds(150);

    /// <summary>Age at which a stored submission that nobody decided is resolved by a round of whoever holds it.</summary>
    public TimeSpan TemporaryTtl { get; init; } = TimeSpan.FromHours(1);

    /// <summary>How long a key, its fence and a decided tag's outcome are remembered.</summary>
    public TimeSpan IdempotencyTtl { get; init; } = TimeSpan.FromHours(24);

    /// <summary>Longest a linearizable read or an inquiry goes on before it says that it can't tell.</summary>
    public TimeSpan ReadTimeout { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>How far a clock may be from the others' before its server's submissions are refused.</summary>
    public TimeSpan MaxSkew { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Stamps are reserved this far ahead of the clock. Too low: more records; too high: a restart jumps that far ahead.</summary>
    public TimeSpan StampBlock { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>Fresh tags that one submission may take before it is rejected as out of luck.</summary>
    public int MaxRestamps { get; init; } = 32;

    /// <summary>Most open tags that a server keeps; beyond, pushes are refused as "full".</summary>
    public int MaxOpenTags { get; init; } = 100_000;

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (PushTimeout <= TimeSpan.Zero || ExchangeTimeout <= TimeSpan.Zero || ReadTimeout <= TimeSpan.Zero)
        {
            yield return "push.timeout, exchange.timeout and read.timeout must be above zero";
        }

        if (PushMinimumRate < 1)
        {
            yield return "push.minRate must be at least 1 byte/s";
        }

        if (ResendFirst <= TimeSpan.Zero || ResendLast < ResendFirst)
        {
            yield return "exchange.resendFirst must be above zero and not above exchange.resendLast";
        }

        if (StampBlock < TimeSpan.FromMilliseconds(10) || StampBlock > MaxSkew)
        {
            yield return "stamp.block must be between 10 ms and clock.maxSkew";
        }

        if (MaxOpenTags < 16 || MaxRestamps < 1)
        {
            yield return "tags.maxOpen must be at least 16, and tags.maxRestamps at least 1";
        }
    }
}
