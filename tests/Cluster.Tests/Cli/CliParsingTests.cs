using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>Command lines: what is refused, how it is told, and with which exit code.</summary>
public sealed class CliParsingTests
{
    [Theory]
    [InlineData("putt a files/b", "unknown command 'putt'; did you mean 'put'?")]
    [InlineData("bucket craete files", "unknown command 'craete'; did you mean 'create'?")]
    [InlineData("put a files/b --if-mtach 1-0@s1", "did you mean '--if-match'?")]
    [InlineData("ls --servr http://x", "did you mean '--server'?")]
    [InlineData("put a", "BUCKET/NAME")]
    [InlineData("bucket", "needs a command: create, ls, show, set, rm")]
    [InlineData("put a files/b --links skip", "--links does not go with a single file")]
    [InlineData("put -r . files/b --key k", "--key does not go with -r")]
    [InlineData("get -r files/b", "DIR")]
    [InlineData("service add x -- sleep 1", "--nodes")]
    [InlineData("service add x --nodes s1,S2 -- sleep 1", "'S2'")]
    [InlineData("service add X! --nodes s1 -- sleep 1", "first a letter or digit")]
    [InlineData("service add x --nodes s1,s2 --prefer s3 -- sleep 1", "--prefer s3")]
    [InlineData("service add x --nodes s1,s2 --secondaries 2 -- sleep 1", "--secondaries 2")]
    [InlineData("service add x --nodes s1 --checkpoint-file ../a -- sleep 1", "--checkpoint-file ../a")]
    [InlineData("service add x --nodes s1 --checkpoint-file a", "go with a command")]
    [InlineData("service move x --to S1", "--to S1")]
    [InlineData("service move x --wait soon", "--wait soon")]
    [InlineData("group", "needs a command: create, ls, show, rm")]
    [InlineData("group create BAD", "first a letter or digit")]
    [InlineData("group create g --durability both", "both")]
    [InlineData("group create g --retain-time soon", "--retain-time soon")]
    [InlineData("group create g --retain-time 500ms", "whole seconds")]
    [InlineData("group create g --retain-bytes much", "--retain-bytes much")]
    [InlineData("group creat g", "did you mean 'create'?")]
    [InlineData("publish -g", "-g")]
    [InlineData("publish g file.txt", "--file FILE")]
    [InlineData("publish g --text a --file b", "one of")]
    [InlineData("publish g - --text a", "one of")]
    [InlineData("publish g --text a --message-id x", "SESSION.COUNTER")]
    [InlineData("publish g --lines --message-id 00000000000000010000000000000002.1", "single message")]
    [InlineData("subscribe g --from 0", "--from 0")]
    [InlineData("subscribe g --from yesterday", "--from yesterday")]
    [InlineData("subscribe g --count 0", "--count")]
    [InlineData("bench publish g --size 2MiB", "--size 2MiB")]
    [InlineData("bench publish g --senders 0", "--senders 0")]
    [InlineData("bench publish g --in-flight 0", "--in-flight 0")]
    [InlineData("bench publish g --messages 0", "--messages")]
    [InlineData("bench publish g --seconds 0", "--seconds")]
    [InlineData("stat fi/x", "3 to 63")]
    [InlineData("stat files/../x", "segment")]
    [InlineData("stat files", "use BUCKET/NAME")]
    [InlineData("submission show", "either an ID or --key")]
    [InlineData("ls files -o jsno", "use table, json, jsonl or name")]
    [InlineData("ls files --timeout soon", "--timeout soon")]
    [InlineData("ls files --server ftp://x", "http")]
    [InlineData("ls files --token-file /nowhere/at/all", "there is no such file")]
    [InlineData("bucket set files", "at least one setting")]
    [InlineData("bucket create files --chunk-size huge", "--chunk-size huge")]
    [InlineData("bench put --clients 0", "--clients 0")]
    [InlineData("dev --servers 0", "--servers 0")]
    [InlineData("dev --ephemeral --data x", "leave --data out")]
    [InlineData("cluster init --out x --server S1=h", "NAME=HOST")]
    public async Task Wrong_command_line_is_told_in_one_line_with_exit_code_2(string line, string words)
    {
        CliRun run = await CliRun.OfAsync(line.Split(' '));
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains(words, run.Error, StringComparison.Ordinal);
        Assert.Single(run.Error.TrimEnd('\n').Split('\n'));
        Assert.Equal("", run.Output);
    }

