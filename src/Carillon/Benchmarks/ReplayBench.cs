using System.Diagnostics;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Protocols.AtomicMulticast;
using DeliveredMessage = Carillon.Client.Groups.DeliveredMessage;

namespace Carillon.Benchmarks;

/// <summary>What subscribers that read a group from its beginning came to, all together.</summary>
internal sealed record ReplayFigures(long Messages, long Bytes, double Seconds)
{
    public double PerSecond => Messages / Math.Max(Seconds, 1e-9);
}

/// <summary>Subscribers that read a group's messages from the first that is kept to the last that was committed when they began, at once,
/// spread over the servers, through the same library that everybody uses.</summary>
internal sealed class ReplayBench(GroupName group, int subscribers, CarillonClientOptions options)
{
    /// <summary>Runs it.</summary>
    public async Task<ReplayFigures> RunAsync(ulong first, ulong last, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        (long Messages, long Bytes)[] read = await Task.WhenAll(
            Enumerable.Range(0, subscribers).Select(i => Task.Run(() => ReadAsync(i, first, last, cancellation), cancellation)));
        return new ReplayFigures(
            read.Sum(r => r.Messages), read.Sum(r => r.Bytes), Stopwatch.GetElapsedTime(start).TotalSeconds);
    }

    private async Task<(long Messages, long Bytes)> ReadAsync(int place, ulong first, ulong last, CancellationToken cancellation)
    {
        int by = place % options.Servers.Length;
        using var client = new CarillonClient(options with { Servers = [.. options.Servers.Skip(by), .. options.Servers.Take(by)] });
        await using AtomicGroup from = client.Groups.Open(group, new AtomicGroupOptions());
        long messages = 0;
        long bytes = 0;
        await foreach (DeliveredMessage message in from.DeliverAsync(FeedStart.At(new SequenceNumber(first)), cancellation))
        {
            messages++;
            bytes += message.Payload.Length;
            if (message.Number.Value >= last)
            {
                break;
            }
        }

        return (messages, bytes);
    }
}
