using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Workloads;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// How often clients did not learn that their write was taken (VE-51): no guarantee is broken by it, but it should be rare. Counted by key,
/// as a client would that tries again.
/// </summary>
/// <param name="Writes">Keys.</param>
/// <param name="Unknown">Those of which the client did not learn the outcome.</param>
/// <param name="Accepted">Those of them that were accepted all the same, as asking showed in the end: the false negatives.</param>
internal readonly record struct FalseNegatives(long Writes, long Unknown, long Accepted)
{
    /// <summary>Of one run, once every write has been asked about.</summary>
    public static FalseNegatives Of(Evidence evidence)
    {
        var states = new Dictionary<string, SubmissionState>(StringComparer.Ordinal);
        foreach (ShownState shown in evidence.Shown)
        {
            if (shown.Key is { } key)
            {
                states[key] = shown.State;
            }
        }

        var counts = default(FalseNegatives);
        foreach (KeyedWrite write in KeyedWrite.Join(evidence.Writes))
        {
            bool unknown = write.Verdict == LibraryVerdict.Unknown;
            bool accepted = unknown && states.GetValueOrDefault(write.Key) == SubmissionState.Accepted;
            counts += new FalseNegatives(1, unknown ? 1 : 0, accepted ? 1 : 0);
        }

        return counts;
    }

    public static FalseNegatives operator +(FalseNegatives one, FalseNegatives other) =>
        new(one.Writes + other.Writes, one.Unknown + other.Unknown, one.Accepted + other.Accepted);

    public override string ToString() => FormattableString.Invariant(
        $"{Writes} writes, {Unknown} of unknown outcome, {Accepted} of them ({(Writes == 0 ? 0 : (double)Accepted / Writes):P2}) accepted");
}
