using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>What the catalog says is a function of the set of tags, checked on random histories against other orders and against a
/// model.</summary>
public sealed class CatalogSetTests
{
    private static readonly CatalogOptions Small =
        new() { OutcomeTtl = TimeSpan.FromHours(10), KeyCount = 40, RejectedCount = 5, TrimmedCount = 20 };

    public static TheoryData<ulong> Seeds => [.. Enumerable.Range(1, 12).Select(seed => (ulong)seed)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Catalog_in_any_order_with_duplicates_says_the_same(ulong seed)
    {
        var random = new RandomSource(seed);
        ImmutableArray<Submission> history = History(random, 150);
        ImmutableArray<RejectedTag> rejected =
            [.. history.Where(_ => random.Chance(0.1)).Select(s => Tag(s.Tag.Uid.Stamp.Milliseconds, 1, 60_000)).Select(
                tag => new RejectedTag(tag, $"key of {tag}"))];
        (Digest content, MergeDigest merge) = Build(new RandomSource(0), history, rejected, inOrder: true);

        for (int i = 0; i < 5; i++)
        {
            Assert.Equal((content, merge), Build(random, history, rejected, inOrder: false));
        }
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Catalog_built_from_what_another_kept_keeps_the_same(ulong seed)
    {
        var random = new RandomSource(seed);
        ImmutableArray<Submission> history = History(random, 150);
        using var memory = new CatalogMemory();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), new CatalogOptions());
        using CatalogReader reader = catalog.OpenReader();
        catalog.Apply(new CatalogBatch(1, history, []));
        var kept = new List<Submission>();
        foreach (MergeItem item in AllItems(reader))
        {
            Assert.True(Protocols.Submissions.Submission.TryRead(reader.Submission(item.Tag), out Submission submission));
            kept.Add(submission);
        }

        using var otherMemory = new CatalogMemory();
        using Catalog other = Catalog.Open(CatalogLocation.InMemory(otherMemory), new CatalogOptions());
        using CatalogReader otherReader = other.OpenReader();
        other.Apply(new CatalogBatch(1, [.. kept.OrderBy(_ => random.Next())], []));

        Assert.InRange(kept.Count, 1, history.Length - 1);
        Assert.Equal(reader.DigestOf(MergeRange.Root), otherReader.DigestOf(MergeRange.Root));
        Assert.Equal(Listing(reader), Listing(otherReader));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Catalog_agrees_with_a_replay_in_order_of_the_uids(ulong seed)
    {
        var random = new RandomSource(seed);
        ImmutableArray<Submission> history = History(random, 200);
        using var memory = new CatalogMemory();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), new CatalogOptions());
        using CatalogReader reader = catalog.OpenReader();
        foreach (Submission submission in history.OrderBy(_ => random.Next()))
        {
            catalog.Apply(new CatalogBatch(1, [submission], []));
        }

        var model = new Dictionary<string, List<(Tag Tag, Operation Operation)>>();
        foreach (Submission submission in history.OrderBy(s => s.Tag))
        {
            foreach (Operation operation in submission.Operations)
            {
                Replay(model, submission.Tag, operation);
            }
        }

