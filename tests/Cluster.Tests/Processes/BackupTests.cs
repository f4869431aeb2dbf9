using System.Text.Json;
using Carillon.CommandLine;
using Cluster.Tests.Cli;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>Backups of a running cluster, and new clusters made of them.</summary>
public sealed class BackupTests
{
    private static string[] Listing => ["ls", "files", "-r", "--versions", "-o", "json"];

    [Fact]
    public async Task Restored_cluster_says_what_the_backed_up_one_said()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string backup = Path.Combine(cluster.Folder, "backup");
        string large = cluster.MakeFile("large", 5 << 20, seed: 1);
        string small = cluster.MakeFile("small", 100, seed: 2);
        await PutAsync(cluster, large, "files/large");
        await PutAsync(cluster, small, "files/name");
        await PutAsync(cluster, large, "files/gone");
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("rm", "files/gone")).Code);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("cluster", "set", "s2", "--weight", "120")).Code);
        JsonElement first = await BackUpAsync(cluster, backup);
        Assert.Equal(5, first.GetProperty("chunks").GetInt32());

        // The next one fetches what is new, and the first stays good.
        string other = cluster.MakeFile("other", 2 << 20, seed: 3);
        string put = await PutAsync(cluster, other, "files/name", "--key", "second");
        string listing = (await cluster.CliAsync(1, Listing)).Output;
        JsonElement second = await BackUpAsync(cluster, backup, "--keep", "2");
        Assert.Equal(7, second.GetProperty("chunks").GetInt32());
        Assert.InRange(second.GetProperty("fetchedBytes").GetInt64(), 2 << 20, (2 << 20) + 65536);

        using ProcessCluster restored = await RestoreAsync(backup);
        Assert.Equal(listing, (await restored.CliAsync(1, Listing)).Output);
        Assert.True(await restored.HoldsAsync(1, "files/large", large));
        Assert.True(await restored.HoldsAsync(2, "files/name", other));
        Assert.Equal(ExitCode.NotFound, (await restored.CliAsync("stat", "files/gone")).Code);

        // Its key is known, and what comes is newer.
        Assert.Equal(put, await PutAsync(restored, other, "files/name", "--key", "second"));
        await PutAsync(restored, small, "files/name");
        Assert.True(await restored.HoldsAsync(3, "files/name", small));

        // Versions of the old cluster's configuration are none of the new one's.
        CliRun changed = await restored.CliAsync("cluster", "set", "s2", "--weight", "130", "-o", "name");
        Assert.True(changed.Code == ExitCode.Ok, $"{changed.Error}\n{restored.Said}");
        Assert.Equal("4", changed.Output.Trim());

        using ProcessCluster older = await RestoreAsync(backup, "--checkpoint", first.GetProperty("checkpoint").GetString()!);
        Assert.True(await older.HoldsAsync(3, "files/name", small));
    }

    [Fact]
    public async Task Damaged_backup_is_refused_and_mended_by_verifying_it()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string backup = Path.Combine(cluster.Folder, "backup");
        await PutAsync(cluster, cluster.MakeFile("large", 3 << 20, seed: 1), "files/large");
        await BackUpAsync(cluster, backup);
        string chunk = Directory.GetFiles(Path.Combine(backup, "blobs"), "*", SearchOption.AllDirectories)
            .MaxBy(f => new FileInfo(f).Length)!;
        await File.WriteAllBytesAsync(chunk, new byte[1 << 20], TestContext.Current.CancellationToken);

        string made = Path.Combine(cluster.Folder, "restored");
        string[] restore = ["restore", backup, "--out", made, "--server", "s1=127.0.0.1:19990"];
        CliRun refused = await CliRun.OfAsync(restore);
        Assert.Equal(ExitCode.Integrity, refused.Code);
        Assert.False(Directory.Exists(made));
        await BackUpAsync(cluster, backup, "--verify");
        Assert.Equal(ExitCode.Ok, (await CliRun.OfAsync(restore)).Code);
    }

    [Fact]
    public async Task Services_of_a_restored_cluster_can_be_changed_and_run_no_commands_before_they_are_to()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string backup = Path.Combine(cluster.Folder, "backup");
        string ran = Path.Combine(cluster.Folder, "ran");
        Task<CliRun> AddAsync(ProcessCluster to, int server, string name) => CliRun.OfAsync(
        [
            "service", "add", name, "--server", to.Url(server), "--nodes", "s1,s2,s3", "--",
            "sh", "-c", $"echo ran >> {ran}; exec sleep 600",
        ]);

        // A later replica manager wrote the table than the first one of the new cluster.
        CliRun one = await AddAsync(cluster, 1, "one");
        Assert.True(one.Code == ExitCode.Ok, one.Error);
        string manager = await ManagerOfAsync(cluster);
        int server = manager[1] - '0';
        await cluster.KillAsync(server);
        int other = server == 1 ? 2 : 1;
        await cluster.UntilAsync("another manages", async () => (await AddAsync(cluster, other, "two")).Code == ExitCode.Ok);
        await cluster.UntilAsync("both run", () => Task.FromResult(File.Exists(ran) && File.ReadAllLines(ran).Length >= 2));
        CliRun taken = await cluster.CliAsync(other, "backup", backup);
        Assert.True(taken.Code == ExitCode.Ok, taken.Error);
        foreach (int running in new[] { 1, 2, 3 }.Where(s => s != server))
        {
            await cluster.KillAsync(running);
        }

        File.Delete(ran);

        using ProcessCluster restored = await RestoreAsync(backup);
        CliRun added = await AddAsync(restored, 1, "three");
        Assert.True(added.Code == ExitCode.Ok, added.Error);
        await restored.UntilAsync("all are there", async () =>
        {
            string[] names = (await restored.CliAsync("service", "ls", "-o", "name")).Output.Split('\n');
            return names.Contains("one") && names.Contains("two") && names.Contains("three");
        });
        Assert.False(File.Exists(ran));
    }

    private static async Task<string> ManagerOfAsync(ProcessCluster cluster)
    {
        string primary = "";
        await cluster.UntilAsync("a manager", async () =>
        {
            CliRun shown = await cluster.CliAsync("service", "show", "replica-manager", "-o", "json");
            using var document = JsonDocument.Parse(shown.Output.Length > 0 ? shown.Output : "{}");
            primary = document.RootElement.TryGetProperty("primary", out JsonElement found) ? found.GetString() ?? "" : "";
            return primary.Length > 0;
        });
        return primary;
    }

    [Fact]
    public async Task Server_of_a_restored_cluster_can_be_replaced()
    {
        // Nobody has the numbers up to the backup's, and nobody had made a checkpoint that a new disk could begin with.
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string backup = Path.Combine(cluster.Folder, "backup");
        string file = cluster.MakeFile("small", 100, seed: 2);
        await PutAsync(cluster, file, "files/name");
        await BackUpAsync(cluster, backup);
        using ProcessCluster restored = await RestoreAsync(backup);
        await restored.KillAsync(3);
        CliRun replaced = await restored.CliAsync("cluster", "replace", "s3", "--authority", Path.Combine(restored.Folder, "made"));
        Assert.True(replaced.Code == ExitCode.Ok, replaced.Error);
        restored.Start(3);
        await ClusterChangeTests.UntilItVotesAsync(restored, 3);
        Assert.True(await restored.HoldsAsync(3, "files/name", file, "--consistency", "local"));
    }

    [Fact]
    public async Task Damaged_earlier_checkpoint_is_told_and_keeps_no_new_one_from_being_made()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string backup = Path.Combine(cluster.Folder, "backup");
        await PutAsync(cluster, cluster.MakeFile("small", 100, seed: 2), "files/name");
        string first = (await BackUpAsync(cluster, backup)).GetProperty("checkpoint").GetString()!;
        await PutAsync(cluster, cluster.MakeFile("other", 200, seed: 3), "files/name");
        string list = Path.Combine(backup, "checkpoints", first + ".list");
        await File.WriteAllBytesAsync(list, new byte[10], TestContext.Current.CancellationToken);

        CliRun run = await cluster.CliAsync("backup", backup, "-o", "json");
        Assert.Equal(ExitCode.Integrity, run.Code);
        Assert.Contains(list, run.Error, StringComparison.Ordinal);
        using var report = JsonDocument.Parse(run.Output);
        Assert.Equal(first, Assert.Single(report.RootElement.GetProperty("damaged").EnumerateArray().ToArray()).GetString());
        string[] restore = ["restore", backup, "--out", Path.Combine(cluster.Folder, "restored"), "--server", "s1=127.0.0.1:19990"];
        Assert.Equal(ExitCode.Ok, (await CliRun.OfAsync(restore)).Code);

        // Nor is an older one given up for it, which may be what is wanted.
        Assert.Equal(ExitCode.Integrity, (await cluster.CliAsync("backup", backup, "--keep", "3")).Code);
        Assert.Equal(3, Directory.GetFiles(Path.Combine(backup, "checkpoints")).Length);
        File.Delete(list);
        Assert.Empty((await BackUpAsync(cluster, backup)).GetProperty("damaged").EnumerateArray());
        await File.WriteAllTextAsync(Path.Combine(backup, "carillon-backup.json"), "{", TestContext.Current.CancellationToken);
        Assert.Equal(ExitCode.Integrity, (await cluster.CliAsync("backup", backup)).Code);
    }

    [Fact]
    public async Task Backup_goes_into_no_folder_of_something_else()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync(1);
        Assert.Equal(ExitCode.Conflict, (await cluster.CliAsync("backup", cluster.Folder)).Code);
    }

    private static async Task<string> PutAsync(ProcessCluster cluster, string file, string name, params string[] options)
    {
        CliRun put = await cluster.CliAsync(["put", file, name, "-o", "name", .. options]);
        Assert.True(put.Code == ExitCode.Ok, put.Error);
        return put.Output;
    }

    private static async Task<JsonElement> BackUpAsync(ProcessCluster cluster, string folder, params string[] options)
    {
        CliRun run = await cluster.CliAsync(["backup", folder, "-o", "json", .. options]);
        Assert.True(run.Code == ExitCode.Ok, run.Error);
        using var document = JsonDocument.Parse(run.Output);
        return document.RootElement.Clone();
    }

    private static async Task<ProcessCluster> RestoreAsync(string backup, params string[] options)
    {
        ProcessCluster restored = await ProcessCluster.MakeAsync(3, ["restore", backup, .. options]);
        for (int server = 1; server <= 3; server++)
        {
            restored.Start(server);
        }

        await restored.UntilConnectedAsync(3);
        return restored;
    }
}
