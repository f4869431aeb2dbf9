using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using Carillon.Benchmarks;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols.AtomicMulticast;
using Cluster.Tests.Cli;
using Cluster.Tests.Guarding;
using Xunit;
using DeliveredMessage = Carillon.Client.Groups.DeliveredMessage;

namespace Cluster.Tests.Processes;

/// <summary>Groups with real processes: what was acknowledged is there in one order, whoever dies, halts, or does not read.</summary>
public sealed class GroupProcessTests
{
    private static readonly GroupName Group = GroupName.Parse("g");

    [Fact]
    public async Task Kill_of_all_servers_under_durable_load_loses_no_acknowledged_message()
    {
        using ProcessCluster cluster = await StartAsync();
        using CarillonClient client = ClientOf(cluster, 1, 2, 3);
        var acknowledged = new SortedDictionary<ulong, ulong>();
        await using (AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { Window = 64 }))
        {
            using var end = new CancellationTokenSource();
            Task[] senders = [.. Enumerable.Range(0, 64).Select(sender => SendAsync(group, (ulong)sender << 32, acknowledged, end.Token))];
            await cluster.UntilAsync("2,000 are acknowledged", () => Task.FromResult(CountOf(acknowledged) >= 2000));
            await Task.WhenAll(cluster.KillAsync(1), cluster.KillAsync(2), cluster.KillAsync(3));
            await end.CancelAsync();
            await Task.WhenAll(senders);
        }

        for (int server = 1; server <= 3; server++)
        {
            cluster.Start(server);
        }

        await cluster.UntilConnectedAsync(3);
        ulong last = await SendOneAsync(cluster);
        for (int server = 1; server <= 3; server++)
        {
            SortedDictionary<ulong, ulong> read = await ReadAsync(cluster, server, last);
            Assert.Equal(read.Count, read.Values.Distinct().Count());
            foreach ((ulong number, ulong content) in acknowledged)
            {
                Assert.Equal(content, read[number]);
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Server_that_is_halted_holds_up_nobody_for_longer_than_its_lease_and_has_all_when_it_goes_on(bool isSequencer)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "a process can't be halted by a signal there");
        using ProcessCluster cluster = await StartAsync();
        await SendOneAsync(cluster);
        int sequencer = await SequencerAsync(cluster);
        int halted = isSequencer ? sequencer : (sequencer % 3) + 1;
        cluster[halted].Halt(true);
        int[] others = [.. Enumerable.Range(1, 3).Where(s => s != halted)];
        using CarillonClient client = ClientOf(cluster, others);
        var acknowledged = new SortedDictionary<ulong, ulong>();
        await using (AtomicGroup group = client.Groups.Open(Group))
        {
            await Task.WhenAll(Enumerable.Range(0, 200).Select(i => SendOneAsync(group, (ulong)i, acknowledged)));
        }

        Assert.Equal(200, acknowledged.Count);
        cluster[halted].Halt(false);
        await cluster.UntilConnectedAsync(3);
        SortedDictionary<ulong, ulong> read = await ReadAsync(cluster, halted, acknowledged.Keys.Max());
        Assert.All(acknowledged, sent => Assert.Equal(sent.Value, read[sent.Key]));
    }

    [Fact]
    public async Task Subscriber_that_never_reads_holds_up_nobody()
    {
        using ProcessCluster cluster = await StartAsync();
        var address = new Uri(cluster.Url(1));
        using var deaf = new TcpClient { ReceiveBufferSize = 4096 };
        await deaf.ConnectAsync(address.Host, address.Port, TestContext.Current.CancellationToken);
        byte[] request = Encoding.ASCII.GetBytes($"GET /v1/groups/g/messages?from=1 HTTP/1.1\r\nHost: {address.Authority}\r\n\r\n");
        await deaf.GetStream().WriteAsync(request, TestContext.Current.CancellationToken);
        using CarillonClient client = ClientOf(cluster, 1);
        var acknowledged = new SortedDictionary<ulong, ulong>();
        await using (AtomicGroup group = client.Groups.Open(Group))
        {
            await Task.WhenAll(Enumerable.Range(0, 400).Select(i => SendOneAsync(group, (ulong)i, acknowledged, 64 << 10)));
        }

        // 25 MB stand behind what it does not read, and the same server gives them to who does.
        SortedDictionary<ulong, ulong> read = await ReadAsync(cluster, 1, acknowledged.Keys.Max());
        Assert.Equal(400, read.Count);
        Assert.True(deaf.Connected);
    }

