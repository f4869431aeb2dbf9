using System.Text;
using System.Text.Json;
using Carillon.Benchmarks;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Commands;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>Changeset files, and the figures of benchmarks: what needs no server.</summary>
public sealed class CliChangesetTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-changeset-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Files_become_parts_and_everything_else_stays()
    {
        await File.WriteAllTextAsync(Path.Combine(_folder, "a b.txt"), "x", TestContext.Current.CancellationToken);
        Changeset changeset = ChangesetCommand.Read(
            """
            {"operations":[
              {"put":"files/a","file":"a b.txt"},{"put":"files/b","text":"t","ifMatch":"1-0@s1"},{"delete":"files/c"}]}
            """u8.ToArray(),
            _folder);
        Assert.Equal(new KeyValuePair<string, string>("file-1", Path.Combine(_folder, "a b.txt")), Assert.Single(changeset.Files));
        using var json = JsonDocument.Parse(changeset.Json);
        JsonElement[] operations = [.. json.RootElement.GetProperty("operations").EnumerateArray()];
        Assert.Equal("file-1", operations[0].GetProperty("file").GetString());
        Assert.Equal("1-0@s1", operations[1].GetProperty("ifMatch").GetString());
        Assert.Equal("files/c", operations[2].GetProperty("delete").GetString());
    }

    [Theory]
    [InlineData("{", "not JSON")]
    [InlineData("{}", "operations")]
    [InlineData("""{"operations":[]}""", "1 to 1000")]
    [InlineData("""{"operations":[{"put":"files/a"}]}""", "one of file, text and base64")]
    [InlineData("""{"operations":[{"put":"files/a","text":"x","file":"y"}]}""", "one of file, text and base64")]
    [InlineData("""{"operations":[{"delete":"files/a","text":"x"}]}""", "no content")]
    [InlineData("""{"operations":[{"put":"files/a","delete":"files/b"}]}""", "either put or delete")]
    [InlineData("""{"operations":[{"putt":"files/a"}]}""", "did you mean 'put'?")]
    [InlineData("""{"operations":[{"put":"files","text":"x"}]}""", "BUCKET/NAME")]
    [InlineData("""{"operations":[{"put":7,"text":"x"}]}""", "BUCKET/NAME")]
    public void Wrong_changeset_is_told_where_and_why(string json, string words)
    {
        UsageException fault = Assert.Throws<UsageException>(() => ChangesetCommand.Read(Encoding.UTF8.GetBytes(json), _folder));
        Assert.Contains(words, fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Missing_file_of_a_changeset_is_told()
    {
        ExitException fault = Assert.Throws<ExitException>(() =>
            ChangesetCommand.Read("""{"operations":[{"put":"files/a","file":"nowhere"}]}"""u8.ToArray(), _folder));
        Assert.Contains("nowhere", fault.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Percentile_is_the_nearest_rank()
    {
        double[] hundred = [.. Enumerable.Range(1, 100).Select(i => (double)i)];
        Assert.Equal(50, Bench.Percentile(hundred, 0.5));
        Assert.Equal(99, Bench.Percentile(hundred, 0.99));
        Assert.Equal(7, Bench.Percentile([7], 0.99));
        Assert.Equal(0, Bench.Percentile([], 0.5));
    }

    [Fact]
    public void Flushes_are_summed_over_all_counters_of_flushes_and_nothing_else()
    {
        const string page = """
            # TYPE carillon_log_flushes_total counter
            carillon_log_flushes_total{store="log"} 12
            carillon_chunks_flushes_total 3
            carillon_flushes_seconds_bucket{le="1"} 99
            carillon_loop_items_total 1000
            other_flushes_total 5
            """;
        Assert.Equal(15, FlushCount.Sum(page));
        Assert.Null(FlushCount.Sum("carillon_loop_items_total 1000\n"));
    }
}
