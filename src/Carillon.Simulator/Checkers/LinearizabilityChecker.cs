namespace Carillon.Simulator.Checkers;

/// <summary>
/// Says whether a history of puts, deletes and gets is linearizable, name by name (linearizability is local: Herlihy and Wing 1990). An
/// operation whose outcome is unknown may take effect at any time after it was asked, or never.
/// </summary>
public sealed class LinearizabilityChecker
{
    /// <summary>Fewer successes than this give no verdict.</summary>
    public int LeastSuccesses { get; init; } = 10;

    /// <summary>Steps of the search per name; more is better, and slower where the answer is hard.</summary>
    public long StepLimit { get; init; } = 50_000_000;

    /// <summary>Checks all names.</summary>
    public LinearizabilityVerdict Check(History history)
    {
        int successes = history.Entries.Count(entry => entry.Outcome == HistoryOutcome.Ok);
        LinearizabilityVerdict? undecided = null;
        foreach (IGrouping<string, HistoryEntry> name in
            history.Entries.GroupBy(entry => entry.Name, StringComparer.Ordinal).OrderBy(group => group.Key, StringComparer.Ordinal))
        {
            RegisterSearch search = new([.. name], StepLimit);
            switch (search.Run())
            {
                case LinearizabilityResult.NotLinearizable:
                    return new LinearizabilityVerdict(
                        LinearizabilityResult.NotLinearizable, name.Key, successes, search.Stuck, search.Before, search.Around);
                case LinearizabilityResult.Undecided:
                    undecided ??= new LinearizabilityVerdict(LinearizabilityResult.Undecided, name.Key, successes, null, [], []);
                    break;
                default:
                    break;
            }
        }

        LinearizabilityResult result = successes < LeastSuccesses ? LinearizabilityResult.TooFew : LinearizabilityResult.Linearizable;
        return undecided ?? new LinearizabilityVerdict(result, null, successes, null, [], []);
    }
}