    [Fact]
    public async Task Error_is_an_object_where_results_are_json()
    {
        CliRun run = await CliRun.OfAsync(["stat", "fi/x", "-o", "json"]);
        using var error = JsonDocument.Parse(run.Error);
        Assert.Equal("usage", error.RootElement.GetProperty("code").GetString());
        Assert.Equal(2, error.RootElement.GetProperty("exitCode").GetInt32());
    }

    [Fact]
    public async Task Unreachable_cluster_is_exit_code_1_for_reads_and_writes_alike()
    {
        // Port 1 of loopback: nobody listens there.
        CliRun read = await CliRun.OfAsync(["ls", "--server", "http://127.0.0.1:1"]);
        CliRun write = await CliRun.OfAsync(["rm", "files/a"], new() { ["CARILLON_SERVER"] = "127.0.0.1:1", ["CARILLON_OUTPUT"] = "json" });
        Assert.Equal((ExitCode.Failed, ExitCode.Failed), (read.Code, write.Code));
        Assert.Contains("http://127.0.0.1:1", read.Error, StringComparison.Ordinal);
        Assert.Equal("unreachable", JsonDocument.Parse(write.Error).RootElement.GetProperty("code").GetString());
    }

    [Fact]
    public async Task Every_command_has_help_with_a_description_and_examples()
    {
        foreach (string[] path in Paths(Carillon.Program.CreateRoot(new CommandRunner(new GlobalOptions())), []))
        {
            CliRun run = await CliRun.OfAsync([.. path, "--help"]);
            Assert.Equal(0, run.Code);
            Assert.Contains("Examples:", run.Output, StringComparison.Ordinal);
            Assert.Contains("carillon " + path[0], run.Output, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("cluster", "init")]
    [InlineData("restore")]
    public async Task Help_of_a_command_whose_servers_are_others_tells_one_meaning(params string[] path)
    {
        CliRun run = await CliRun.OfAsync([.. path, "--help"]);
        Assert.Equal(1, run.Output.Split("  --server <").Length - 1);
        Assert.Contains("--server <NAME=HOST[:PORT]>", run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(604_800_000, "7 d")]
    [InlineData(3_600_000, "1 h")]
    [InlineData(90_000_000, "25 h")]
    [InlineData(120_000, "2 m")]
    [InlineData(90_500, "00:01:30.5000000")]
    [InlineData(1500, "1.5 s")]
    public void Duration_is_told_in_the_unit_that_it_is_whole_in(int milliseconds, string words) =>
        Assert.Equal(words, Quantities.Duration(TimeSpan.FromMilliseconds(milliseconds)));

    [Theory]
    [InlineData("bash", "complete -o default")]
    [InlineData("zsh", "#compdef carillon")]
    [InlineData("fish", "complete -c carillon")]
    [InlineData("pwsh", "Register-ArgumentCompleter")]
    public async Task Completion_prints_a_script(string shell, string words)
    {
        CliRun run = await CliRun.OfAsync(["completion", shell]);
        Assert.Equal(0, run.Code);
        Assert.Contains(words, run.Output, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(503, "no-quorum", 7)]
    [InlineData(503, "push-timeout", 7)]
    [InlineData(503, "clock-skew", 7)]
    [InlineData(503, "resolving", 7)]
    [InlineData(503, "read-unavailable", 7)]
    [InlineData(409, "key-rejected", 7)]
    [InlineData(409, "key-mismatch", 5)]
    [InlineData(409, "bucket-exists", 5)]
    [InlineData(409, "bucket-not-empty", 5)]
    [InlineData(412, "precondition-failed", 5)]
    [InlineData(404, "bucket-not-found", 4)]
    [InlineData(404, "not-found", 4)]
    [InlineData(504, "outcome-unknown", 8)]
    [InlineData(401, "unauthorized", 6)]
    [InlineData(403, "foreign-origin", 6)]
    [InlineData(400, "bad-name", 2)]
    [InlineData(413, "too-large", 2)]
    [InlineData(507, "full", 10)]
    [InlineData(501, "needs-feed", 1)]
    [InlineData(500, "internal", 1)]
    [InlineData(400, "integrity", 9)]
    [InlineData(0, "unreachable", 1)]
    [InlineData(0, "timeout", 124)]
    public void Every_problem_has_its_exit_code(
        int status, string code, int exit) => Assert.Equal(exit, ExitCode.Of(Problem.FailureOf(status, code)));

    [Fact]
    public void Unknown_outcome_tells_the_key_whatever_the_reason_was()
    {
        var result = new WriteResult<PutAnswer> { Verdict = Verdict.Unknown, Key = "k1", Problem = Problem.Own(
            "timeout", "no answer in time") };
        ErrorReport report = ErrorReport.Of(result, "files/a");
        Assert.Equal(ExitCode.OutcomeUnknown, report.ExitCode);
        Assert.Contains("--key k1", report.Advice, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("'files/a' does not meet the condition: it is not there.", "'files/a' does not meet the condition: it is not there")]
    [InlineData("No quorum is connected.", "files/a: No quorum is connected")]
    [InlineData("'files/ab' is a folder.", "files/a: 'files/ab' is a folder")]
    public void Refused_write_is_named_once(string detail, string told)
    {
        var result = new WriteResult<PutAnswer> { Verdict = Verdict.Rejected, Key = "k1", Problem = Problem.Own("refused", detail) };
        Assert.Equal(told, ErrorReport.Of(result, "files/a").Message);
    }

    [Theory]
    [InlineData("500ms", 0.5)]
    [InlineData("30s", 30)]
    [InlineData("2m", 120)]
    [InlineData("1h", 3600)]
    [InlineData("1.5", 1.5)]
    public void Durations_are_read(string text, double seconds)
    {
        Assert.True(Quantities.TryDuration(text, out TimeSpan duration));
        Assert.Equal(seconds, duration.TotalSeconds);
    }

    [Theory]
    [InlineData("1KB", 1000)]
    [InlineData("64KiB", 65536)]
    [InlineData("1M", 1048576)]
    [InlineData("1GiB", 1073741824)]
    [InlineData("17", 17)]
    public void Sizes_are_read(string text, long bytes)
    {
        Assert.True(Quantities.TrySize(text, out long size));
        Assert.Equal(bytes, size);
    }

    [Theory]
    [InlineData("")]
    [InlineData("s")]
    [InlineData("-1s")]
    [InlineData("1x")]
    [InlineData("NaN")]
    [InlineData("99999999999999999999h")]
    public void Nonsense_is_neither_a_duration_nor_a_size(string text)
    {
        Assert.False(Quantities.TryDuration(text, out _));
        Assert.False(Quantities.TrySize(text, out _));
    }

    [Fact]
    public void Prefix_is_taken_apart_at_the_first_slash()
    {
        Assert.Equal(new ObjectName("files", "a/b/"), CommandContext.Prefix("files/a/b/"));
        Assert.Equal(new ObjectName("files", ""), CommandContext.Prefix("files"));
    }

    private static IEnumerable<string[]> Paths(Command command, ImmutableArray<string> above)
    {
        foreach (Command each in command.Subcommands)
        {
            ImmutableArray<string> path = above.Add(each.Name);
            yield return [.. path];
            foreach (string[] below in Paths(each, path))
            {
                yield return below;
            }
        }
    }
}
