namespace Carillon.Protocols.Primacy;

/// <summary>What was counted since the start; metric names are on docs/protocols/primacy.md and docs/operations/metrics.md.</summary>
public sealed class PrimacyFigures
{
    /// <summary>Calls to disqualify others.</summary>
    public long Calls { get; internal set; }

    /// <summary>Bids begun.</summary>
    public long Bids { get; internal set; }

    /// <summary>Bids withdrawn.</summary>
    public long Withdrawn { get; internal set; }

    /// <summary>Epochs that a quorum granted to this node.</summary>
    public long Granted { get; internal set; }

    /// <summary>Leases that ran towards their end because too few voters renewed them.</summary>
    public long LeasesLost { get; internal set; }

    /// <summary>Times that this node stood although it was disqualified.</summary>
    public long StoodAnyway { get; internal set; }

    /// <summary>Messages that could not be read.</summary>
    public long BadMessages { get; internal set; }
}
