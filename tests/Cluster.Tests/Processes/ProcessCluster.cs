using System.Globalization;
using Carillon.CommandLine;
using Carillon.Runtime.Tests;
using Cluster.Tests.Cli;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>A cluster of real servers on loopback, made by <c>cluster init</c> in a folder of its own, and its command line.</summary>
internal sealed class ProcessCluster : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private readonly Dictionary<int, ServerProcess> _running = [];
    private readonly List<int> _ports = [];

    private ProcessCluster(int servers) => Count = servers;

    public int Count { get; }

    public string Folder { get; } = Directory.CreateTempSubdirectory("carillon-cluster-").FullName;

    /// <summary>Makes the folders of so many servers; none runs yet.</summary>
    public static Task<ProcessCluster> MakeAsync(int servers = 3) => MakeAsync(servers, "cluster", "init");

    /// <summary>The same, by another command than <c>cluster init</c> that takes its options.</summary>
    public static async Task<ProcessCluster> MakeAsync(int servers, params string[] command)
    {
        var cluster = new ProcessCluster(servers);
        int[] ports = FreePorts.Take(3 * servers);
        List<string> arguments = [.. command, "--out", Path.Combine(cluster.Folder, "made")];
        for (int i = 0; i < servers; i++)
        {
            cluster._ports.Add(ports[3 * i]);
            arguments.Add("--server");
            arguments.Add(string.Create(
                CultureInfo.InvariantCulture,
                $"s{i + 1}=127.0.0.1:{ports[3 * i]},tunnel={ports[(3 * i) + 1]},datagrams={ports[(3 * i) + 2]}"));
        }

        CliRun made = await CliRun.OfAsync([.. arguments]);
        Assert.True(made.Code == ExitCode.Ok, made.Error);
        return cluster;
    }

    /// <summary>The same, with all of them running and a bucket <c>files</c>.</summary>
    public static async Task<ProcessCluster> StartAsync(int servers = 3)
    {
        ProcessCluster cluster = await MakeAsync(servers);
        await cluster.StartAllAsync();
        return cluster;
    }

    /// <summary>Starts all servers, and makes the bucket.</summary>
    public async Task StartAllAsync()
    {
        for (int server = 1; server <= Count; server++)
        {
            Start(server);
        }

        await UntilAsync("the bucket is there", async () => (await CliAsync("bucket", "create", "files")).Code == ExitCode.Ok);
        await UntilConnectedAsync(Count);
    }

    public string Url(int server) => string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{_ports[server - 1]}");

    public string FolderOf(int server) => Path.Combine(Folder, "made", string.Create(CultureInfo.InvariantCulture, $"s{server}"));

    public string Data(int server) => Path.Combine(FolderOf(server), "data");

    public string Configuration(int server) => Path.Combine(FolderOf(server), "server.json");

    public ServerProcess Start(int server) => _running[server] = new ServerProcess(Configuration(server));

    public ServerProcess this[int server] => _running[server];

    public Task KillAsync(int server)
    {
        ServerProcess process = _running[server];
        _running.Remove(server);
        return process.KillAsync();
    }

    /// <summary>A command that may go to any server.</summary>
    public Task<CliRun> CliAsync(params string[] arguments) =>
        CliRun.OfAsync([.. arguments, "--server", string.Join(',', Enumerable.Range(1, Count).Select(Url))]);

    /// <summary>A command to one server.</summary>
    public Task<CliRun> CliAsync(int server, params string[] arguments) => CliRun.OfAsync([.. arguments, "--server", Url(server)]);

    /// <summary>Writes a file of so many bytes that do not repeat.</summary>
    public string MakeFile(string name, int bytes, int seed)
    {
        byte[] content = new byte[bytes];
        new Random(seed).NextBytes(content);
        string path = Path.Combine(Folder, name);
        File.WriteAllBytes(path, content);
        return path;
    }

    /// <summary>Gets an object by one server; its bytes, or null.</summary>
    public async Task<byte[]?> GetAsync(int server, string name, params string[] options)
    {
        string target = Path.Combine(Folder, "got");
        File.Delete(target);
        CliRun run = await CliAsync(server, ["get", name, "-f", target, .. options]);
        return run.Code == ExitCode.Ok ? await File.ReadAllBytesAsync(target, TestContext.Current.CancellationToken) : null;
    }

    /// <summary>True if a server gives an object that is the same as a file.</summary>
    public async Task<bool> HoldsAsync(int server, string name, string file, params string[] options)
    {
        byte[]? got = await GetAsync(server, name, options);
        return got is not null && got.AsSpan().SequenceEqual(File.ReadAllBytes(file));
    }

    /// <summary>What each server that runs printed.</summary>
    public string Said => string.Join('\n', _running.OrderBy(r => r.Key).Select(r => $"s{r.Key}: {r.Value.Said}"));

    /// <summary>Waits for what must come.</summary>
    public async Task UntilAsync(string what, Func<Task<bool>> condition)
    {
        using var end = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        end.CancelAfter(Patience);
        while (!await condition())
        {
            if (end.IsCancellationRequested)
            {
                Assert.Fail($"In vain: {what}.\n{Said}");
            }

            await Task.Yield();
        }
    }

    /// <summary>Waits until every server that runs says that so many are connected.</summary>
    public Task UntilConnectedAsync(int count) => UntilAsync($"{count} are connected", async () =>
    {
        foreach (int server in _running.Keys)
        {
            CliRun run = await CliAsync(server, "cluster", "status", "-o", "json");
            if (run.Code != ExitCode.Ok || !run.Output.Contains($"\"connected\":{count}", StringComparison.Ordinal))
            {
                return false;
            }
        }

        return true;
    });

    public void Dispose()
    {
        foreach (ServerProcess process in _running.Values)
        {
            process.Dispose();
        }

        Directory.Delete(Folder, recursive: true);
    }
}
