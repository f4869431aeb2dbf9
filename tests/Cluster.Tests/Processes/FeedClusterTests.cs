using System.Collections.Concurrent;
using System.Globalization;
using System.Text.Json;
using Carillon.Client;
using Carillon.Client.Feeds;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Cluster.Tests.Cli;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>The feed with real processes: watched through deaths, and deciding conditions.</summary>
public sealed class FeedClusterTests
{
    [Fact]
    public async Task Watch_through_the_death_of_each_server_misses_nothing_and_brings_nothing_twice()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        using CarillonClient client = ClientOf(cluster);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        var seen = new ConcurrentQueue<FeedEntry>();
        Task watching = WatchAsync(client, seen, stop.Token);
        var put = new List<string>();
        for (int server = 1; server <= 3; server++)
        {
            put.Add(await PutAsync(cluster, $"files/before-{server}"));
            await cluster.KillAsync(server);
            put.Add(await PutAsync(cluster, $"files/without-{server}"));
            cluster.Start(server);
            await cluster.UntilConnectedAsync(3);
        }

        string last = await PutAsync(cluster, "files/last");
        put.Add(last);
        await cluster.UntilAsync("the last put is seen", () => Task.FromResult(seen.Any(entry => entry.Uid == last)));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => watching);

        Assert.Equal(put, seen.Select(entry => entry.Uid));
        Assert.Equal(seen.Select(entry => entry.Sequence).Order().Distinct(), seen.Select(entry => entry.Sequence));
    }

    [Fact]
    public async Task Many_race_to_make_an_object_through_all_servers_and_one_wins()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        CliRun[] runs = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => cluster.CliAsync(
            (i % 3) + 1, "put", cluster.MakeFile(string.Create(CultureInfo.InvariantCulture, $"f{i}"), 100, i), "files/race",
            "--if-none-match", "*", "-o", "json")));
        CliRun winner = Assert.Single(runs, run => run.Code == ExitCode.Ok);
        Assert.All(runs, run => Assert.True(run.Code is ExitCode.Ok or ExitCode.Conflict, run.Error));
        string uid = JsonDocument.Parse(winner.Output).RootElement.GetProperty("uid").GetString()!;
        Assert.All(
            runs.Where(run => run.Code == ExitCode.Conflict),
            run => Assert.Equal(uid, JsonDocument.Parse(run.Error).RootElement.GetProperty("winner").GetString()));
        for (int server = 1; server <= 3; server++)
        {
            CliRun stat = await cluster.CliAsync(server, "stat", "files/race", "-o", "json");
            Assert.Equal(uid, JsonDocument.Parse(stat.Output).RootElement.GetProperty("uid").GetString());
        }
    }

    [Fact]
    public async Task Condition_is_decided_by_the_next_sequencer_where_one_died()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string first = await PutAsync(cluster, "files/x");
        CliRun status = await cluster.CliAsync("cluster", "status", "-o", "json");
        string name = JsonDocument.Parse(status.Output).RootElement.GetProperty("feed").GetProperty("sequencer").GetString()!;
        int sequencer = int.Parse(name[1..], CultureInfo.InvariantCulture);
        await cluster.KillAsync(sequencer);
        string file = cluster.MakeFile("next", 100, seed: 1);
        CliRun? swapped = null;
        await cluster.UntilAsync("the version is replaced", async () =>
        {
            // One key: whatever becomes of the first tries, it is replaced once.
            swapped = await cluster.CliAsync("put", file, "files/x", "--if-match", first, "--key", "swap", "-o", "json");
            return swapped.Code == ExitCode.Ok;
        });
        CliRun late = await cluster.CliAsync("put", file, "files/x", "--if-match", first);
        Assert.Equal(ExitCode.Conflict, late.Code);
        CliRun shown = await cluster.CliAsync("submission", "show", "--key", "swap", "-o", "json");
        JsonElement told = JsonDocument.Parse(shown.Output).RootElement;
        Assert.Equal("accepted", told.GetProperty("outcome").GetString());
        Assert.Equal(JsonDocument.Parse(swapped!.Output).RootElement.GetProperty("uid").GetString(), told.GetProperty("uid").GetString());
    }

    [Fact]
    public async Task Reads_where_writes_wait_for_their_numbers_ask_the_sequencer_and_miss_nothing_SAM_86()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("bucket", "set", "files", "--ack-agreed", "off")).Code);
        using var http = new HttpClient();
        int round = 0;
        await cluster.UntilAsync("each server has answered reads by number", async () =>
        {
            int writer = (round++ % 3) + 1;
            string uid = await PutAsync(cluster, string.Create(CultureInfo.InvariantCulture, $"files/{round}"), writer);
            bool hasEach = true;
            for (int reader = 1; reader <= 3; reader++)
            {
                CliRun stat = await cluster.CliAsync(
                    reader, "stat", string.Create(CultureInfo.InvariantCulture, $"files/{round}"), "-o", "json");
                Assert.Equal(uid, JsonDocument.Parse(stat.Output).RootElement.GetProperty("uid").GetString());
                string metrics = await http.GetStringAsync(cluster.Url(reader) + "/metrics", TestContext.Current.CancellationToken);
                string count = metrics.Split('\n').First(l => l.StartsWith("carillon_reads_by_number_total", StringComparison.Ordinal));
                hasEach &= !count.EndsWith(" 0", StringComparison.Ordinal);
            }

            return hasEach;
        });
    }

    private static CarillonClient ClientOf(ProcessCluster cluster) => new(new CarillonClientOptions
    {
        Servers = [.. Enumerable.Range(1, cluster.Count).Select(server => new Uri(cluster.Url(server)))],
    });

    private static async Task WatchAsync(CarillonClient client, ConcurrentQueue<FeedEntry> seen, CancellationToken cancellation)
    {
        await foreach (FeedEntry entry in client.WatchAsync(new WatchOptions { Bucket = "files", From = FeedStart.Begin }, cancellation))
        {
            seen.Enqueue(entry);
        }
    }

    /// <summary>Puts until it is accepted, under one key; its UID.</summary>
    private static async Task<string> PutAsync(ProcessCluster cluster, string name, int server = 0)
    {
        string file = cluster.MakeFile("content", 100, seed: 7);
        string uid = "";
        await cluster.UntilAsync($"{name} is put", async () =>
        {
            string[] command = ["put", file, name, "--key", $"key of {name}"];
            CliRun run = server == 0 ? await cluster.CliAsync(command) : await cluster.CliAsync(server, command);
            uid = run.Output.Trim();
            return run.Code == ExitCode.Ok;
        });
        return uid;
    }
}
