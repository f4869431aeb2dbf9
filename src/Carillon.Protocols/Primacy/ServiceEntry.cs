using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <summary>One row of the replica manager's table (seed 002, figure 3).</summary>
public sealed record ServiceEntry
{
    /// <summary>The most changes of primary that are kept of a service.</summary>
    public const int MaxHistory = 16;

    /// <summary>What is wanted.</summary>
    public required ServiceDefinition Definition { get; init; }

    /// <summary>The providers that may stand: those that every service which must be on the same node allows too; the most preferred
    /// first.</summary>
    public required ImmutableArray<NodeId> Eligible { get; init; }

    /// <summary>The nodes whose state the primary keeps up to date.</summary>
    public ImmutableArray<NodeId> Secondaries { get; init; } = [];

    /// <summary>The last primary that the replica manager heard of.</summary>
    public NodeId Primary { get; init; }

    /// <summary>Its epoch.</summary>
    public Epoch Epoch { get; init; }

    /// <summary>The last changes of primary, the newest first.</summary>
    public ImmutableArray<PrimaryChange> History { get; init; } = [];

    /// <summary>True if both say the same to nodes that provide the service: primaries and histories are found out, not told.</summary>
    public bool IsSameOrder(ServiceEntry other) =>
        Definition == other.Definition && Eligible.SequenceEqual(other.Eligible) && Secondaries.SequenceEqual(other.Secondaries);
}
