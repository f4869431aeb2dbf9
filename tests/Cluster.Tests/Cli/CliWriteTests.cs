using System.Net;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Carillon.CommandLine;
using Carillon.Runtime.Tests;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>Writes of the command line against a server of a few lines: exit codes, and what is told.</summary>
public sealed class CliWriteTests
{
    private const string Deleted = """{"uid":"1-0@s1","sequence":null,"submission":"1-0@s1.0000000000000001","existed":true}""";

    [Theory]
    [InlineData(ExitCode.Interrupted)]
    [InlineData(ExitCode.Terminated)]
    public async Task Interrupted_write_says_the_exit_code_that_the_program_ends_with_and_the_key(int signal)
    {
        using var silent = new TcpListener(IPAddress.Loopback, 0);
        silent.Start();
        using var interrupted = new CancellationTokenSource();
        int? code = null;
        Task<CliRun> running = CliRun.OfAsync(
            ["rm", "files/a", "--key", "k1", "-o", "json"], ServerAt(silent), () => code, interrupted.Token);
        using TcpClient connection = await silent.AcceptTcpClientAsync(TestContext.Current.CancellationToken);
        // The request is on its way, so its outcome is open from now on.
        Assert.True(await connection.GetStream().ReadAsync(new byte[10], TestContext.Current.CancellationToken) > 0);
        code = signal;
        await interrupted.CancelAsync();
        CliRun run = await running;

        Assert.Equal(signal, run.Code);
        JsonElement error = JsonDocument.Parse(run.Error).RootElement;
        Assert.Equal(signal, error.GetProperty("exitCode").GetInt32());
        Assert.Equal("interrupted", error.GetProperty("code").GetString());
        Assert.Equal("k1", error.GetProperty("key").GetString());
    }

    [Fact]
    public async Task Several_names_are_removed_and_a_failure_does_not_stop_the_rest()
    {
        CliRun run = await RemoveAsync(["files/a", "files/missing", "files/b"], name => name != "missing");
        Assert.Equal(ExitCode.Partly, run.Code);
        Assert.Equal(2, run.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Contains("files/missing", run.Error, StringComparison.Ordinal);

        CliRun all = await RemoveAsync(["files/a", "files/b"], _ => true);
        Assert.Equal(ExitCode.Ok, all.Code);
        CliRun none = await RemoveAsync(["files/a", "files/b"], _ => false);
        Assert.Equal(ExitCode.NotFound, none.Code);
    }

    [Theory]
    [InlineData("--key")]
    [InlineData("--if-match")]
    public async Task Key_or_condition_is_for_a_single_name(string option)
    {
        CliRun run = await CliRun.OfAsync(["rm", "files/a", "files/b", option, "1-0@s1"]);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains("single name", run.Error, StringComparison.Ordinal);
    }

    private static async Task<CliRun> RemoveAsync(string[] names, Func<string, bool> exists)
    {
        using var server = new HttpListener();
        int port = FreePorts.Take(1)[0];
        server.Prefixes.Add($"http://127.0.0.1:{port}/");
        server.Start();
        Task answering = AnswerAsync(server, exists);
        CliRun run = await CliRun.OfAsync(["rm", .. names], new() { ["CARILLON_SERVER"] = $"127.0.0.1:{port}" });
        server.Stop();
        await answering;
        return run;
    }

    private static async Task AnswerAsync(HttpListener server, Func<string, bool> exists)
    {
        while (true)
        {
            try
            {
                Answer(await server.GetContextAsync(), exists);
            }
            catch (Exception stopped) when (stopped is HttpListenerException or InvalidOperationException)
            {
                // Perhaps while the client still asked which other servers there are.
                return;
            }
        }
    }

    private static void Answer(HttpListenerContext context, Func<string, bool> exists)
    {
        string name = context.Request.Url!.Segments[^1];
        bool good = context.Request.HttpMethod == "DELETE" && exists(name);
        context.Response.StatusCode = good ? 200 : 404;
        context.Response.ContentType = good ? "application/json" : "application/problem+json";
        context.Response.Close(Encoding.UTF8.GetBytes(good ? Deleted : """{"status":404,"code":"not-found","detail":"no"}"""), true);
    }

    private static Dictionary<string, string> ServerAt(TcpListener listener) =>
        new() { ["CARILLON_SERVER"] = $"127.0.0.1:{((IPEndPoint)listener.LocalEndpoint).Port}" };
}
