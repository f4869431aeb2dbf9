using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Simulator.Workloads;

namespace Carillon.Simulator.Checkers;

/// <summary>All writes of one idempotency key, which are one write: it may take effect once, from the first call on, and was done at the
/// latest when the first "accepted" came.</summary>
internal sealed record KeyedWrite(
    string Key, string Client, ImmutableArray<PlannedOperation> Operations, LibraryVerdict Verdict, Tag Tag, Instant Invoked,
        Instant? Returned)
{
    /// <summary>Of a refused one: what it met.</summary>
    public FeedOutcome Refusal { get; init; }

    /// <summary>Joins a run's writes by key, in order of their first call.</summary>
    public static ImmutableArray<KeyedWrite> Join(IEnumerable<WriteRecord> writes)
    {
        var joined = ImmutableArray.CreateBuilder<KeyedWrite>();
        foreach (IGrouping<string, WriteRecord> group in writes.GroupBy(write => write.Key, StringComparer.Ordinal))
        {
            WriteRecord first = group.MinBy(write => write.Invoked)!;
            WriteRecord? accepted = group.Where(write => write.Verdict == LibraryVerdict.Accepted).MinBy(write => write.Returned);
            WriteRecord? refused = group.Where(write => write.Verdict == LibraryVerdict.Refused).MinBy(write => write.Returned);
            bool isUnknown = group.Any(write => write.Verdict == LibraryVerdict.Unknown);
            joined.Add(new KeyedWrite(
                group.Key,
                first.Client,
                first.Operations,
                accepted is not null ? LibraryVerdict.Accepted : refused is not null ? LibraryVerdict.Refused
                    : isUnknown ? LibraryVerdict.Unknown : LibraryVerdict.Rejected,
                accepted?.Tag ?? default,
                first.Invoked,
                accepted?.Returned ?? refused?.Returned)
            {
                Refusal = refused?.Refusal ?? default,
            });
        }

        return joined.DrainToImmutable();
    }

    /// <inheritdoc/>
    public override string ToString() =>
        $"the write of {Client} with {Key} ({string.Join(", ", Operations.Select(o => $"{o.Kind} {o.Target} {o.Value}"))}; {Verdict} {Tag}, asked at {Invoked}, answered at {Returned?.ToString() ?? "never"})";
}
