using System.Net;
using System.Net.Sockets;
using Carillon.CommandLine;
using Xunit;

namespace Cluster.Tests.Processes;

/// <summary>A server that can't start says why in one line, and leaves everything as it was.</summary>
public sealed class ServerStartTests
{
    [Fact]
    public async Task Port_in_use_is_told()
    {
        using ProcessCluster cluster = await ProcessCluster.MakeAsync(1);
        using var holder = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        var address = new Uri(cluster.Url(1));
        holder.Bind(new IPEndPoint(IPAddress.Loopback, address.Port));
        holder.Listen();
        await RefusedAsync(cluster, $"127.0.0.1:{address.Port}");
    }

    [Fact]
    public async Task Certificate_of_another_server_is_told()
    {
        using ProcessCluster cluster = await ProcessCluster.MakeAsync(2);
        foreach (string file in (string[])["server.pem", "server.key"])
        {
            File.Copy(Path.Combine(cluster.FolderOf(2), file), Path.Combine(cluster.FolderOf(1), file), overwrite: true);
        }

        await RefusedAsync(cluster, "is of server s2");
    }

    [Fact]
    public async Task Data_of_another_server_is_told_and_left_alone()
    {
        using ProcessCluster cluster = await ProcessCluster.MakeAsync(2);
        cluster.Start(2);
        await cluster.UntilAsync("s2 answers", async () => (await cluster.CliAsync(2, "cluster", "status")).Code == ExitCode.Ok);
        await cluster.KillAsync(2);
        Directory.Move(cluster.Data(2), cluster.Data(1));
        string file = Path.Combine(cluster.Data(1), "identity", "a");
        byte[] identity = await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken);
        await RefusedAsync(cluster, "s2");
        Assert.Equal(identity, await File.ReadAllBytesAsync(file, TestContext.Current.CancellationToken));
    }

    [Fact]
    public async Task Unknown_key_is_told_with_the_nearest_one()
    {
        using ProcessCluster cluster = await ProcessCluster.MakeAsync(1);
        string file = cluster.Configuration(1);
        string text = await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken);
        text = text.Replace("\"secrets\"", "\"secrts\"", StringComparison.Ordinal);
        await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);
        await RefusedAsync(cluster, "files.secrets", ExitCode.Usage);
    }

    private static async Task RefusedAsync(ProcessCluster cluster, string told, int code = ExitCode.Failed)
    {
        ServerProcess server = cluster.Start(1);
        int ended = await server.EndAsync();
        string line = Assert.Single(server.Said.Split('\n'), l => l.StartsWith("carillon: ", StringComparison.Ordinal));
        Assert.Contains(told, line, StringComparison.Ordinal);
        Assert.Equal(code, ended);
    }
}
