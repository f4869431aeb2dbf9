namespace Carillon.Protocols.Replicast;

/// <summary>Counters of chunk replication, for metrics; the loop writes them, anybody may read.</summary>
public sealed class ChunkFigures
{
    /// <summary>Puts that ended well, and those that did not.</summary>
    public long Puts { get; set; }

    /// <inheritdoc cref="Puts"/>
    public long FailedPuts { get; set; }

    /// <summary>Bytes of puts that were taken.</summary>
    public long PutBytes { get; set; }

    /// <summary>Chunks that came from other servers because they were asked for, by readers or by repair.</summary>
    public long Fetches { get; set; }

    /// <summary>Chunks fetched because this server should hold them.</summary>
    public long Repairs { get; set; }

    /// <summary>Chunks read back, and those of them that were bad.</summary>
    public long Scrubbed { get; set; }

    /// <inheritdoc cref="Scrubbed"/>
    public long Damaged { get; set; }

    /// <summary>Chunks deleted because nothing refers to them.</summary>
    public long Collected { get; set; }

    /// <summary>Stand-in copies given up because every designated server has its own.</summary>
    public long LetGo { get; set; }
}
