namespace Carillon.Simulator.World;

/// <summary>What a world is made of; drawn per seed.</summary>
internal sealed record WorldOptions
{
    /// <summary>Servers: 1, 3, 4 or 5, all of them voters.</summary>
    public int Servers { get; init; } = 3;

    /// <summary>The server that runs a newer version of the program, or -1 (<see cref="NewerBuild"/>).</summary>
    public int NewerBuildPlace { get; init; } = -1;

    /// <summary>Size of each server's disk.</summary>
    public long DiskBytes { get; init; } = 4L << 30;

    /// <summary>How fast disks are.</summary>
    public DiskSpeed DiskSpeed { get; init; } = new();

    /// <summary>How likely a service's provider crashes between two of its checkpoints.</summary>
    public double ProviderFailures { get; init; }

    /// <summary>How good the network is.</summary>
    public NetworkConditions Network { get; init; } = new();
}
