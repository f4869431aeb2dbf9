using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>
/// In feed order the catalog is a function of the sequence alone, checked on random sequences that are cut into batches differently, with
/// crashes, and with outcomes beside the feed that each server has for itself; and it agrees with a small model.
/// </summary>
public sealed class CatalogSequenceTests
{
    private static readonly CatalogOptions Small = new()
    {
        OutcomeTtl = TimeSpan.FromHours(10), KeyCount = 15, LeastKeys = 6, RejectedCount = 5, TrimmedCount = 12, FeedCount = 60,
    };

    public static TheoryData<ulong> Seeds => [.. Enumerable.Range(1, 20).Select(seed => (ulong)seed)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Catalog_says_the_same_however_the_sequence_was_batched(ulong seed)
    {
        ImmutableArray<SequencedEntry> sequence = Sequence(new RandomSource(seed), 300);
        (List<FeedOutcome> outcomes, string state) = Run(sequence, new RandomSource(0), one: true);
        for (ulong i = 1; i <= 4; i++)
        {
            (List<FeedOutcome> others, string other) = Run(sequence, new RandomSource(seed + (100 * i)), one: false);
            Assert.Equal(outcomes, others);
            Assert.Equal(state, other);
        }

        Assert.Equal(
            Enum.GetValues<FeedVerdict>().Where(v => v != FeedVerdict.None),
            outcomes.Select(o => o.Verdict).Where(v => v != FeedVerdict.None).Distinct().Order());
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Outcomes_are_those_of_a_model(ulong seed)
    {
        ImmutableArray<SequencedEntry> sequence = Sequence(new RandomSource(seed), 300);
        var roomy = new CatalogOptions { OutcomeTtl = TimeSpan.FromDays(1000) };
        using var memory = new CatalogMemory();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), roomy);
        ImmutableArray<FeedOutcome> outcomes = catalog.Apply(new CatalogBatch(1, [], []) { Entries = sequence });
        var model = new Model();
        for (int i = 0; i < sequence.Length; i++)
        {
            Assert.Equal(model.Take(sequence[i]), (outcomes[i].Number, outcomes[i].Verdict));
        }

        using CatalogReader reader = catalog.OpenReader();
        Assert.All(model.Current, name => Assert.Equal(name.Value, (reader.Current(name.Key)!.Uid, reader.Current(name.Key)!.Kind)));
    }

    // Submissions of three kinds whose stamps and numbers disagree, some twice, some under a used key, some numbers filled.
    internal static ImmutableArray<SequencedEntry> Sequence(RandomSource random, int count)
    {
        var entries = ImmutableArray.CreateBuilder<SequencedEntry>(count);
        var uids = new List<Uid>();
        List<Submission> history = [.. History(random, count, names: 5)];
        for (int i = 0; i < count; i++)
        {
            Submission? submission = history[Math.Clamp(i + random.Below(6) - 3, 0, count - 1)];
            Operation first = submission.Operations[0];
            Precondition condition = random.Below(5) switch
            {
                0 => Precondition.Absent,
                1 when uids.Count > 0 => Precondition.Match(uids[^(1 + random.Below(Math.Min(4, uids.Count)))]),
                _ => default,
            };
            submission = Submission(
                submission.Tag, random.Chance(0.25) ? $"key {random.Below(6)}" : submission.Key,
                [first with { Precondition = condition }, .. submission.Operations[1..]]);
            uids.Add(submission.Tag.Uid);
            submission = random.Chance(0.05) ? null
                : random.Chance(0.05) && i > 0 ? entries[random.Below(i)].Submission : submission;
            entries.Add(new SequencedEntry(new SequenceNumber((ulong)(i + 1)), submission));
        }

        return entries.DrainToImmutable();
    }

