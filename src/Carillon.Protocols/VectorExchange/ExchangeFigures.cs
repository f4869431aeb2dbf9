namespace Carillon.Protocols.VectorExchange;

/// <summary>Counters of vector exchange, for metrics and tests; the loop writes them, anybody may read.</summary>
public sealed class ExchangeFigures
{
    /// <summary>Submissions that began here.</summary>
    public long Submissions { get; set; }

    /// <summary>Answered accepted.</summary>
    public long Accepted { get; set; }

    /// <summary>Answered rejected.</summary>
    public long Rejected { get; set; }

    /// <summary>Answered unknown.</summary>
    public long Unknown { get; set; }

    /// <summary>Pushes refused here as stale.</summary>
    public long StalePushes { get; set; }

    /// <summary>Pushes put off here because a plain submission of the name was not resolved.</summary>
    public long ContendedPushes { get; set; }

    /// <summary>Fresh stamps taken because a push was stale.</summary>
    public long Restamps { get; set; }

    /// <summary>Vectors sent, first ones and repeats.</summary>
    public long VectorsSent { get; set; }

    /// <summary>Resolution rounds taken here.</summary>
    public long RoundsTaken { get; set; }

    /// <summary>Submission records fetched late.</summary>
    public long LateFetches { get; set; }

    /// <summary>Messages dropped because they could not be read.</summary>
    public long BadMessages { get; set; }

    /// <summary>Linearizable reads answered, and those that could not be decided.</summary>
    public long Reads { get; set; }

    /// <inheritdoc cref="Reads"/>
    public long ReadsUnavailable { get; set; }
}
