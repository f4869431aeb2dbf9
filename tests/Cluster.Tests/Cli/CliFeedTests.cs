using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Gateway;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>The feed, conditions and acknowledgements by the command line, against a gateway whose server is in memory.</summary>
public sealed class CliFeedTests : IAsyncLifetime
{
    private readonly FakeServer _server = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-cli-").FullName;
    private HttpGateway _gateway = null!;

    public async ValueTask InitializeAsync()
    {
        _gateway = await HttpGateway.StartAsync(new GatewayOptions { Port = 0 }, _server);
        await File.WriteAllTextAsync(Path.Combine(_folder, "a"), "content");
    }

    public async ValueTask DisposeAsync()
    {
        await _gateway.StopAsync(new CancellationToken(true));
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Changes_are_printed_in_each_form()
    {
        _server.Feed.Add("files/a");
        _server.Feed.Add("files/b", "-other/c");
        _server.Feed.Add(FeedVerdict.Superseded, "files/d");
        JsonElement[] lines = Lines(await RunAsync("watch --from begin --count 3 -o jsonl"));
        Assert.Equal([1, 2, 2, 3], lines.Select(line => line.GetProperty("sequence").GetInt32()));
        Assert.Equal(["files", "files", "other", "files"], lines.Select(line => line.GetProperty("bucket").GetString()));
        Assert.Equal(["a", "b", "c", "d"], lines.Select(line => line.GetProperty("name").GetString()));
        Assert.Equal(["put", "put", "delete", "put"], lines.Select(line => line.GetProperty("kind").GetString()));
        Assert.Equal([7, 7, 0, 7], lines.Select(line => line.GetProperty("size").GetInt32()));
        Assert.Equal(JsonValueKind.Null, lines[2].GetProperty("sha256").ValueKind);
        Assert.True(lines[1].GetProperty("more").GetBoolean());
        Assert.True(lines[3].GetProperty("superseded").GetBoolean());
        Assert.All(lines, line => Assert.NotEqual("", line.GetProperty("uid").GetString()));
        Assert.Equal("other/c\n", (await RunAsync("watch other --from begin --count 1 -o name")).Output);
        CliRun table = await RunAsync("watch files/d --from 1 --count 1");
        Assert.StartsWith("3  ", table.Output, StringComparison.Ordinal);
        Assert.Contains("files/d", table.Output, StringComparison.Ordinal);
        Assert.Contains("superseded", table.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Interrupted_watch_has_printed_what_came()
    {
        _server.Feed.Add("files/a");
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        CliRun run = await CliRun.OfAsync(
            ["watch", "--from", "1", "-o", "name"], Environment(), () => ExitCode.Interrupted, stop.Token);
        Assert.Equal((ExitCode.Interrupted, "files/a\n"), (run.Code, run.Output));
    }

    [Fact]
    public async Task Number_that_is_gone_is_told_with_where_to_go_on()
    {
        _server.Feed.Add("files/a");
        _server.Feed.Add("files/b");
        _server.Feed.Trim(2);
        CliRun run = await RunAsync("watch --from 1");
        Assert.Equal(ExitCode.NotFound, run.Code);
        Assert.Contains("--from 3", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("watch --from 0")]
    [InlineData("watch --count 0")]
    [InlineData("watch Files")]
    [InlineData("put a files/x --if-match yesterday")]
    [InlineData("put a files/x --if-match 1-0@s1 --if-none-match")]
    [InlineData("put a files/x --ack soon")]
    [InlineData("put -r . files/x --if-none-match")]
    public async Task Wrong_use_is_exit_code_2(string line) => Assert.Equal(ExitCode.Usage, (await RunAsync(line)).Code);

    [Theory]
    [InlineData("--if-none-match")]
    [InlineData("--if-none-match *")]
    [InlineData("--if-none-match=*")]
    public async Task Object_is_made_once(string condition)
    {
        JsonElement made = Json(await RunAsync($"put {PathOf("a")} files/once {condition} -o json"));
        Assert.Equal(1, made.GetProperty("sequence").GetInt32());
        CliRun again = await RunAsync($"put {condition} {PathOf("a")} files/once -o json");
        Assert.Equal(ExitCode.Conflict, again.Code);
        JsonElement error = JsonDocument.Parse(again.Error).RootElement;
        Assert.Equal("precondition-failed", error.GetProperty("code").GetString());
        Assert.Equal(made.GetProperty("uid").GetString(), error.GetProperty("winner").GetString());
        Assert.Equal(Precondition.Absent, _server.Submissions.First().Operations[0].Precondition);
    }

    [Fact]
    public async Task Version_is_replaced_copied_over_and_removed_only_where_it_is_the_current_one()
    {
        string first = (await RunAsync($"put {PathOf("a")} files/x")).Output.Trim();
        string second = (await RunAsync($"put {PathOf("a")} files/x --if-match {first}")).Output.Trim();
        Assert.Equal(ExitCode.Conflict, (await RunAsync($"put {PathOf("a")} files/x --if-match \"{first}\"")).Code);
        Assert.Equal(ExitCode.Conflict, (await RunAsync($"cp files/x files/x --if-match {first}")).Code);
        Assert.Equal(ExitCode.Conflict, (await RunAsync($"cp files/x files/x --if-none-match")).Code);
        Assert.Equal(ExitCode.Conflict, (await RunAsync($"rm files/x --if-match {first}")).Code);
        Assert.Equal(ExitCode.Ok, (await RunAsync($"rm files/x --if-match \"{second}\"")).Code);
        Assert.Equal(ExitCode.Conflict, (await RunAsync($"put {PathOf("a")} files/x --if-match {second}")).Code);
        Assert.Equal(ExitCode.Ok, (await RunAsync($"put {PathOf("a")} files/x --if-none-match")).Code);
    }

    [Fact]
    public async Task Changeset_with_conditions_is_carried_out_as_a_whole_or_not_at_all()
    {
        string uid = (await RunAsync($"put {PathOf("a")} files/x")).Output.Trim();
        string file = Path.Combine(_folder, "set.json");
        await File.WriteAllTextAsync(
            file, $$"""{"operations":[{"put":"files/x","file":"a","ifMatch":"{{uid}}"},{"put":"files/y","text":"1","ifNoneMatch":true}]}""");
        Assert.Equal(2, Json(await RunAsync($"changeset {file} -o json")).GetProperty("sequence").GetInt32());
        CliRun again = await RunAsync($"changeset {file}");
        Assert.Equal(ExitCode.Conflict, again.Code);
        Assert.Contains("files/x", again.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Write_that_is_only_agreed_is_ok_unless_its_number_was_asked_for()
    {
        JsonElement agreed = Json(await RunAsync($"put {PathOf("a")} files/x --ack agreed -o json"));
        Assert.Equal(JsonValueKind.Null, agreed.GetProperty("sequence").ValueKind);
        Assert.Equal(ExitCode.Ok, (await RunAsync("rm files/x --ack agreed")).Code);
        Assert.Equal(ExitCode.Ok, (await RunAsync($"put {PathOf("a")} files/x --ack sequenced")).Code);
        _server.OnSubmit = _ => Task.FromResult<SubmitOutcome>(new SubmitOutcome.Accepted(_server.NextTag(), false));
        Assert.Equal(ExitCode.Ok, (await RunAsync($"put {PathOf("a")} files/x")).Code);
        foreach (string line in (string[])[$"put {PathOf("a")} files/x", "rm files/x", "cp files/x files/y"])
        {
            CliRun run = await RunAsync($"{line} --ack sequenced --key k1 -o json");
            Assert.Equal(ExitCode.OutcomeUnknown, run.Code);
            JsonElement error = JsonDocument.Parse(run.Error).RootElement;
            Assert.Equal("not-sequenced", error.GetProperty("code").GetString());
            Assert.Equal("k1", error.GetProperty("key").GetString());
            Assert.Contains("submission show --key k1", error.GetProperty("advice").GetString(), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Submission_is_shown_with_its_place_in_the_feed()
    {
        _server.OnShow = tag => new SubmissionReport(tag, SubmissionState.Rejected, [])
        {
            Sequenced = new FeedOutcome(new(17), FeedVerdict.Refused),
        };
        CliRun run = await RunAsync("submission show 1-0@s1.0000000000000001");
        Assert.Contains("sequence  17", run.Output, StringComparison.Ordinal);
        Assert.Contains("refused", run.Output, StringComparison.Ordinal);
        JsonElement json = Json(await RunAsync("submission show 1-0@s1.0000000000000001 -o json"));
        Assert.Equal(17, json.GetProperty("sequence").GetInt32());
        Assert.Equal("rejected", json.GetProperty("outcome").GetString());
    }

    [Fact]
    public async Task Bucket_is_answered_by_the_feed_only_where_it_is_set_so()
    {
        Assert.Equal(ExitCode.Ok, (await RunAsync("bucket set files --ack-agreed off")).Code);
        Assert.Contains("ack agreed     off", (await RunAsync("bucket show files")).Output, StringComparison.Ordinal);
        Assert.False((await _server.BucketAsync("files"))!.AckAgreed);
        JsonElement set = Json(await RunAsync("bucket set files --ack-agreed on -o json"));
        Assert.True(set.GetProperty("ackAgreed").GetBoolean());
    }

    [Fact]
    public async Task Check_of_the_feed_wants_a_sequencer_and_all_numbers_applied()
    {
        CliRun none = await RunAsync("check feed");
        Assert.Equal(ExitCode.NoQuorum, none.Code);
        Assert.Contains("no server gives", none.Error, StringComparison.Ordinal);
        _server.Cluster = _server.Cluster with { Feed = new FeedStatus(3, NodeId.Parse("s2"), new(17), default, new(17)) };
        CliRun away = await RunAsync("check feed");
        Assert.Equal(ExitCode.NoQuorum, away.Code);
        Assert.Contains("no server gives", away.Error, StringComparison.Ordinal);
        ServerStatus s2 = _server.Cluster.Servers[0] with { Name = NodeId.Parse("s2"), State = "connected" };
        _server.Cluster = _server.Cluster with
        {
            Servers = [_server.Cluster.Servers[0], s2], Feed = new FeedStatus(3, NodeId.Parse("s2"), new(17), default, new(16)),
        };
        CliRun behind = await RunAsync("check feed --wait 300ms");
        Assert.Equal(ExitCode.TimedOut, behind.Code);
        Assert.Contains("16 of 17", behind.Error, StringComparison.Ordinal);
        _server.Cluster = _server.Cluster with { Feed = new FeedStatus(3, NodeId.Parse("s2"), new(17), default, new(17)) };
        Assert.Equal(ExitCode.Ok, (await RunAsync("check feed")).Code);
    }

    private static JsonElement Json(CliRun run)
    {
        Assert.True(run.Code == ExitCode.Ok, run.Error);
        return JsonDocument.Parse(run.Output).RootElement;
    }

    private static JsonElement[] Lines(CliRun run)
    {
        Assert.True(run.Code == ExitCode.Ok, run.Error);
        return [.. run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => JsonDocument.Parse(line).RootElement)];
    }

    private string PathOf(string name) => Path.Combine(_folder, name);

    private Dictionary<string, string> Environment() => new() { ["CARILLON_SERVER"] = _gateway.Address.ToString() };

    private Task<CliRun> RunAsync(string line) => CliRun.OfAsync(line.Split(' '), Environment());
}