    private static (List<FeedOutcome> Outcomes, string State) Run(ImmutableArray<SequencedEntry> sequence, RandomSource random, bool one)
    {
        using var memory = new CatalogMemory();
        Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), Small);
        var outcomes = new List<FeedOutcome>();
        int next = 0;
        while (next < sequence.Length)
        {
            int count = one ? 1 : Math.Min(sequence.Length - next, 1 + random.Below(40));
            ImmutableArray<RejectedTag> rejected = one || random.Chance(0.5)
                ? []
                : [new RejectedTag(Tag(1_000_000_000_000 + random.Below(1000), 2, 50_000 + next), "own")];
            ImmutableArray<FeedOutcome> batch = catalog.Apply(new CatalogBatch(1, [], rejected)
            {
                Entries = sequence.Slice(next, count), Sessions = BitConverter.GetBytes(next + count),
            });
            outcomes.RemoveRange(next, outcomes.Count - next);
            outcomes.AddRange(batch);
            next += count;
            if (!one && random.Chance(0.2))
            {
                catalog.Dispose();
                memory.Crash(memory.Commits - random.Below(Math.Min(3, memory.Commits + 1)));
                catalog = Catalog.Open(CatalogLocation.InMemory(memory), Small);
                next = (int)catalog.AppliedNumber.Value;
            }
            else if (!one && random.Chance(0.1))
            {
                catalog.MakeDurable();
            }
        }

        using (catalog)
        {
            using CatalogReader reader = catalog.OpenReader();
            return (outcomes, StateOf(reader, sequence));
        }
    }

    // All that a reader can see of what the sequence decides.
    private static string StateOf(CatalogReader reader, ImmutableArray<SequencedEntry> sequence)
    {
        IEnumerable<string> versions = reader.List(new ListQuery("bucket", Limit: 10_000, Versions: true)).Objects.Select(
            v => $"{v.Target} {v.Tag} {v.Number} {v.Kind} {v.Sha256} {v.IsCurrent}");
        IEnumerable<string> tags = sequence.Where(e => e.Submission is not null).Select(
            e => $"{e.Submission!.Tag} {reader.Sequenced(e.Submission.Tag)} {reader.Key(e.Submission.Key)}");
        FeedPage feed = reader.Feed(new FeedQuery(new SequenceNumber((ulong)sequence.Length - 59)));
        IEnumerable<string> items = feed.Items.Select(i => $"{i.Number} {i.Tag} {i.Verdict} {string.Join(' ', i.Operations)}");
        (SequenceNumber applied, byte[] sessions) = reader.Sessions();
        return string.Join('\n', [.. versions, .. tags, .. items, $"{feed.Oldest} {applied} {Convert.ToHexString(sessions)}",
            $"{reader.NameCount("bucket")}"]);
    }

    private sealed class Model
    {
        private readonly Dictionary<Tag, (SequenceNumber, FeedVerdict)> _tags = [];
        private readonly HashSet<string> _keys = [];

        public Dictionary<ObjectName, (Uid Uid, OperationKind Kind)> Current { get; } = [];

        public (SequenceNumber Number, FeedVerdict Verdict) Take(SequencedEntry entry)
        {
            if (entry.Submission is not { } submission)
            {
                return (entry.Number, FeedVerdict.None);
            }

            if (_tags.TryGetValue(submission.Tag, out (SequenceNumber, FeedVerdict) first))
            {
                return first;
            }

            bool isBelow = submission.Operations.Any(o => Current.GetValueOrDefault(o.Target).Uid > submission.Tag.Uid);
            bool isMet = submission.Operations.All(o => Current.TryGetValue(o.Target, out (Uid Uid, OperationKind Kind) current)
                ? o.Precondition.IsMetBy(current.Uid, current.Kind == OperationKind.Put)
                : o.Precondition.IsMetBy(default, isLive: false));
            FeedVerdict verdict = _keys.Contains(submission.Key) ? FeedVerdict.Repeated
                : isBelow && (submission.IsConditional || submission.Operations.Length > 1) ? FeedVerdict.Stale
                : !isMet ? FeedVerdict.Refused
                : isBelow ? FeedVerdict.Superseded : FeedVerdict.Applied;
            if (verdict == FeedVerdict.Applied)
            {
                foreach (Operation operation in submission.Operations)
                {
                    Current[operation.Target] = (submission.Tag.Uid, operation.Kind);
                }
            }

            if (verdict != FeedVerdict.Stale)
            {
                _keys.Add(submission.Key);
            }

            return _tags[submission.Tag] = (entry.Number, verdict);
        }
    }
}
