using System.Globalization;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;
using Cluster.Tests.Cli;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>The main job with real processes, sockets and disks: what is accepted is there, whichever server dies or is damaged.</summary>
public sealed class ProcessClusterTests
{
    private const int Large = 3 << 20;

    [Fact]
    public async Task Put_survives_the_kill_of_the_server_that_took_it()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string large = cluster.MakeFile("large", Large, seed: 1);
        string small = cluster.MakeFile("small", 100, seed: 2);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(1, "put", large, "files/large")).Code);
        await cluster.KillAsync(1);

        Assert.Equal(await ReadAsync(large), await cluster.GetAsync(3, "files/large"));
        await cluster.UntilAsync(
            "a put without s1", async () => (await cluster.CliAsync(2, "put", small, "files/small")).Code == ExitCode.Ok);

        cluster.Start(1);
        await cluster.UntilConnectedAsync(3);
        await cluster.UntilAsync("s1 has what it missed", () => cluster.HoldsAsync(1, "files/small", small, "--consistency", "local"));
        Assert.Equal(await ReadAsync(large), await cluster.GetAsync(1, "files/large"));
    }

    [Theory]
    [InlineData("log/00000001.segment", 4096)]
    [InlineData("catalog.db", 100)]
    [InlineData("identity", 20)]
    [InlineData("chunks", 1 << 20)]
    public async Task Flipped_byte_costs_nothing_that_was_accepted(string file, int offset)
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string large = cluster.MakeFile("large", Large, seed: 3);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(1, "put", large, "files/large")).Code);
        await cluster.UntilAsync("s3 has it", async () =>
            (await cluster.GetAsync(3, "files/large", "--consistency", "local")) is not null);
        await cluster.KillAsync(3);
        foreach (string path in FilesOf(Path.Combine(cluster.Data(3), file)))
        {
            Flip(path, offset);
        }

        ServerProcess damaged = cluster.Start(3);
        await cluster.UntilAsync(
            "the others take a put", async () => (await cluster.CliAsync(1, "put", large, "files/again")).Code == ExitCode.Ok);
        Assert.Equal(await ReadAsync(large), await cluster.GetAsync(2, "files/large"));
        await cluster.UntilAsync("s3 serves it, or has ended and says why", async () => damaged.HasEnded
            || await cluster.HoldsAsync(3, "files/large", large, "--consistency", "local"));
        if (damaged.HasEnded)
        {
            // One line, which tells what to do.
            Assert.StartsWith("carillon: ", damaged.Said.Split('\n')[^1], StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Server_whose_log_is_gone_does_not_vote_and_says_so()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string file = cluster.MakeFile("content", 1000, seed: 1);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(2, "put", file, "files/a")).Code);
        await cluster.UntilAsync("it is applied", () => cluster.HoldsAsync(2, "files/a", file, "--consistency", "local"));
        await cluster.KillAsync(2);
        Directory.Delete(Path.Combine(cluster.Data(2), "log"), recursive: true);
        cluster.Start(2);
        await cluster.UntilAsync("it tells that it does not vote", async () =>
        {
            CliRun status = await cluster.CliAsync(2, "cluster", "status", "-o", "json");
            return status.Code == ExitCode.Ok && status.Output.Contains("the log is gone", StringComparison.Ordinal);
        });
        Assert.True(await cluster.HoldsAsync(1, "files/a", file));
    }

    [Fact]
    public async Task Catalog_without_a_byte_is_rebuilt_from_the_others()
    {
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        string file = cluster.MakeFile("content", 1000, seed: 1);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(2, "put", file, "files/a")).Code);
        await cluster.KillAsync(2);
        foreach (string part in Directory.GetFiles(cluster.Data(2), "catalog.db*"))
        {
            await File.WriteAllBytesAsync(part, [], TestContext.Current.CancellationToken);
        }

        cluster.Start(2);
        await cluster.UntilAsync("it has it again", () => cluster.HoldsAsync(2, "files/a", file, "--consistency", "local"));
    }

    [Fact]
    public async Task Full_disk_refuses_and_keeps_serving()
    {
        Assert.SkipUnless(SmallDisks.IsPossible, "mounting a small disk needs root and tmpfs");
        using ProcessCluster cluster = await ProcessCluster.MakeAsync();
        using var disks = new SmallDisks(Enumerable.Range(1, cluster.Count).Select(cluster.Data), mebibytes: 192);
        await cluster.StartAllAsync();
        CliRun? refused = null;
        int accepted = 0;
        for (int i = 0; i < 16 && refused is null; i++)
        {
            CliRun put = await cluster.CliAsync(1, "put", Content(i), $"files/{i}");
            (accepted, refused) = put.Code == ExitCode.Ok ? (accepted + 1, null) : (accepted, put);
        }

        Assert.NotNull(refused);
        Assert.Equal(ExitCode.Full, refused.Code);
        Assert.Equal(1, refused.Error.Count(c => c == '\n'));
        Assert.InRange(accepted, 1, 12);
        for (int i = 0; i < accepted; i++)
        {
            Assert.True(await cluster.HoldsAsync(2, $"files/{i}", Content(i)));
        }

        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(1, "rm", "files/0")).Code);
        Assert.Equal(ExitCode.NotFound, (await cluster.CliAsync(2, "stat", "files/0")).Code);
        await cluster.KillAsync(3);
        cluster.Start(3);
        await cluster.UntilConnectedAsync(3);
        Assert.True(await cluster.HoldsAsync(3, "files/1", Content(1)));

        // Equal contents would be stored once.
        string Content(int i) => cluster.MakeFile("content", 16 << 20, seed: i);
    }

    [Fact]
    public async Task Disk_full_of_small_objects_refuses_lets_delete_and_takes_more_once_there_is_room()
    {
        Assert.SkipUnless(SmallDisks.IsPossible, "mounting a small disk needs root and tmpfs");
        using ProcessCluster cluster = await ProcessCluster.MakeAsync();
        string[] folders = [.. Enumerable.Range(1, cluster.Count).Select(cluster.Data)];
        using var disks = new SmallDisks(folders, mebibytes: 320);
        await cluster.StartAllAsync();
        byte[] filler = new byte[120 << 20];
        foreach (string folder in folders)
        {
            await File.WriteAllBytesAsync(Path.Combine(folder, "filler"), filler, TestContext.Current.CancellationToken);
        }

        using var client = new CarillonClient(new CarillonClientOptions { Servers = [new Uri(cluster.Url(1))], LearnServers = false });
        byte[] content = new byte[60_000];
        string last = "";
        Failure? refusal = null;
        for (int i = 0; i < 6000 && refusal is null; i++)
        {
            Random.Shared.NextBytes(content);
            string name = string.Create(CultureInfo.InvariantCulture, $"{i}");
            WriteResult<PutAnswer> put = await client.PutAsync(
                new ObjectName("files", name), PutSource.FromBytes(content), new PutOptions(), TestContext.Current.CancellationToken);
            refusal = put.Verdict == Verdict.Accepted ? null : put.Failure;
            last = refusal is null ? name : last;
        }

        Assert.Equal(Failure.Full, refusal);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(1, "stat", $"files/{last}", "--consistency", "local")).Code);
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync(1, "rm", $"files/{last}")).Code);
        foreach (string folder in folders)
        {
            File.Delete(Path.Combine(folder, "filler"));
        }

        string file = cluster.MakeFile("small", 60_000, seed: 1);
        await cluster.UntilAsync(
            "there is room again", async () => (await cluster.CliAsync(1, "put", file, "files/again")).Code == ExitCode.Ok);
    }

    private static Task<byte[]> ReadAsync(string path) => File.ReadAllBytesAsync(path, TestContext.Current.CancellationToken);

    private static string[] FilesOf(string path) => Directory.Exists(path) ? Directory.GetFiles(path) : [path];

    private static void Flip(string path, int offset)
    {
        using FileStream file = File.Open(path, FileMode.Open, FileAccess.ReadWrite);
        offset = (int)Math.Min(offset, file.Length - 1);
        file.Position = offset;
        int value = file.ReadByte();
        file.Position = offset;
        file.WriteByte((byte)(value ^ 0x40));
    }
}
