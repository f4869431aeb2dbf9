using System.Diagnostics;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>
/// Figures of the catalog in a file, in processor time as well, since machines are shared. Run by hand: <c>--explicit only --filter-class
/// *CatalogBenchmark --show-live-output on</c>.
/// </summary>
public sealed class CatalogBenchmark(ITestOutputHelper output)
{
    private const int Submissions = 200_000;

    private readonly RandomSource _random = new(1);
    private ulong _stamp = 1_700_000_000_000UL << 16;

    [Theory(Explicit = true)]
    [InlineData("new names in random order", 64)]
    [InlineData("new names in random order", 512)]
    [InlineData("new names in order", 64)]
    [InlineData("20,000 names again and again", 64)]
    [InlineData("64 clients, 1 KB", 512)]
    public void Submissions_a_second(string names, int batch)
    {
        string folder = Directory.CreateTempSubdirectory("catalog").FullName;
        try
        {
            string path = Path.Combine(folder, "catalog.db");
            using Catalog catalog = Catalog.Open(CatalogLocation.File(path), new CatalogOptions());
            Apply(catalog, names, batch);
            Time("MakeDurable", 1, _ => catalog.MakeDurable());
            using CatalogReader reader = catalog.OpenReader();
            ListPage page = reader.List(new ListQuery("bucket", Limit: 10_000));
            Time("GreatestUid", page.Objects.Length, i => reader.GreatestUid(page.Objects[i].Target));
            Time("Current", page.Objects.Length, i => reader.Current(page.Objects[i].Target));
            Time("Outcome", page.Objects.Length, i => reader.Outcome(page.Objects[i].Tag));
            Time("List, a name", page.Objects.Length, i => _ = i == 0 ? reader.List(new ListQuery("bucket", Limit: 10_000)) : null);
            Time("DigestOf the root", 1000, _ => reader.DigestOf(MergeRange.Root));
            output.WriteLine($"{new FileInfo(path).Length >> 20} MiB");
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private void Apply(Catalog catalog, string names, int batch)
    {
        TimeSpan busy = default;
        TimeSpan waited = default;
        using var process = Process.GetCurrentProcess();
        int done = 0;
        while (done < Submissions)
        {
            var submissions = new Submission[batch];
            for (int i = 0; i < batch; i++)
            {
                submissions[i] = Submission(names, done + i);
            }

            process.Refresh();
            TimeSpan before = process.TotalProcessorTime;
            long start = Stopwatch.GetTimestamp();
            catalog.Apply(new CatalogBatch((ulong)done, [.. submissions], []));
            waited += Stopwatch.GetElapsedTime(start);
            process.Refresh();
            busy += process.TotalProcessorTime - before;
            done += batch;
        }

        output.WriteLine(
            $"{Catalog.Engine}, {names}, batches of {batch}: {done / waited.TotalSeconds:n0} submissions/s, "
            + $"{busy.TotalMicroseconds / done:n1} µs of processor each ({done / busy.TotalSeconds:n0}/s of one core)");
    }

    private Submission Submission(string names, int number)
    {
        string name = names switch
        {
            "64 clients, 1 KB" => $"bench/run/{number % 64}/{number / 64}",
            "new names in order" => $"folder/{number:D9}",
            "new names in random order" => $"folder-{_random.Below(1000)}/{_random.Next():x}",
            _ => $"folder/{_random.Below(20_000)}",
        };
        _stamp += 1600;
        var tag = new Tag(new Uid(new Timestamp(_stamp), NodeId.Parse("s1")), _random.Next());
        int size = names.EndsWith("1 KB", StringComparison.Ordinal) ? 1000 : 100;
        return Samples.Submission(tag, $"{_stamp >> 16:x12}{_random.Next():x16}", Samples.Put(name, new string('x', size)));
    }

    private void Time(string what, int count, Action<int> action)
    {
        action(0);
        long start = Stopwatch.GetTimestamp();
        for (int i = 0; i < count; i++)
        {
            action(i);
        }

        output.WriteLine($"{what}: {Stopwatch.GetElapsedTime(start).TotalMicroseconds / count:n1} µs");
    }
}
