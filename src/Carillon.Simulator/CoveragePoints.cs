namespace Carillon.Simulator;

/// <summary>The places (<see cref="Protocols.Sometimes"/>) that the fixed seeds must come to.</summary>
internal static class CoveragePoints
{
    /// <summary>From the first seed on, so many come to all of them.</summary>
    public const int SeedsThatReachAll = 200;

    /// <summary>All of them, in order.</summary>
    public static IReadOnlyList<string> All { get; } = [];

    /// <summary>Those that were not come to.</summary>
    public static string[] Missed(IReadOnlySet<string> reached) => [.. All.Where(point => !reached.Contains(point))];
}
