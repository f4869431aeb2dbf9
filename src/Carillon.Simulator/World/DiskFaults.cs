namespace Carillon.Simulator.World;

/// <summary>What is wrong with a disk at present; the fault injector sets it, the disk obeys.</summary>
internal sealed class DiskFaults
{
    /// <summary>True: nothing grows.</summary>
    public bool Full { get; set; }

    /// <summary>True: it does not say how much is free.</summary>
    public bool NoSpaceTold { get; set; }

    /// <summary>True: nothing changes.</summary>
    public bool ReadOnly { get; set; }

    /// <summary>The next flush of a file in this folder fails, later ones "succeed"; null for none.</summary>
    public string? FailNextFlushIn { get; set; }

    /// <summary>The next write to a file in this folder goes to another place of that file; null for none.</summary>
    public string? MisdirectNextWriteIn { get; set; }

    /// <summary>By how much everything takes longer; 1 is healthy.</summary>
    public int Slowness { get; set; } = 1;
}
