using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>Ends a run for a broken guarantee.</summary>
internal static class Violation
{
    /// <summary>A safety rule is broken.</summary>
    public static SimulationFailedException Of(string rule, string message) => new(FailureKind.Safety, rule, message);

    /// <summary>A healed cluster did not get on.</summary>
    public static SimulationFailedException TooSlow(string rule, string message) => new(FailureKind.Liveness, rule, message);
}