        Assert.Equal(
            model.OrderBy(n => n.Key, StringComparer.Ordinal).SelectMany(n => n.Value.Select(v => (n.Key, v.Tag))),
            reader.List(new ListQuery("bucket", Limit: 10_000, Versions: true)).Objects.Select(v => (v.Target.Name, v.Tag)));
        var used = model.Values.SelectMany(v => v).SelectMany(v => v.Operation.Manifest?.Chunks ?? []).Select(c => c.Id).ToHashSet();
        Assert.All(Enumerable.Range(0, 5).Select(Chunk), chunk => Assert.Equal(used.Contains(chunk), reader.IsReferenced(chunk)));
        Assert.Equal(model.Values.Count(v => v[0].Operation.Kind == OperationKind.Put), reader.NameCount("bucket"));
        var keptTags = model.Values.SelectMany(v => v).Select(v => v.Tag).Distinct().Order().ToList();
        Assert.Equal(keptTags, AllItems(reader).Select(i => i.Tag));
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Digests_of_all_ranges_are_those_of_their_items(ulong seed)
    {
        var random = new RandomSource(seed);
        using var memory = new CatalogMemory();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), Small);
        using CatalogReader reader = catalog.OpenReader();
        foreach (Submission submission in History(random, 200))
        {
            Tag rejected = Tag(submission.Tag.Uid.Stamp.Milliseconds, 0, 30_000 + random.Below(1000));
            catalog.Apply(new CatalogBatch(1, [submission], random.Chance(0.3) ? [new RejectedTag(rejected, "key")] : []));
        }

        Check(reader, MergeRange.Root);
    }

    // What a server does that applies submissions as they are stamped: a put beyond the number that it allows drops the oldest.
    private static void Replay(Dictionary<string, List<(Tag Tag, Operation Operation)>> model, Tag tag, Operation operation)
    {
        if (!model.TryGetValue(operation.Target.Name, out List<(Tag Tag, Operation Operation)>? versions))
        {
            model[operation.Target.Name] = versions = [];
        }

        versions.Insert(0, (tag, operation));
        if (operation.Manifest is { } manifest)
        {
            int puts = 0;
            int end = versions.FindIndex(v => v.Operation.Kind == OperationKind.Put && ++puts == manifest.VersionsKept);
            if (end >= 0)
            {
                versions.RemoveRange(end + 1, versions.Count - end - 1);
            }
        }

        List<int> tombstones = [.. Enumerable.Range(0, versions.Count).Where(i => versions[i].Operation.Kind == OperationKind.Delete)];
        if (tombstones.Count > 10)
        {
            versions.RemoveAt(tombstones[10]);
        }
    }

    private static MergeDigest Check(CatalogReader reader, MergeRange range)
    {
        MergeDigest sum = default;
        foreach ((MergeRange part, MergeDigest digest) in reader.PartsOf(range))
        {
            Assert.True(range.Contains(part) && part.Level == range.Level + 1);
            Assert.Equal(digest, Check(reader, part));
            Assert.False(digest.IsEmpty);
            sum += digest;
        }

        foreach (MergeItem item in range.IsLeaf ? Items(reader, range) : [])
        {
            Assert.True(range.Contains(item.Tag.Uid.Stamp));
            Assert.Equal(item.Outcome, reader.Outcome(item.Tag));
            sum += MergeDigest.Of(item.Tag, item.Outcome);
        }

        Assert.Equal(sum, reader.DigestOf(range));
        return sum;
    }

    private static List<MergeItem> AllItems(CatalogReader reader)
    {
        List<MergeItem> items = Items(reader, MergeRange.Root);
        Assert.Equal(items.OrderBy(i => i.Tag), items);
        return items;
    }

    // In small pages, to try where they join.
    private static List<MergeItem> Items(CatalogReader reader, MergeRange range)
    {
        var items = new List<MergeItem>();
        ImmutableArray<MergeItem> page;
        do
        {
            page = reader.ItemsIn(range, items.Count == 0 ? default : items[^1].Tag, 3);
            items.AddRange(page);
        }
        while (page.Length > 0);
        return items;
    }

    private static List<(string Name, Tag Tag)> Listing(CatalogReader reader) =>
        [.. reader.List(new ListQuery("bucket", Limit: 10_000, Versions: true)).Objects.Select(v => (v.Target.Name, v.Tag))];

    private static (Digest Content, MergeDigest Merge) Build(
        RandomSource random, ImmutableArray<Submission> history, ImmutableArray<RejectedTag> rejected, bool inOrder)
    {
        using var memory = new CatalogMemory();
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), Small);
        List<object> items = [.. history, .. rejected.Cast<object>()];
        if (!inOrder)
        {
            items = [.. items.Concat(items.Where(_ => random.Chance(0.3))).OrderBy(_ => random.Next())];
        }

        while (items.Count > 0)
        {
            List<object> part = items.GetRange(0, Math.Min(items.Count, 1 + random.Below(8)));
            items.RemoveRange(0, part.Count);
            catalog.Apply(new CatalogBatch(1, [.. part.OfType<Submission>()], [.. part.OfType<RejectedTag>()]));
        }

        using CatalogReader reader = catalog.OpenReader();
        return (reader.ContentDigest(), reader.DigestOf(MergeRange.Root));
    }
}
