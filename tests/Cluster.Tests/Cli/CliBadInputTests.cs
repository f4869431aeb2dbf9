using System.Text.Json;
using Carillon.CommandLine;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>Bad input from people: one line that says what is wrong, in words of this program.</summary>
public sealed class CliBadInputTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-input-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("--replicas x: it is not a number", "bucket", "create", "files", "--replicas", "x")]
    [InlineData("'lz4' is none of: none, brotli, deflate", "bucket", "create", "files", "--compression", "lz4")]
    [InlineData("'foo' is none of: agreed, sequenced", "put", "/dev/null", "files/a", "--ack", "foo")]
    [InlineData("'tcsh' is none of: bash, zsh, fish, pwsh", "completion", "tcsh")]
    public async Task Value_that_does_not_fit_is_told_without_names_of_types(string told, params string[] arguments)
    {
        CliRun run = await CliRun.OfAsync(arguments);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.StartsWith($"carillon: {told}; see: ", run.Error, StringComparison.Ordinal);
        Assert.Equal(1, run.Error.Count(c => c == '\n'));
    }

    [Theory]
    [InlineData("ls", "-o")]
    [InlineData("-o")]
    [InlineData("bogus", "-o")]
    [InlineData("put", "--output")]
    public async Task Format_without_its_value_is_one_line_and_no_crash(params string[] arguments)
    {
        CliRun run = await CliRun.OfAsync(arguments);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.StartsWith("carillon: ", run.Error, StringComparison.Ordinal);
        Assert.Equal(1, run.Error.Count(c => c == '\n'));
    }

    [Theory]
    [InlineData("--set", "push.tiemout=9s", "unknown key 'push.tiemout', did you mean 'push.timeout'?")]
    [InlineData("--set", "push.timeout=foo", "push.timeout: 'foo' is not")]
    [InlineData("--config", "/nowhere/server.json", "/nowhere/server.json: ")]
    public async Task Configuration_that_can_not_be_read_is_not_shown(string option, string value, string told)
    {
        CliRun run = await CliRun.OfAsync(["config", "show", option, value]);
        Assert.Equal((ExitCode.Usage, ""), (run.Code, run.Output));
        Assert.Contains(told, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Input_that_never_comes_holds_up_nobody_who_is_to_stop()
    {
        using var blocked = new BlockedStream();
        await using var input = new StandardInput(blocked);
        using var stop = new CancellationTokenSource();
        byte[] buffer = new byte[10];
        Task<int> waiting = input.ReadAsync(buffer, stop.Token).AsTask();
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => waiting);
    }

    [Fact]
    public async Task Name_that_is_too_long_is_shown_in_part()
    {
        CliRun run = await CliRun.OfAsync(["stat", "files/" + new string('a', 1025)]);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains("a name has at most 1024 bytes, this one has 1025", run.Error, StringComparison.Ordinal);
        Assert.True(run.Error.Length < 200, run.Error);
    }

    [Fact]
    public async Task File_is_no_folder()
    {
        string file = Path.Combine(_folder, "file");
        await File.WriteAllTextAsync(file, "x", TestContext.Current.CancellationToken);
        CliRun run = await CliRun.OfAsync(["put", "-r", file, "files/p"]);
        Assert.Contains("is no folder; put it without -r", run.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{"clustr":{}}""", "unknown key 'clustr'")]
    [InlineData("""{"push":"x"}""", "'push' is a section")]
    [InlineData("""{"push":[]}""", "'push' is a section")]
    [InlineData("""{"push":{"timeout":{}}}""", "push.timeout")]
    [InlineData("""{"nonsense":[1]}""", "unknown key 'nonsense'")]
    public async Task Key_that_nobody_knows_is_refused_whatever_it_holds(string json, string told)
    {
        string file = Path.Combine(_folder, "server.json");
        await File.WriteAllTextAsync(file, json, TestContext.Current.CancellationToken);
        CliRun run = await CliRun.OfAsync(["server", "--config", file, "--check"]);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains(told, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Server_that_speaks_no_tls_is_told_as_such_and_not_as_untrusted()
    {
        await using PlainServer server = PlainServer.Start("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        CliRun run = await CliRun.OfAsync(["ls", "--server", $"https://127.0.0.1:{server.Port}", "-o", "json"]);
        Assert.Equal(ExitCode.Failed, run.Code);
        Assert.Equal("no-tls", JsonDocument.Parse(run.Error).RootElement.GetProperty("code").GetString());
    }

    [Theory]
    [InlineData("bucket-not-found", "there is no such bucket")]
    [InlineData("not-found", "there is no such object or version")]
    public async Task Answer_without_a_body_names_what_was_asked_for(string code, string told)
    {
        await using PlainServer server = PlainServer.Start(
            $"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nContent-Type: application/problem+json\r\nCarillon-Problem: {code}\r\n\r\n");
        CliRun run = await CliRun.OfAsync(["stat", "files/a", "--server", $"127.0.0.1:{server.Port}"]);
        Assert.Equal(ExitCode.NotFound, run.Code);
        Assert.StartsWith($"carillon: files/a: {told}", run.Error, StringComparison.Ordinal);
    }

    /// <summary>A terminal at which nobody types.</summary>
    private sealed class BlockedStream : MemoryStream
    {
        private readonly ManualResetEventSlim _end = new();

        public override int Read(Span<byte> buffer)
        {
            _end.Wait();
            return 0;
        }

        protected override void Dispose(bool disposing)
        {
            _end.Set();
            base.Dispose(disposing);
        }
    }
}
