using Carillon.Simulator.Checkers;
using Carillon.Simulator.World;

namespace Carillon.Simulator;

/// <summary>How a seed's run ended.</summary>
internal sealed record SeedResult
{
    /// <summary>The seed.</summary>
    public required ulong Seed { get; init; }

    /// <summary>What was wrong, or null.</summary>
    public SimulationFailedException? Failure { get; init; }

    /// <summary>The trace's digest at the end.</summary>
    public required ulong Digest { get; init; }

    /// <summary>Virtual time that passed.</summary>
    public required TimeSpan VirtualTime { get; init; }

    /// <summary>Events that happened.</summary>
    public required long Events { get; init; }

    /// <summary>Operations that clients began.</summary>
    public required int Operations { get; init; }

    /// <summary>Operations that succeeded.</summary>
    public required int Successes { get; init; }

    /// <summary>Writes whose outcome the client did not learn.</summary>
    public required FalseNegatives FalseNegatives { get; init; }

    /// <summary>True if so few succeeded that the run proves nothing.</summary>
    public required bool HasNoVerdict { get; init; }

    /// <summary>Times that a server answered "accepted" and its durability was looked at.</summary>
    public required int DurabilityChecks { get; init; }

    /// <summary>Faults, by kind.</summary>
    public required long[] Faults { get; init; }

    /// <summary>Datagrams lost, doubled and delayed.</summary>
    public required long DatagramFaults { get; init; }

    /// <summary>The places that it came to (<see cref="CoveragePoints"/>).</summary>
    public required IReadOnlySet<string> Reached { get; init; }

    /// <summary>How often a node stopped itself.</summary>
    public required int SelfStops { get; init; }
}
