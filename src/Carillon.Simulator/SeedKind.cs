namespace Carillon.Simulator;

/// <summary>What every run of a campaign has, whatever its seed draws.</summary>
internal enum SeedKind
{
    /// <summary>What the seed draws.</summary>
    Plain,

    /// <summary>Services, and faults that strike at leases (<c>--services</c>).</summary>
    Services,

    /// <summary>Changes of the configuration (<c>--changes</c>).</summary>
    Changes,
}
