namespace Carillon.Simulator.World;

/// <summary>How good the network is; drawn per seed, and made perfect when the run turns to liveness.</summary>
internal sealed record NetworkConditions
{
    /// <summary>Least time of flight. Lower hides races, higher hides throughput.</summary>
    public TimeSpan Latency { get; init; } = TimeSpan.FromMilliseconds(0.2);

    /// <summary>The most that is added to it at random, per message; for datagrams this reorders.</summary>
    public TimeSpan Jitter { get; init; } = TimeSpan.FromMilliseconds(0.3);

    /// <summary>Bytes a second of one stream; a slow link is a small number.</summary>
    public long BytesPerSecond { get; init; } = 1L << 30;

    /// <summary>Bytes that may wait in one stream before the sender is refused.</summary>
    public long QueueLimitBytes { get; init; } = 64 << 20;

    /// <summary>Share of datagrams of which a bit flips; their seal fails.</summary>
    public double DatagramCorruption { get; init; }

    /// <summary>Share of chunks of which a bit flips, as in a peer's bad memory: TLS does not see that, the hash does.</summary>
    public double ChunkCorruption { get; init; }

    /// <summary>Share of datagrams lost, 0 to 0.3.</summary>
    public double DatagramLoss { get; init; }

    /// <summary>Share of datagrams doubled, 0 to 0.5.</summary>
    public double DatagramDuplication { get; init; }

    /// <summary>Share of datagrams that are held up.</summary>
    public double DatagramDelay { get; init; }

    /// <summary>The longest that one is held up, to 5 s.</summary>
    public TimeSpan DatagramDelayLimit { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>How long a tunnel may be cut before its ends give it up: from this.</summary>
    public TimeSpan TunnelTimeoutLeast { get; init; } = TimeSpan.FromSeconds(0.5);

    /// <summary>How long a tunnel may be cut before its ends give it up: to this.</summary>
    public TimeSpan TunnelTimeoutMost { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>The longest wait between two tries to open a tunnel.</summary>
    public TimeSpan ReconnectLimit { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>Nothing goes wrong any more.</summary>
    public NetworkConditions Healed() => this with
    {
        DatagramCorruption = 0, ChunkCorruption = 0, DatagramLoss = 0, DatagramDuplication = 0, DatagramDelay = 0,
        BytesPerSecond = 1L << 30, QueueLimitBytes = 64 << 20,
    };
}
