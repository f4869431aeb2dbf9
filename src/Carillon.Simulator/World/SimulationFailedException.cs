namespace Carillon.Simulator.World;

/// <summary>How a run fails; the numbers are exit codes.</summary>
internal enum FailureKind
{
    /// <summary>The program under test broke: an exception, a broken invariant, a loop.</summary>
    Crash = 1,

    /// <summary>A guarantee was broken.</summary>
    Safety = 2,

    /// <summary>A healed cluster did not get on in time.</summary>
    Liveness = 3,
}

/// <summary>Ends a run: something is wrong, and this says what.</summary>
internal sealed class SimulationFailedException : Exception
{
    public SimulationFailedException(FailureKind kind, string rule, string message, Exception? inner = null)
        : base($"{rule}: {message}", inner)
    {
        Kind = kind;
        Rule = rule;
    }

    public SimulationFailedException() : this(FailureKind.Crash, "unknown", "no reason given")
    {
    }

    public SimulationFailedException(string message) : this(FailureKind.Crash, "unknown", message)
    {
    }

    public SimulationFailedException(string message, Exception inner) : this(FailureKind.Crash, "unknown", message, inner)
    {
    }

    /// <summary>Crash, safety or liveness.</summary>
    public FailureKind Kind { get; }

    /// <summary>The invariant's short name: A1, convergence, linearizability, …</summary>
    public string Rule { get; }
}
