using System.Text.Json;
using Carillon.Clusters;
using Carillon.CommandLine;
using Carillon.Options;
using Carillon.Protocols.Cluster;
using Carillon.Runtime.Security;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>A server's configuration: what cluster init writes, what is read back, and what is refused.</summary>
public sealed class CliConfigurationTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("carillon-config-").FullName;

    private string Out => Path.Combine(_folder, "out");

    private string First => Path.Combine(Out, "s1", "server.json");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task Cluster_init_writes_what_servers_and_clients_need()
    {
        CliRun run = await InitAsync("s1=127.0.0.1:8000", "s2=10.0.0.2", "s3=node3.example:9000,tunnel=9100,domain=rack3");
        Assert.Equal(0, run.Code);
        Configuration s3 = ConfigurationLoader.Load(Path.Combine(Out, "s3", "server.json"), [], []);
        Assert.Empty(s3.Faults);
        ServerRecord[] servers = [.. s3.Options.Cluster.Servers];
        Assert.Equal([8000, 7410, 9000], servers.Select(s => s.HttpPort));
        Assert.Equal([8001, 7411, 9100], servers.Select(s => s.TunnelPort));
        Assert.Equal([8002, 7412, 9002], servers.Select(s => s.DatagramPort));
        Assert.Equal(3, servers.Select(s => s.Disk).Distinct().Count());
        Assert.Equal("rack3", servers[2].FailureDomain);
        Assert.Equal("s3", s3.Options.Record!.Name.Name);
        foreach (ServerRecord server in servers)
        {
            using Keyring keyring = Keyring.Load(Path.Combine(Out, server.Name.Name));
            Assert.Equal(server.Name, keyring.Name);
            string token = (await File.ReadAllTextAsync(Path.Combine(Out, "admin.token"), TestContext.Current.CancellationToken)).Trim();
            Assert.Equal("admin", BearerTokens.Load(Path.Combine(Out, server.Name.Name)).Find(token));
        }

        // Only servers that are not on loopback need TLS.
        Assert.False(File.Exists(Path.Combine(Out, "s1", "http.pem")));
        Assert.True(File.Exists(Path.Combine(Out, "s2", "http.pem")));
    }

    [Fact]
    public async Task Cluster_init_keeps_secrets_to_their_owner_and_never_overwrites_them()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "file modes");
        Assert.Equal(0, (await InitAsync("s1=127.0.0.1")).Code);
        foreach (string file in Directory.GetFiles(
            Out, "*", SearchOption.AllDirectories).Where(f => !f.EndsWith(".json", StringComparison.Ordinal)))
        {
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));
        }

        CliRun again = await InitAsync("s1=127.0.0.1");
        Assert.Equal(ExitCode.Usage, again.Code);
        Assert.Contains("is not empty", again.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("s1=127.0.0.1 s1=127.0.0.2", "2 servers named s1")]
    [InlineData("s1=127.0.0.1 s2=127.0.0.1", "used more than once")]
    [InlineData("s1=127.0.0.1:7410 s2=127.0.0.1:7411", "used more than once")]
    [InlineData("s1=127.0.0.1:99999", "is not a port")]
    [InlineData("s1=127.0.0.1,rack=1", "'rack=1' is not known")]
    [InlineData("s1=bad_host!", "is not a host name")]
    public async Task Cluster_init_refuses_what_can_not_work(string servers, string words)
    {
        CliRun run = await InitAsync(servers.Split(' '));
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains(words, run.Error, StringComparison.Ordinal);
        Assert.False(Directory.Exists(Out));
    }

    [Theory]
    [InlineData("s1=[::1]:8000", "::1", 8000)]
    [InlineData("s1=::1", "::1", 7410)]
    [InlineData("s1=localhost", "localhost", 7410)]
    public void Hosts_are_read_with_and_without_ports(string text, string host, int port)
    {
        ServerRecord server = ClusterPlan.Parse(text);
        Assert.Equal((host, port), (server.Host, server.HttpPort));
    }

    [Fact]
    public async Task Values_come_from_file_then_environment_then_flags()
    {
        await InitAsync("s1=127.0.0.1");
        string text = await File.ReadAllTextAsync(First, TestContext.Current.CancellationToken);
        string file = Path.Combine(_folder, "c.json");
        await File.WriteAllTextAsync(
            file,
            text.Replace(
                "\"http\": {",
                """
                "push": { "timeout": "3s", "minRate": "2MB" }, "clock": { "maxSkew": "10s" }, "http": {
                """,
                StringComparison.Ordinal),
            TestContext.Current.CancellationToken);
        KeyValuePair<string, string>[] environment = [new(
            "CARILLON__PUSH__TIMEOUT", "4s"), new("CARILLON__HEARTBEAT__INTERVAL", "50ms"), new("CARILLON_SERVER", "x")];
        Configuration configuration = ConfigurationLoader.Load(file, environment, ["heartbeat.interval=60ms"]);
        Assert.Empty(configuration.Faults);
        Assert.Equal(TimeSpan.FromSeconds(4), configuration.Options.Node.Exchange.PushTimeout);
        Assert.Equal(2_000_000, configuration.Options.Node.Exchange.PushMinimumRate);
        Assert.Equal(TimeSpan.FromMilliseconds(60), configuration.Options.Node.Membership.HeartbeatInterval);
        // One key, both components.
        Assert.Equal(TimeSpan.FromSeconds(10), configuration.Options.Node.Membership.ClockMaxSkew);
        Assert.Equal(TimeSpan.FromSeconds(10), configuration.Options.Node.Exchange.MaxSkew);
        Dictionary<string, string> origins = configuration.Values.ToDictionary(v => v.Key, v => v.Origin);
        Assert.Equal("environment CARILLON__PUSH__TIMEOUT", origins["push.timeout"]);
        Assert.Equal("flag --set", origins["heartbeat.interval"]);
        Assert.Equal("file " + file, origins["push.minRate"]);
        Assert.Equal("default", origins["exchange.timeout"]);
    }

    [Theory]
    [InlineData("\"puhs\": { \"timeout\": \"3s\" }", "unknown key 'puhs.timeout', did you mean 'push.timeout'?")]
    [InlineData("\"push\": { \"timeuot\": \"3s\" }", "did you mean 'push.timeout'?")]
    [InlineData("\"push\": { \"timeout\": \"soon\" }", "push.timeout: 'soon' is not a duration")]
    [InlineData("\"push\": { \"timeout\": [1] }", "push.timeout")]
    [InlineData("\"transport\": { \"mode\": \"pigeon\" }", "one of auto, multicast, unicast")]
    [InlineData("\"heartbeat\": { \"interval\": \"1h\" }", "heartbeat.interval")]
    [InlineData("\"nmae\": \"s1\"", "did you mean 'name'?")]
    public async Task Wrong_values_in_the_file_are_told_with_the_nearest_key(string addition, string words)
    {
        await InitAsync("s1=127.0.0.1");
        string text = await File.ReadAllTextAsync(First, TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(First, text.Replace(
            "\"http\": {", addition + ", \"http\": {", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        CliRun run = await CliRun.OfAsync(["server", "--config", First, "--check"]);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains(words, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void Wrong_variable_is_told_with_the_nearest_one()
    {
        Configuration configuration = ConfigurationLoader.Load(
            null, [new("CARILLON__PUSH__TIMEUOT", "1s")], ["push.timeuot=1s", "nonsense"]);
        Assert.Contains(configuration.Faults, f => f.Contains("did you mean CARILLON__PUSH__TIMEOUT?", StringComparison.Ordinal));
        Assert.Contains(configuration.Faults, f => f.Contains("did you mean 'push.timeout'?", StringComparison.Ordinal));
        Assert.Contains(configuration.Faults, f => f.Contains("--set nonsense", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("{", "is not JSON")]
    [InlineData("[]", "not a JSON object")]
    [InlineData("{}", "name")]
    [InlineData("""{"name":"s9","cluster":{"name":"c","servers":[{"name":"s1","disk":"00000000000000000000000000000001","host":"h"}]}}""",
        "s9 is not in cluster.servers (s1)")]
    [InlineData("""{"name":"s1","cluster":{"name":"c","servers":[{"name":"s1","disk":"xyz","host":"h"}]}}""", "disk")]
    [InlineData("""{"name":"s1","cluster":{"name":"c","servers":[{"name":"s1","disc":"x","host":"h"}]}}""", "did you mean 'disk'?")]
    [InlineData(
        """{"name":"a","cluster":{"quorum":3,"name":"c","servers":[{"name":"a","disk":"00000000000000000000000000000001","host":"h"}]}}""",
        "quorum")]
    public async Task File_that_is_no_configuration_is_told_why(string json, string words)
    {
        string file = Path.Combine(_folder, "c.json");
        await File.WriteAllTextAsync(file, json, TestContext.Current.CancellationToken);
        CliRun run = await CliRun.OfAsync(["server", "--config", file, "--check"]);
        Assert.Equal(ExitCode.Usage, run.Code);
        Assert.Contains(words, run.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Config_show_tells_every_key_with_its_origin()
    {
        await InitAsync("s1=127.0.0.1");
        CliRun run = await CliRun.OfAsync(["config", "show", "--config", First, "--origin", "-o", "json", "--set", "push.timeout=9s"]);
        Assert.Equal(0, run.Code);
        using var shown = JsonDocument.Parse(run.Output);
        Assert.Equal("9s", shown.RootElement.GetProperty("push.timeout").GetProperty("value").GetString());
        Assert.Equal("flag --set", shown.RootElement.GetProperty("push.timeout").GetProperty("origin").GetString());
        Assert.Equal(OptionKeys.All.Count + 1, shown.RootElement.EnumerateObject().Count());
    }

    [Fact]
    public void Every_default_is_good_and_can_be_written_and_read_again()
    {
        Configuration configuration = ConfigurationLoader.Load(null, [], []);
        foreach (OptionKey key in OptionKeys.All.Where(k => k.Name != OptionKeys.Servers))
        {
            string text = configuration.Values.Single(v => v.Key == key.Name).Text;
            Configuration again = ConfigurationLoader.Load(null, [], [$"{key.Name}={text}"]);
            Assert.DoesNotContain(
                again.Faults, f => f.Contains("is not", StringComparison.Ordinal) && f.Contains(key.Name + ":", StringComparison.Ordinal));
            Assert.Equal(text, again.Values.Single(v => v.Key == key.Name).Text);
        }
    }

    private Task<CliRun> InitAsync(params string[] servers) =>
        CliRun.OfAsync(["cluster", "init", "--out", Out, .. servers.SelectMany(s => new[] { "--server", s })]);
}
