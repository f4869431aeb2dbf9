using System.Text;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>Pages of a bucket.</summary>
public sealed class CatalogListingTests : IDisposable
{
    private readonly CatalogMemory _memory = new();
    private readonly Catalog _catalog;
    private readonly CatalogReader _reader;
    private int _stamp;

    public CatalogListingTests()
    {
        _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), new CatalogOptions());
        _reader = _catalog.OpenReader();
    }

    public void Dispose()
    {
        _reader.Dispose();
        _catalog.Dispose();
        _memory.Dispose();
    }

    [Fact]
    public void Names_come_in_order_of_their_bytes()
    {
        // U+FFFD is above U+1F600 in UTF-16 and below it in UTF-8.
        string[] names = ["Z", "a", "a b", "a/b", "ab", "é", "\uFFFD", "\U0001F600"];
        Put([.. names.Reverse()]);
        Assert.Equal(names, Names(new ListQuery("bucket")));
    }

    [Fact]
    public void Entry_shows_the_current_version()
    {
        Put("a");
        Apply(Samples.Put("a", "longer"));
        ListedVersion entry = Assert.Single(_reader.List(new ListQuery("bucket")).Objects);
        Assert.Equal(6, entry.Size);
        Assert.Equal(Digest.Of("longer"u8), entry.Sha256);
        Assert.Equal(Tag(2).Uid, entry.Uid);
        Assert.True(entry.IsCurrent);
    }

    [Fact]
    public void Prefix_keeps_the_rest_away()
    {
        Put("a", "b/1", "b/2", "b0", "c");
        Assert.Equal(["b/1", "b/2"], Names(new ListQuery("bucket", Prefix: "b/")));
        Assert.Equal(["b/2"], Names(new ListQuery("bucket", Prefix: "b/", After: "b/1")));
        Assert.Equal(["b/1", "b/2"], Names(new ListQuery("bucket", Prefix: "b/", After: "a")));
        Assert.Empty(Names(new ListQuery("bucket", Prefix: "b/", After: "z")));
        Assert.Empty(Names(new ListQuery("other")));
    }

    [Fact]
    public void Delimiter_folds_names_into_prefixes()
    {
        Put("a", "dir/1", "dir/2", "dir/sub/3", "dir0", "e/1");
        ListPage page = _reader.List(new ListQuery("bucket", Delimiter: "/"));
        Assert.Equal(["a", "dir0"], page.Objects.Select(o => o.Target.Name));
        Assert.Equal(["dir/", "e/"], page.Prefixes);

        page = _reader.List(new ListQuery("bucket", Prefix: "dir/", Delimiter: "/"));
        Assert.Equal(["dir/1", "dir/2"], page.Objects.Select(o => o.Target.Name));
        Assert.Equal(["dir/sub/"], page.Prefixes);
    }

    [Fact]
    public void Prefix_with_nothing_but_tombstones_is_not_shown()
    {
        Put("dead/1", "half/1", "half/2");
        Apply(Delete("dead/1"), Delete("half/1"));
        Assert.Equal(["half/"], _reader.List(new ListQuery("bucket", Delimiter: "/")).Prefixes);
        Assert.Equal(["dead/", "half/"], _reader.List(new ListQuery("bucket", Delimiter: "/", Versions: true)).Prefixes);
    }

    [Fact]
    public void Page_never_ends_within_a_name()
    {
        for (int i = 0; i < 5; i++)
        {
            Put("a", "b");
        }

        ListPage page = _reader.List(new ListQuery("bucket", Limit: 2, Versions: true));
        Assert.Equal(Enumerable.Repeat("a", 5), page.Objects.Select(o => o.Target.Name));
        Assert.Equal([true, false, false, false, false], page.Objects.Select(o => o.IsCurrent));
        Assert.Equal("a", page.Next);
        page = _reader.List(new ListQuery("bucket", Limit: 2, Versions: true, After: page.Next));
        Assert.Equal(Enumerable.Repeat("b", 5), page.Objects.Select(o => o.Target.Name));
        Assert.Equal("", page.Next);
    }

    [Fact]
    public void Page_ends_among_tombstones_without_end()
    {
        for (int part = 0; part < 25; part++)
        {
            Apply([.. Enumerable.Range(0, 1000).Select(i => Delete($"dead/{part:D2}{i:D3}"))]);
        }

        Put("zoo");
        ListPage page = _reader.List(new ListQuery("bucket", Delimiter: "/"));
        Assert.Empty(page.Objects);
        Assert.NotEqual("", page.Next);
        page = _reader.List(new ListQuery("bucket", Delimiter: "/", After: page.Next));
        Assert.Equal(["zoo"], page.Objects.Select(o => o.Target.Name));
        Assert.Empty(page.Prefixes);
        Assert.Equal("", page.Next);
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("", "/")]
    [InlineData("d", "/")]
    [InlineData("d1/", "/")]
    [InlineData("", "1/")]
    public void Pages_of_every_size_join_to_the_same_list(string prefix, string delimiter)
    {
        var random = new RandomSource(5);
        for (int i = 0; i < 150; i++)
        {
            string folder = $"{(random.Chance(0.5) ? "d" : "e")}{random.Below(3)}";
            string name = $"{folder}{(random.Chance(0.6) ? "/" : "-")}{random.Below(4)}{(random.Chance(0.3) ? "/x" : "")}";
            Apply(random.Chance(0.3) ? Delete(name) : Samples.Put(name, versions: 40));
        }

        foreach (bool versions in (bool[])[false, true])
        {
            var query = new ListQuery("bucket", prefix, delimiter, Versions: versions);
            List<string> expected = Model(query);
            Assert.NotEmpty(expected);
            for (int limit = 1; limit < 12; limit++)
            {
                Assert.Equal(expected, AllPages(query with { Limit = limit }));
            }
        }
    }

    // From the plain list of names: what is folded, and what is left.
    private List<string> Model(ListQuery query)
    {
        var result = new List<string>();
        foreach (ListedVersion version in _reader.List(new ListQuery("bucket", Limit: 10_000, Versions: true)).Objects)
        {
            string name = version.Target.Name;
            bool isShown = query.Versions || (version.IsCurrent && version.Kind == OperationKind.Put);
            if (!isShown || !name.StartsWith(query.Prefix, StringComparison.Ordinal))
            {
                continue;
            }

            int at = query.Delimiter.Length == 0 ? -1 : name.IndexOf(query.Delimiter, query.Prefix.Length, StringComparison.Ordinal);
            result.Add(at < 0 ? $"{name} {version.Uid}" : name[..(at + query.Delimiter.Length)]);
        }

        return [.. result.Distinct().OrderBy(
            r => r, Comparer<string>.Create((a, b) => Encoding.UTF8.GetBytes(a).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(b))))];
    }

    private List<string> AllPages(ListQuery query)
    {
        var result = new List<string>();
        int pages = 0;
        while (true)
        {
            ListPage page = _reader.List(query);
            Assert.True(page.Objects.Length > 0 || page.Prefixes.Length > 0 || page.Next.Length == 0);
            result.AddRange(page.Objects.Select(o => $"{o.Target.Name} {o.Uid}"));
            result.AddRange(page.Prefixes);
            if (page.Next.Length == 0)
            {
                break;
            }

            query = query with { After = page.Next };
            Assert.True(++pages < 1000);
        }

        Assert.Equal(result.Distinct().Count(), result.Count);
        result.Sort(CompareBytes);
        return result;
    }

    private static int CompareBytes(string a, string b) => Encoding.UTF8.GetBytes(a).AsSpan().SequenceCompareTo(Encoding.UTF8.GetBytes(b));

    private List<string> Names(ListQuery query)
    {
        ListPage page = _reader.List(query);
        Assert.Equal("", page.Next);
        return [.. page.Objects.Select(o => o.Target.Name)];
    }

    private void Put(params string[] names)
    {
        foreach (string name in names)
        {
            Apply(Samples.Put(name));
        }
    }

    private void Apply(params Operation[] operations) =>
        _catalog.Apply(new CatalogBatch(1, [Submission(Tag(++_stamp), operations)], []));
}
