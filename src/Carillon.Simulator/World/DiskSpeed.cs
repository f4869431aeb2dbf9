namespace Carillon.Simulator.World;

/// <summary>How fast a healthy disk is; drawn per seed.</summary>
internal sealed record DiskSpeed
{
    /// <summary>Least time of a write or read.</summary>
    public TimeSpan Access { get; init; } = TimeSpan.FromMicroseconds(20);

    /// <summary>Least time of a flush.</summary>
    public TimeSpan Flush { get; init; } = TimeSpan.FromMilliseconds(1);

    /// <summary>The most that is added to a flush at random.</summary>
    public TimeSpan FlushJitter { get; init; } = TimeSpan.FromMilliseconds(2);

    /// <summary>Bytes a second.</summary>
    public long BytesPerSecond { get; init; } = 400L << 20;
}
