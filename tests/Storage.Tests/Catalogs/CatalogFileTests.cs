using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Storage.Catalogs;
using SQLitePCL;
using Xunit;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>The catalog in a file, and the simulator's disk: reopening, damage, other formats, readers beside the writer.</summary>
public sealed class CatalogFileTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("catalog").FullName;

    private string Path => System.IO.Path.Combine(_folder, "catalog.db");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Engine_says_which_library_it_is() => Assert.Matches(@"^SQLite 3\.\d+\.\d+ \((the system's|bundled)\)$", Catalog.Engine);

    [Fact]
    public void Reopened_catalog_says_what_it_said()
    {
        Digest before;
        using (Catalog catalog = Open())
        {
            catalog.Apply(new CatalogBatch(7, History(new RandomSource(1), 50), [new RejectedTag(Tag(1_000_000_000_000, 2, 9), "key")]));
            catalog.MakeDurable();
            catalog.Apply(new CatalogBatch(9, [Submission(Tag(2_000_000_000_000), Put("last"))], []));
            using CatalogReader reader = catalog.OpenReader();
            before = reader.ContentDigest();
        }

        using (Catalog catalog = Open())
        using (CatalogReader reader = catalog.OpenReader())
        {
            Assert.Equal(9UL, catalog.AppliedPosition);
            Assert.Equal(before, reader.ContentDigest());
            catalog.Apply(new CatalogBatch(10, [Submission(Tag(2_000_000_000_001), Put("more"))], []));
            Assert.NotNull(reader.Current(Name("more")));
        }
    }

    [Fact]
    public void Reader_sees_a_batch_whole_and_does_not_hold_up_the_writer()
    {
        using Catalog catalog = Open();
        using CatalogReader reader = catalog.OpenReader();
        using CatalogReader other = catalog.OpenReader();
        Assert.Null(reader.Current(Name("a")));
        catalog.Apply(new CatalogBatch(
            1, [Submission(Tag(1), Chunked("a", Protocols.Submissions.ContentForm.ChunkedList, 1, 1), Put("b"))], []));

        Assert.NotNull(other.NextUnreadList());
        catalog.MakeDurable();
        catalog.Apply(new CatalogBatch(2, [Submission(Tag(2), Put("c"))], []));
        Assert.NotNull(reader.Current(Name("a")));
        Assert.NotNull(reader.Current(Name("b")));
    }

    [Fact]
    public void What_a_list_without_use_named_is_forgotten_some_of_it_with_each_batch()
    {
        using Catalog catalog = Open();
        using CatalogReader reader = catalog.OpenReader();
        using SqliteDatabase database = SqliteDatabase.Open(Path, readOnly: true);
        catalog.Apply(new CatalogBatch(1, [Submission(Tag(1), Chunked("a", Protocols.Submissions.ContentForm.ChunkedList, 1, 1))], []));
        catalog.AddListed(reader.NextUnreadList()!.Value.Id, [.. Enumerable.Range(100, 2500).Select(Chunk)], isLast: true);
        Assert.Equal(2500, database.Number("SELECT count(*) FROM listed"));

        var left = new List<long>();
        for (int i = 2; i <= 5; i++)
        {
            catalog.Apply(new CatalogBatch((ulong)i, [Submission(Tag(i), Put("a", versions: 1))], []));
            left.Add(database.Number("SELECT count(*) FROM listed")!.Value);
        }

        Assert.Equal([1499, 498, 0, 0], left);
        Assert.Equal(0, database.Number("SELECT count(*) FROM lists"));
    }

    [Fact]
    public void Batch_that_fails_changes_nothing()
    {
        using Catalog catalog = Open();
        using CatalogReader reader = catalog.OpenReader();
        catalog.Apply(new CatalogBatch(1, [Submission(Tag(1), Put("a", versions: 1))], [new RejectedTag(Tag(5), "key")]));
        Digest before = reader.ContentDigest();

        Assert.Throws<InvariantBrokenException>(
            () => catalog.Apply(new CatalogBatch(2, [Submission(Tag(2), Put("a", versions: 1)), Submission(Tag(5), Put("b"))], [])));
        Assert.Equal(before, reader.ContentDigest());
        Assert.Equal(1UL, catalog.AppliedPosition);
        Assert.Equal(1, reader.NameCount("bucket"));

        catalog.Apply(new CatalogBatch(2, [Submission(Tag(2), Put("a", versions: 1))], []));
        Assert.Equal(2UL, reader.DigestOf(MergeRange.Root).Count);
    }

    [Fact]
    public void File_that_is_no_database_is_damaged()
    {
        File.WriteAllText(Path, new string('x', 5000));
        CatalogDamagedException exception = Assert.Throws<CatalogDamagedException>(Open);
        Assert.Contains("catalog.db", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Database_of_another_program_is_refused()
    {
        Execute("CREATE TABLE t(x)");
        Assert.Contains("not a catalog of Carillon", Assert.Throws<CatalogDamagedException>(Open).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Newer_format_is_refused_and_left_alone()
    {
        Open().Dispose();
        Execute("PRAGMA user_version = 5");
        Assert.Contains("format 5", Assert.Throws<CatalogTooNewException>(Open).Message, StringComparison.Ordinal);
        Execute("PRAGMA user_version = 4");
        Open().Dispose();
    }

    [Fact]
    public void Format_of_before_the_feed_is_damage()
    {
        Open().Dispose();
        Execute("PRAGMA user_version = 2");
        Assert.Contains("has format 2", Assert.Throws<CatalogDamagedException>(Open).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_pages_are_found_when_opened()
    {
        using (Catalog catalog = Open())
        {
            catalog.Apply(new CatalogBatch(
                1, [.. Enumerable.Range(1, 3000).Select(i => Submission(Tag(i), Put($"name-{i}", new string('x', 200))))], []));
            catalog.MakeDurable();
        }

        using (FileStream file = File.OpenWrite(Path))
        {
            // Many places, since a page of content only (an overflow page, the middle of a record) is found when it is read.
            for (long at = 4096 * 10; at < file.Length; at += 4096 * 7)
            {
                file.Position = at;
                file.Write(new byte[2048]);
            }
        }

        Assert.Contains("damaged", Assert.Throws<CatalogDamagedException>(Open).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Rotten_record_is_not_served()
    {
        using (Catalog catalog = Open())
        {
            catalog.Apply(new CatalogBatch(1, [Submission(Tag(1), Put("a", "the text that rots"))], []));
            catalog.MakeDurable();
        }

        byte[] bytes = File.ReadAllBytes(Path);
        bytes[bytes.AsSpan().IndexOf("the text that rots"u8) + 3] ^= 1;
        File.WriteAllBytes(Path, bytes);
        using Catalog reopened = Open();
        using CatalogReader reader = reopened.OpenReader();
        StorageException exception = Assert.Throws<StorageException>(() => reader.Current(Name("a")));
        Assert.Equal(StorageFault.Failed, exception.Fault);
        Assert.IsType<CatalogDamagedException>(exception.InnerException);
        Assert.Throws<StorageException>(() => reader.Submission(Tag(1)));
        Assert.Equal(Tag(1).Uid, reader.GreatestUid(Name("a")));
    }

    [Fact]
    public void Crash_in_memory_keeps_what_was_made_durable_and_some_of_the_rest()
    {
        using var memory = new CatalogMemory();
        using (Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), new CatalogOptions()))
        {
            Apply(catalog, 1, 2, 3);
            catalog.MakeDurable();
            Apply(catalog, 4, 5, 6);
        }

        Assert.Equal(3, memory.Commits);
        memory.Crash(1);
        Assert.Equal([1, 2, 3, 4], Held(memory));

        // What survived the crash is in no better a place than before it.
        memory.Crash(0);
        Assert.Equal([1, 2, 3], Held(memory));
        memory.Erase();
        Assert.Empty(Held(memory));
    }

    private static void Apply(Catalog catalog, params int[] numbers)
    {
        foreach (int number in numbers)
        {
            catalog.Apply(new CatalogBatch((ulong)number, [Submission(Tag(number), Put($"{number}"))], []));
        }
    }

    private static List<int> Held(CatalogMemory memory)
    {
        using Catalog catalog = Catalog.Open(CatalogLocation.InMemory(memory), new CatalogOptions());
        using CatalogReader reader = catalog.OpenReader();
        List<int> held = [.. reader.List(new ListQuery("bucket")).Objects.Select(
            o => int.Parse(o.Target.Name, System.Globalization.CultureInfo.InvariantCulture))];
        Assert.Equal((ulong)held.LastOrDefault(), catalog.AppliedPosition);
        return held;
    }

    private Catalog Open() => Catalog.Open(CatalogLocation.File(Path), new CatalogOptions());

    private void Execute(string sql)
    {
        _ = Catalog.Engine;
        Assert.Equal(raw.SQLITE_OK, raw.sqlite3_open(Path, out sqlite3 database));
        Assert.Equal(raw.SQLITE_OK, raw.sqlite3_exec(database, sql));
        Assert.Equal(raw.SQLITE_OK, raw.sqlite3_close(database));
    }
}