    [Fact]
    public async Task Lines_of_a_large_input_are_all_there_once()
    {
        const int Lines = 20_000;
        using ProcessCluster cluster = await StartAsync();
        string file = Path.Combine(cluster.Folder, "lines");
        await File.WriteAllLinesAsync(
            file,
            Enumerable.Range(1, Lines).Select(i => string.Create(CultureInfo.InvariantCulture, $"line {i} {new string('x', i % 200)}")),
            TestContext.Current.CancellationToken);
        CliRun sent = await cluster.CliAsync("publish", "g", "--lines", "--file", file);
        Assert.True(sent.Code == ExitCode.Ok, sent.Error);
        string[] printed = sent.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries);
        ulong[] numbers = [.. printed.Select(n => ulong.Parse(n, CultureInfo.InvariantCulture))];
        Assert.Equal(Lines, numbers.Distinct().Count());
        CliRun read = await cluster.CliAsync(3, "subscribe", "g", "--from", "begin", "--count", $"{Lines}", "-o", "jsonl");
        Assert.True(read.Code == ExitCode.Ok, read.Error);
        Dictionary<ulong, string> texts = read.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries)
            .Select(line => JsonDocument.Parse(line).RootElement)
            .ToDictionary(m => m.GetProperty("sequence").GetUInt64(), m => m.GetProperty("payload").GetString()!);
        string[] lines = await File.ReadAllLinesAsync(file, TestContext.Current.CancellationToken);
        Assert.Equal(lines, numbers.Select(number => texts[number]));
    }

    [Fact]
    public async Task Subscribe_ends_quietly_when_nobody_reads_what_it_prints()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "it has no such shell");
        using ProcessCluster cluster = await StartAsync();
        CliRun sent = await cluster.CliAsync("publish", "g", "--lines", "--file", await MakeLinesAsync(cluster, 2000));
        Assert.Equal(ExitCode.Ok, sent.Code);
        string program = string.Join(' ', [GuardUnderTest.Launcher.Program, .. GuardUnderTest.Launcher.Before]);
        var start = new ProcessStartInfo("sh") { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add($"{program} subscribe g --from begin --server {cluster.Url(1)} | head -n 3");
        using Process shell = Process.Start(start)!;
        using var bound = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        bound.CancelAfter(TimeSpan.FromSeconds(60));
        Task<string> output = shell.StandardOutput.ReadToEndAsync(bound.Token);
        Task<string> error = shell.StandardError.ReadToEndAsync(bound.Token);
        await shell.WaitForExitAsync(bound.Token);
        Assert.Equal(3, (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries).Length);
        Assert.Equal("", await error);
    }

    [Fact]
    public async Task Fifo_group_keeps_a_senders_order_over_the_death_of_its_sequencer_SAM_83()
    {
        const int Messages = 6000;
        using ProcessCluster cluster = await ProcessCluster.StartAsync();
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("group", "create", "g", "--fifo")).Code);
        int sequencer = 0;
        await cluster.UntilAsync("a sequencer leads", async () => (sequencer = await SequencerAsync(cluster)) > 0);
        using CarillonClient client = ClientOf(cluster, 1, 2, 3);
        var acknowledged = new SortedDictionary<ulong, ulong>();
        await using (AtomicGroup group = client.Groups.Open(Group, new AtomicGroupOptions { Window = Messages }))
        {
            // All fit into the window, so they have their counters in this order.
            Task[] sending = [.. Enumerable.Range(0, Messages).Select(i => SendOneAsync(group, (ulong)i, acknowledged))];
            await cluster.UntilAsync("some are acknowledged", () => Task.FromResult(CountOf(acknowledged) > 0));
            await cluster.KillAsync(sequencer);
            try
            {
                await Task.WhenAll(sending);
            }
            catch (CarillonException overtaken)
            {
                // One that took longer than fifo.patience: its sender is told.
                Assert.Equal("message-overtaken", overtaken.Problem?.Code);
            }
        }

        SortedDictionary<ulong, ulong> read = await ReadAsync(cluster, (sequencer % 3) + 1, acknowledged.Keys.Max());
        Assert.Equal(read.Values.Order().Distinct(), read.Values);
        Assert.Equal(acknowledged.Values, read.Values);
        Assert.InRange(acknowledged.Count, Messages - 1024, Messages);
    }

    [Fact]
    public async Task Message_alone_costs_each_server_one_flush()
    {
        using ProcessCluster cluster = await StartAsync();
        using CarillonClient client = ClientOf(cluster, 1, 2, 3);
        ClusterStatus status = (await client.ClusterStatusAsync(TestContext.Current.CancellationToken)).Value;
        using FlushCount flushes = FlushCount.Create(OptionsOf(cluster, 1, 2, 3), status);
        await SendOneAsync(cluster);
        double before = (await flushes.ReadAsync(TestContext.Current.CancellationToken))!.Value;
        var acknowledged = new SortedDictionary<ulong, ulong>();
        await using (AtomicGroup group = client.Groups.Open(Group))
        {
            for (int i = 0; i < 200; i++)
            {
                await SendOneAsync(group, (ulong)i, acknowledged);
            }
        }

        // Each of three servers one, and a few for what is not of messages. With one each for message and assignment it would be five.
        double after = (await flushes.ReadAsync(TestContext.Current.CancellationToken))!.Value;
        Assert.InRange((after - before) / 200, 1.9, 3.8);
    }

    private static async Task<ProcessCluster> StartAsync()
    {
        ProcessCluster cluster = await ProcessCluster.StartAsync();
        Assert.Equal(ExitCode.Ok, (await cluster.CliAsync("group", "create", "g")).Code);
        return cluster;
    }

    private static CarillonClientOptions OptionsOf(ProcessCluster cluster, params int[] servers) => new()
    {
        Servers = [.. servers.Select(s => new Uri(cluster.Url(s)))], LearnServers = false, Timeout = TimeSpan.FromSeconds(30),
    };

    private static CarillonClient ClientOf(ProcessCluster cluster, params int[] servers) => new(OptionsOf(cluster, servers));

    private static async Task<string> MakeLinesAsync(ProcessCluster cluster, int count)
    {
        string file = Path.Combine(cluster.Folder, "lines");
        IEnumerable<string> lines = Enumerable.Range(1, count).Select(i => string.Create(CultureInfo.InvariantCulture, $"line {i}"));
        await File.WriteAllLinesAsync(file, lines, TestContext.Current.CancellationToken);
        return file;
    }

    private static async Task<int> SequencerAsync(ProcessCluster cluster)
    {
        CliRun shown = await cluster.CliAsync("group", "show", "g", "-o", "json");
        string? name = JsonDocument.Parse(shown.Output).RootElement.GetProperty("sequencer").GetString();
        return name is null ? 0 : name[1] - '0';
    }

    private static int CountOf(SortedDictionary<ulong, ulong> acknowledged)
    {
        lock (acknowledged)
        {
            return acknowledged.Count;
        }
    }

    private static async Task SendAsync(
        AtomicGroup group, ulong first, SortedDictionary<ulong, ulong> acknowledged, CancellationToken end)
    {
        try
        {
            for (ulong i = 0; !end.IsCancellationRequested; i++)
            {
                await SendOneAsync(group, first + i, acknowledged, cancellation: end);
            }
        }
        catch (Exception ending) when (ending is OperationCanceledException or CarillonException)
        {
            // The servers are dead: what has no answer may be there or not.
        }
    }

    private static async Task SendOneAsync(
        AtomicGroup group, ulong content, SortedDictionary<ulong, ulong> acknowledged, int bytes = 1000,
        CancellationToken cancellation = default)
    {
        byte[] payload = new byte[bytes];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, content);
        SentMessage sent = await group.SendAsync(payload, cancellation);
        lock (acknowledged)
        {
            acknowledged.Add(sent.Number.Value, content);
        }
    }

    private static async Task<ulong> SendOneAsync(ProcessCluster cluster)
    {
        using CarillonClient client = ClientOf(cluster, 1, 2, 3);
        await using AtomicGroup group = client.Groups.Open(Group);
        byte[] payload = new byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(payload, ulong.MaxValue);
        return (await group.SendAsync(payload, TestContext.Current.CancellationToken)).Number.Value;
    }

    /// <summary>What one server gives, up to a number.</summary>
    private static async Task<SortedDictionary<ulong, ulong>> ReadAsync(ProcessCluster cluster, int server, ulong last)
    {
        using CarillonClient client = ClientOf(cluster, server);
        await using AtomicGroup group = client.Groups.Open(Group);
        var read = new SortedDictionary<ulong, ulong>();
        await foreach (DeliveredMessage message in group.DeliverAsync(FeedStart.Begin, TestContext.Current.CancellationToken))
        {
            read.Add(message.Number.Value, BinaryPrimitives.ReadUInt64LittleEndian(message.Payload.Span));
            if (message.Number.Value >= last)
            {
                break;
            }
        }

        return read;
    }
}
