using Carillon.CommandLine;
using Cluster.Tests.Cli;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>Changes of a running cluster, one server at a time.</summary>
public sealed class ClusterChangeTests
{
    [Fact]
    public async Task Dead_server_is_replaced_by_one_command_and_the_cluster_then_bears_the_loss_of_another()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string large = cluster.MakeFile("large", 3 << 20, seed: 1);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("put", large, "files/before")).Code);
        await cluster.KillAsync(1);
        await cluster.UntilAsync(
            "a put without s1", async () => (await cluster.CliAsync("put", large, "files/meanwhile")).Code == ExitCode.Ok);

        await ChangeAsync(cluster, "replace", "s1", "--authority", Path.Combine(cluster.Folder, "made"));
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("put", large, "files/after")).Code);
        cluster.Start(1);
        await cluster.UntilConnectedAsync(3);
        await cluster.UntilAsync("s1 has all again", async () =>
            await cluster.HoldsAsync(1, "files/before", large, "--consistency", "local")
            && await cluster.HoldsAsync(1, "files/after", large, "--consistency", "local"));
        await cluster.UntilAsync("s1 votes", async () => !(await cluster.CliAsync(1, "cluster", "status", "-o", "json")).Output.Contains(
            "\"voting\":false", StringComparison.Ordinal));

        await cluster.KillAsync(2);
        await cluster.UntilAsync("a put with the new disk's vote", async () =>
            (await cluster.CliAsync("put", large, "files/with-s1", "--key", "one")).Code == ExitCode.Ok);
        foreach (string name in new[] { "before", "meanwhile", "after", "with-s1" })
        {
            Assert.True(await cluster.HoldsAsync(3, $"files/{name}", large));
        }
    }

    [Fact]
    public async Task Removed_server_ends_and_tells_by_its_exit_code_that_to_start_it_again_is_no_use()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        await ChangeAsync(cluster, "remove", "s3");
        Assert.Equal(ExitCode.Conflict, await cluster[3].EndAsync());
        Assert.Contains("was removed or replaced", cluster[3].Said, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_that_could_not_hear_that_it_was_replaced_is_told_once_it_can()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        ServerProcess old = cluster[1];
        old.Halt(true);
        string[] replace = ["cluster", "replace", "s1", "--authority", Path.Combine(cluster.Folder, "made")];
        await cluster.UntilAsync("s1 is found to be away", async () => (await cluster.CliAsync(2, replace)).Code == ExitCode.Ok);
        old.Halt(false);
        Assert.Equal(ExitCode.Conflict, await old.EndAsync());

        // Nor does one run on that is replaced while it joins.
        ServerProcess joins = cluster.Start(1);
        await cluster.UntilAsync("it has read its file", () => Task.FromResult(joins.Said.Contains(" is up: ", StringComparison.Ordinal)));
        await cluster.UntilAsync("s1 is replaced again", async () => (await cluster.CliAsync(2, replace)).Code == ExitCode.Ok);
        Assert.Equal(ExitCode.Conflict, await joins.EndAsync());
        cluster.Start(1);
        await UntilItVotesAsync(cluster, 1);
    }

    [Fact]
    public async Task Server_that_is_asked_to_replace_itself_answers_with_the_version_that_was_made_and_ends()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string configuration = cluster.Configuration(1);
        string before = await File.ReadAllTextAsync(configuration, TestContext.Current.CancellationToken);
        string authority = Path.Combine(cluster.Folder, "made");
        CliRun run = await cluster.CliAsync(1, "cluster", "replace", "s1", "--authority", authority, "-o", "name");
        Assert.True(run.Code == ExitCode.Ok, run.Error);
        Assert.Equal("2", run.Output.Trim());
        Assert.NotEqual(before, await File.ReadAllTextAsync(configuration, TestContext.Current.CancellationToken));
        Assert.Equal(ExitCode.Conflict, await cluster[1].EndAsync());
        cluster.Start(1);
        await UntilItVotesAsync(cluster, 1);
    }

    /// <summary>Waits until a server says of itself that it votes.</summary>
    internal static Task UntilItVotesAsync(ProcessCluster cluster, int server) => cluster.UntilAsync($"s{server} votes", async () =>
    {
        CliRun status = await cluster.CliAsync(server, "cluster", "members", "-o", "jsonl");
        return status.Output.Split('\n').Any(line => line.Contains($"\"name\":\"s{server}\"", StringComparison.Ordinal)
            && line.Contains("\"voting\":true", StringComparison.Ordinal));
    });

    [Fact]
    public async Task Wrong_changes_are_refused_and_change_nothing()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        CliRun unknown = await cluster.CliAsync("cluster", "remove", "s9");
        Assert.Equal(ExitCode.NotFound, unknown.Code);
        CliRun there = await cluster.CliAsync("cluster", "add", "s1=127.0.0.1:1", "--authority", Path.Combine(cluster.Folder, "made"));
        Assert.Equal(ExitCode.Conflict, there.Code);
        Assert.Contains("there is a server 's1' already", there.Error, StringComparison.OrdinalIgnoreCase);
        CliRun elsewhere = await cluster.CliAsync("cluster", "replace", "s1", "--authority", cluster.Folder);
        Assert.Equal(ExitCode.Usage, elsewhere.Code);
        string status = (await cluster.CliAsync("cluster", "status", "-o", "json")).Output;
        Assert.Contains("\"configuration\":1", status, StringComparison.Ordinal);
    }

    private static async Task ChangeAsync(ProcessCluster cluster, params string[] change)
    {
        CliRun run = await cluster.CliAsync(["cluster", .. change]);
        Assert.True(run.Code == ExitCode.Ok, run.Error);
    }
}
