using System.Security.Cryptography;
using System.Text;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Development;

/// <summary>The tour of <c>dev --demo</c>: what the product promises, done before one's eyes, each step checked.</summary>
internal sealed class DevTour(DevCluster cluster, CommandContext context)
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(20);

    private const string Bucket = "demo";

    private int _step;

    private DevServer First => cluster.Servers[0];

    private DevServer Last => cluster.Servers[^1];

    private int Majority => (cluster.Servers.Length / 2) + 1;

    /// <summary>Runs it.</summary>
    /// <exception cref="ExitException">A step did not come out.</exception>
    public async Task RunAsync()
    {
        byte[] content = RandomNumberGenerator.GetBytes(8 << 20);
        var large = new ObjectName(Bucket, "large.bin");
        await StepAsync($"make a bucket: carillon bucket create {Bucket}", MakeBucketAsync);
        await StepAsync($"put 8 MiB at {First.Record.Name}: carillon put large.bin {large} --server {First.Address}", () =>
            PutAsync(First, large, content));
        await StepAsync($"kill -9 {First.ProcessId}: {First.Record.Name}, the server that took it, is gone", KillFirstAsync);
        await StepAsync(
            $"get it at {Last.Record.Name}: carillon get {large} --server {Last.Address}", () => SameAsync(Last, large, content));
        var small = new ObjectName(Bucket, "letters/one.txt");
        byte[] words = Encoding.UTF8.GetBytes("put while a server was down\n");
        await StepAsync($"put another with {First.Record.Name} still down: carillon put one.txt {small} --server {Last.Address}", () =>
            PutAsync(Last, small, words));
        await StepAsync($"start {First.Record.Name} again: carillon server --config …/server.json", RestartFirstAsync);
        await StepAsync("ls at every server shows the same: carillon ls -r demo", SameListingsAsync);
        await StepAsync(
            $"{First.Record.Name} has what it missed: carillon cat {small} --server {First.Address}", () => SameAsync(First, small, words));
        await StepAsync(
            $"kill -9 so many that less than a quorum ({Majority}) is left: a put is refused, and nothing is stored", RefusedAsync);
        await StepAsync("start them again, and put once more", RecoveredAsync);
        context.Out.WriteLine("All of it came out.");
    }

    private async Task StepAsync(string title, Func<Task> work)
    {
        context.Out.WriteLine($"{++_step,2}. {title}");
        long start = Environment.TickCount64;
        try
        {
            await work();
        }
        catch (Exception fault) when (
            fault is CarillonException or IOException or OperationCanceledException && !context.Cancellation.IsCancellationRequested)
        {
            throw new ExitException(ExitCode.Failed, $"step {_step} did not come out: {fault.Message}");
        }

        context.Out.WriteLine($"    ok, {Environment.TickCount64 - start} ms");
    }

    private async Task MakeBucketAsync()
    {
        using CarillonClient client = DevCluster.ClientOf(First);
        (await client.CreateBucketAsync(Bucket, new BucketSettings(), cancellation: context.Cancellation)).AcceptedOrThrow();
    }

    private async Task PutAsync(DevServer server, ObjectName name, byte[] content)
    {
        using CarillonClient client = DevCluster.ClientOf(server);
        PutAnswer answer = (
            await client.PutAsync(name, PutSource.FromBytes(content), cancellation: context.Cancellation)).AcceptedOrThrow();
        context.Out.WriteLine($"    accepted by a quorum as version {answer.Uid}");
    }

    private async Task SameAsync(DevServer server, ObjectName name, byte[] content)
    {
        using CarillonClient client = DevCluster.ClientOf(server);
        byte[] found = await client.GetBytesAsync(name, cancellation: context.Cancellation);
        if (!found.AsSpan().SequenceEqual(content))
        {
            throw new ExitException(ExitCode.Integrity, $"step {_step} did not come out: {name} has other bytes at {server.Record.Name}");
        }

        context.Out.WriteLine($"    {found.Length} bytes, identical");
    }

    private async Task KillFirstAsync()
    {
        await First.KillAsync();
        cluster.WriteState();
    }

    private async Task RestartFirstAsync()
    {
        cluster.Restart(First);
        await ReadyAsync(First);
    }

    private async Task ReadyAsync(params DevServer[] servers)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
        patience.CancelAfter(Patience);
        await Task.WhenAll(servers.Select(s => DevCluster.WaitReadyAsync(s, patience.Token)));
    }

    // A listing is what one server has applied: a returning one catches up within moments, and the tour waits for it.
    private async Task SameListingsAsync()
    {
        long deadline = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (true)
        {
            string[] listings = await Task.WhenAll(cluster.Servers.Select(ListingAsync));
            if (listings.Distinct().Count() == 1)
            {
                context.Out.WriteLine($"    {listings[0].Count(c => c == '\n')} names at each of {listings.Length} servers");
                return;
            }

            if (Environment.TickCount64 > deadline)
            {
                throw new ExitException(ExitCode.Failed, $"step {_step} did not come out: the servers' listings still differ");
            }

            await Task.Delay(100, context.Cancellation);
        }
    }

    private async Task<string> ListingAsync(DevServer server)
    {
        using CarillonClient client = DevCluster.ClientOf(server);
        var lines = new StringBuilder();
        await foreach (ObjectPage page in client.ListAsync(Bucket, cancellation: context.Cancellation))
        {
            foreach (ObjectEntry entry in page.Objects)
            {
                lines.Append(entry.Name).Append(' ').Append(entry.Uid).Append(' ').Append(entry.Sha256).Append('\n');
            }
        }

        return lines.ToString();
    }

    private async Task RefusedAsync()
    {
        foreach (DevServer server in cluster.Servers.Skip(Majority - 1))
        {
            await server.KillAsync();
        }

        cluster.WriteState();
        using CarillonClient client = DevCluster.ClientOf(First);
        WriteResult<PutAnswer> result = await client.PutAsync(
            new ObjectName(Bucket, "refused.txt"), PutSource.FromBytes("never"u8.ToArray()), cancellation: context.Cancellation);
        if (result.Verdict == Verdict.Accepted)
        {
            throw new ExitException(ExitCode.Failed, $"step {_step} did not come out: the put was accepted without a quorum");
        }

        context.Out.WriteLine($"    {result.Verdict.ToString().ToLowerInvariant()}: {result.Problem?.Message}");
    }

    private async Task RecoveredAsync()
    {
        DevServer[] down = [.. cluster.Servers.Skip(Majority - 1)];
        foreach (DevServer server in down)
        {
            cluster.Restart(server);
        }

        await ReadyAsync(down);
        await PutAsync(Last, new ObjectName(Bucket, "letters/two.txt"), Encoding.UTF8.GetBytes("and it goes on\n"));
    }
}
