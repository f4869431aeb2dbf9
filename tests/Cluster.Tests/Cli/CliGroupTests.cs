using System.Globalization;
using System.Text;
using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Gateway;
using Carillon.Gateway.Tests.Groups;
using Carillon.Gateway.Tests.Serving;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>Groups by the command line, against a gateway whose groups are in memory.</summary>
public sealed class CliGroupTests : IAsyncLifetime
{
    private readonly FakeGroups _groups = new("g");
    private readonly FakeGroupGate _gate;
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-cli-").FullName;
    private HttpGateway _gateway = null!;

    public CliGroupTests() => _gate = new FakeGroupGate(_groups);

    public async ValueTask InitializeAsync() => _gateway = await HttpGateway.StartAsync(
        new GatewayOptions { Port = 0 }, new FakeServer(), groupGate: _gate);

    public async ValueTask DisposeAsync()
    {
        await _gateway.StopAsync(new CancellationToken(true));
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task Group_is_made_shown_listed_and_removed()
    {
        Assert.Equal(ExitCode.Ok, (await RunAsync("group create made --durability memory --retain-time 1h --lifetime 5000")).Code);
        Assert.Equal(
            new GroupSettings { Durability = GroupDurability.Memory, RetainTime = TimeSpan.FromHours(1), Lifetime = 5000 },
            _groups["made"].Settings);
        CliRun other = await RunAsync("group create made");
        Assert.Equal(ExitCode.Conflict, other.Code);
        Assert.Contains("other settings", other.Error, StringComparison.Ordinal);
        Assert.Equal("g\nmade\n", (await RunAsync("group ls -o name")).Output);
        Assert.Contains("memory", (await RunAsync("group show made")).Output, StringComparison.Ordinal);
        JsonElement shown = Json(await RunAsync("group show made -o json"));
        Assert.Equal(5000u, shown.GetProperty("lifetime").GetUInt64());
        Assert.False(shown.GetProperty("fifo").GetBoolean());
        Assert.Equal(ExitCode.Ok, (await RunAsync("group create ordered --fifo")).Code);
        Assert.True(_groups["ordered"].Settings.Fifo);
        Assert.Contains("each sender's (fifo)", (await RunAsync("group show ordered")).Output, StringComparison.Ordinal);
        Assert.Contains("fifo", (await RunAsync("group ls")).Output, StringComparison.Ordinal);
        Assert.True(Json(await RunAsync("group show ordered -o json")).GetProperty("fifo").GetBoolean());
        Assert.Equal(ExitCode.Conflict, (await RunAsync("group create ordered")).Code);
        Assert.True(Json(await RunAsync("group rm made -o json")).GetProperty("existed").GetBoolean());
        Assert.Contains("there was no group", (await RunAsync("group rm made")).Error, StringComparison.Ordinal);
        CliRun gone = await RunAsync("group show made");
        Assert.Equal(ExitCode.NotFound, gone.Code);
        Assert.Contains("carillon group create", gone.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Message_is_sent_and_its_number_printed()
    {
        Assert.Equal("1\n", (await RunAsync("publish g --text hello")).Output);
        string file = Path.Combine(_folder, "payload");
        await File.WriteAllBytesAsync(file, [0xFF, 0]);
        JsonElement sent = Json(await RunAsync($"publish g --file {file} -o json"));
        Assert.Equal(2u, sent.GetProperty("sequence").GetUInt64());
        Assert.Equal(_groups["g"].Messages()[1].Id.ToString(), sent.GetProperty("messageId").GetString());
        Assert.Equal([0xFF, 0], _groups["g"].Messages()[1].Payload.ToArray());
        CliRun again = await RunAsync($"publish g --text hello --message-id {_groups["g"].Messages()[0].Id}");
        Assert.Equal("1\n", again.Output);
        Assert.Equal(ExitCode.NotFound, (await RunAsync("publish none --text hello")).Code);
    }

    [Fact]
    public async Task Lines_are_messages_whose_numbers_stand_in_the_order_of_the_lines()
    {
        string file = Path.Combine(_folder, "lines");
        await File.WriteAllTextAsync(file, string.Join('\n', Enumerable.Range(0, 3000).Select(i => $"line {i}")) + "\n\nlast");
        CliRun run = await RunAsync($"publish g --lines --file {file}");
        Assert.Equal(ExitCode.Ok, run.Code);
        string[] numbers = run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(3002, numbers.Length);
        Dictionary<ulong, string> texts = _groups["g"].Messages()
            .ToDictionary(m => m.Number.Value, m => Encoding.UTF8.GetString(m.Payload.Span));
        string[] lines = [.. Enumerable.Range(0, 3000).Select(i => $"line {i}"), "", "last"];
        Assert.Equal(lines, numbers.Select(n => texts[ulong.Parse(n, CultureInfo.InvariantCulture)]));
    }

    [Fact]
    public async Task Message_that_is_too_long_is_refused_before_it_is_sent()
    {
        string file = Path.Combine(_folder, "long");
        await File.WriteAllBytesAsync(file, new byte[GroupSettings.MaxPayloadBytes + 1]);
        Assert.Equal(ExitCode.Usage, (await RunAsync($"publish g --file {file}")).Code);
        Assert.Equal(ExitCode.Usage, (await RunAsync($"publish g --lines --file {file}")).Code);
        Assert.Empty(_groups["g"].Messages());
    }

    [Fact]
    public async Task Outcome_that_is_not_known_is_exit_code_8_with_the_id()
    {
        _gate.OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(new PublishOutcome.Unknown("no quorum"));
        CliRun run = await RunAsync("publish g --text hello --timeout 2s -o json");
        Assert.Equal(ExitCode.OutcomeUnknown, run.Code);
        JsonElement error = JsonDocument.Parse(run.Error).RootElement;
        Assert.Equal("outcome-unknown", error.GetProperty("code").GetString());
        Assert.Equal(_gate.Published.First().Id.ToString(), error.GetProperty("messageId").GetString());
    }

    [Fact]
    public async Task Refusal_is_exit_code_7()
    {
        _gate.OnPublish = (_, _) => Task.FromResult<PublishOutcome?>(new PublishOutcome.Refused("full", TimeSpan.FromMinutes(5)));
        Assert.Equal(ExitCode.NoQuorum, (await RunAsync("publish g --text hello")).Code);
    }

    [Fact]
    public async Task Messages_are_printed_in_each_form()
    {
        _groups["g"].Add("a \"b\"\nc");
        _groups["g"].Add(new MessageId(new SessionId(0xAB00000000000000, 1), 9), new byte[] { 0xFF });
        CliRun json = await RunAsync("subscribe g --from begin --count 2 -o jsonl");
        Assert.Equal(ExitCode.Ok, json.Code);
        JsonElement[] lines =
            [.. json.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(l => JsonDocument.Parse(l).RootElement)];
        Assert.Equal([1UL, 2UL], lines.Select(l => l.GetProperty("sequence").GetUInt64()));
        Assert.Equal("a \"b\"\nc", lines[0].GetProperty("payload").GetString());
        Assert.Equal("/w==", lines[1].GetProperty("payloadBase64").GetString());
        Assert.Equal("ab000000000000000000000000000001", lines[1].GetProperty("sender").GetString());
        Assert.Equal("ab000000000000000000000000000001.9", lines[1].GetProperty("messageId").GetString());
        Assert.Equal("2\n", (await RunAsync("subscribe g --from 2 --count 1 -o name")).Output);
        Assert.Equal("2  ab000000  (1 bytes)\n", (await RunAsync("subscribe g --from 2 --count 1")).Output);
    }

    [Fact]
    public async Task Interrupted_subscription_has_printed_what_came()
    {
        _groups["g"].Add("one");
        using var stop = new CancellationTokenSource(TimeSpan.FromSeconds(2));
        CliRun run = await CliRun.OfAsync(
            ["subscribe", "g", "--from", "1", "-o", "name"], Environment(), () => ExitCode.Interrupted, stop.Token);
        Assert.Equal((ExitCode.Interrupted, "1\n"), (run.Code, run.Output));
    }

    [Fact]
    public async Task Number_that_is_gone_is_told_with_the_first_that_is_kept()
    {
        _groups["g"].Add("one");
        _groups["g"].Add("two");
        _groups["g"].Trim(2);
        CliRun run = await RunAsync("subscribe g --from 1");
        Assert.Equal(ExitCode.NotFound, run.Code);
        Assert.Contains("from 2", run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Benchmark_tells_its_figures()
    {
        JsonElement figures = Json(await RunAsync("bench publish load --durability memory --size 100 --senders 2 --in-flight 8 --messages 500 --no-limits -o json -q"));
        Assert.Equal(500, figures.GetProperty("messages").GetInt64());
        Assert.Equal(0, figures.GetProperty("errors").GetInt64());
        Assert.Equal("memory", figures.GetProperty("durability").GetString());
        Assert.True(figures.GetProperty("messagesPerSecond").GetDouble() > 0);
        Assert.Equal(500, _groups["load"].Messages().Length);
        CliRun table = await RunAsync("bench publish load --messages 10 --no-limits -q");
        Assert.Contains("P99.9 ms", table.Output, StringComparison.Ordinal);
        Assert.Equal(ExitCode.Usage, (await RunAsync("bench publish load --durability durable --messages 10")).Code);
    }

    private static JsonElement Json(CliRun run)
    {
        Assert.True(run.Code == ExitCode.Ok, run.Error);
        return JsonDocument.Parse(run.Output).RootElement;
    }

    private Dictionary<string, string> Environment() => new() { ["CARILLON_SERVER"] = _gateway.Address.ToString() };

    private Task<CliRun> RunAsync(string line) => CliRun.OfAsync(line.Split(' '), Environment());
}
