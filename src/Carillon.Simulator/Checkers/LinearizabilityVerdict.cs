using System.Collections.Immutable;
using System.Text;

namespace Carillon.Simulator.Checkers;

/// <summary>What a check came to.</summary>
public enum LinearizabilityResult
{
    /// <summary>Some order explains everything.</summary>
    Linearizable,

    /// <summary>No order does.</summary>
    NotLinearizable,

    /// <summary>So few operations succeeded that a yes would mean nothing.</summary>
    TooFew,

    /// <summary>The search reached its limit.</summary>
    Undecided,
}

/// <summary>A check's result, with the evidence where it is no.</summary>
/// <param name="Result">What it came to.</param>
/// <param name="Name">The name that breaks it, or null.</param>
/// <param name="Successes">Operations that succeeded.</param>
/// <param name="Stuck">The operation that fits nowhere in the longest order that was found, or null.</param>
/// <param name="Before">The end of that order.</param>
/// <param name="Around">What was under way when <paramref name="Stuck"/> returned.</param>
public sealed record LinearizabilityVerdict(
    LinearizabilityResult Result, string? Name, int Successes, HistoryEntry? Stuck,
    ImmutableArray<HistoryEntry> Before, ImmutableArray<HistoryEntry> Around)
{
    /// <summary>The verdict in words, a line per operation.</summary>
    public string Explain()
    {
        var text = new StringBuilder();
        switch (Result)
        {
            case LinearizabilityResult.Linearizable:
                return $"linearizable ({Successes} operations succeeded)";
            case LinearizabilityResult.TooFew:
                return $"no verdict: only {Successes} operations succeeded";
            case LinearizabilityResult.Undecided:
                return $"no verdict: the search for '{Name}' reached its limit";
            default:
                text.Append(System.Globalization.CultureInfo.InvariantCulture,
                    $"'{Name}' is not linearizable: {Line(Stuck!)} fits nowhere after");
                break;
        }

        foreach (HistoryEntry entry in Before)
        {
            text.Append("\n    done     ").Append(Line(entry));
        }

        foreach (HistoryEntry entry in Around)
        {
            text.Append("\n    open     ").Append(Line(entry));
        }

        return text.ToString();
    }

    private static string Line(HistoryEntry entry) =>
        FormattableString.Invariant($"[{entry.Invoked}..{entry.Returned?.ToString() ?? "?"}] {entry.Client} {entry.Action} {entry.Value ?? "absent"} {entry.Outcome}");
}
