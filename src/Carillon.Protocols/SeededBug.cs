namespace Carillon.Protocols;

/// <summary>
/// Deliberate bugs for the simulator: <c>if (SeededBug.Is("name"))</c> is false, and compiled away, in what ships. Built with
/// <c>-p:SeededBugs=true</c>, one at a time is switched on by <c>--bug NAME</c>. docs/reliability.md lists them.
/// </summary>
public static class SeededBug
{
#if SEEDED_BUGS
    /// <summary>The bug that is switched on, or null.</summary>
    public static string? Active { get; set; }

    /// <summary>True if this bug is switched on.</summary>
    public static bool Is(string name) => string.Equals(Active, name, StringComparison.Ordinal);
#else
    /// <summary>Always false in what ships.</summary>
    public static bool Is(string name) => false;
#endif
}
