using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Diagnostics;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Benchmarks;

/// <summary>What a benchmark of a group does.</summary>
internal sealed record PublishPlan
{
    public required GroupName Group { get; init; }

    /// <summary>Bytes of a message.</summary>
    public required int Size { get; init; }

    /// <summary>Senders, each with a session and a connection of its own, spread over the servers.</summary>
    public required int Senders { get; init; }

    /// <summary>Messages that each has in flight.</summary>
    public required int InFlight { get; init; }

    /// <summary>Messages in all; null: as many as the duration allows.</summary>
    public long? Messages { get; init; }

    public required TimeSpan Duration { get; init; }
}

/// <summary>What it came to.</summary>
internal sealed record PublishFigures
{
    public required long Messages { get; init; }

    public required long Errors { get; init; }

    public string? FirstError { get; init; }

    public required double Seconds { get; init; }

    public required double MedianMs { get; init; }

    public required double Percentile99Ms { get; init; }

    public required double Percentile999Ms { get; init; }

    public required double LongestMs { get; init; }

    /// <summary>Flushes of all servers together per message, as their metrics count them; null where they do not.</summary>
    public double? FlushesPerMessage { get; init; }

    public double PerSecond => Messages / Math.Max(Seconds, 1e-9);
}

/// <summary>
/// Messages in a closed loop, through the same library that everybody uses: each sender keeps so many in flight, and sends the next when
/// one is committed.
/// </summary>
internal sealed class PublishBench(PublishPlan plan, CarillonClientOptions options, FlushCount flushes)
{
    private static readonly TimeSpan WarmUp = TimeSpan.FromMilliseconds(500);

    /// <summary>Runs it.</summary>
    public async Task<PublishFigures> RunAsync(CancellationToken cancellation)
    {
        CarillonClient[] clients = [.. Enumerable.Range(0, plan.Senders).Select(i => new CarillonClient(Rotated(i)))];
        AtomicGroup[] senders =
            [.. clients.Select(c => c.Groups.Open(plan.Group, new AtomicGroupOptions { Window = plan.InFlight }))];
        try
        {
            if (plan.Messages is null)
            {
                await RunAsync(senders, WarmUp, null, cancellation);
            }

            double? before = await flushes.ReadAsync(cancellation);
            PublishFigures figures = await RunAsync(senders, plan.Duration, plan.Messages, cancellation);
            double? after = await flushes.ReadAsync(cancellation);
            return figures with { FlushesPerMessage = (after - before) / Math.Max(1, figures.Messages) };
        }
        finally
        {
            foreach (AtomicGroup sender in senders)
            {
                await sender.DisposeAsync();
            }

            foreach (CarillonClient client in clients)
            {
                client.Dispose();
            }
        }
    }

    private CarillonClientOptions Rotated(int by)
    {
        ImmutableArray<Uri> servers = options.Servers;
        by %= servers.Length;
        return options with { Servers = [.. servers.Skip(by), .. servers.Take(by)] };
    }

    private async Task<PublishFigures> RunAsync(AtomicGroup[] senders, TimeSpan duration, long? messages, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        var run = new Run(messages is null ? start + (long)(duration.TotalSeconds * Stopwatch.Frequency) : long.MaxValue, messages);
        Worker[] workers =
            [.. from sender in senders.Index() from place in Enumerable.Range(0, plan.InFlight)
                select new Worker(sender.Item, plan.Size, (ulong)((sender.Index * plan.InFlight) + place))];
        await Task.WhenAll(workers.Select(w => Task.Run(() => w.RunAsync(run, cancellation), cancellation)));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double[] times = [.. workers.SelectMany(w => w.Milliseconds)];
        Array.Sort(times);
        return new PublishFigures
        {
            Messages = times.Length,
            Errors = workers.Sum(w => w.Errors),
            FirstError = workers.Select(w => w.FirstError).FirstOrDefault(e => e is not null),
            Seconds = seconds,
            MedianMs = Bench.Percentile(times, 0.5),
            Percentile99Ms = Bench.Percentile(times, 0.99),
            Percentile999Ms = Bench.Percentile(times, 0.999),
            LongestMs = times.Length > 0 ? times[^1] : 0,
        };
    }

    /// <summary>When all workers end.</summary>
    private sealed class Run(long deadline, long? messages)
    {
        private long _left = messages ?? long.MaxValue;

        public bool Next() => Stopwatch.GetTimestamp() < deadline && Interlocked.Decrement(ref _left) >= 0;
    }

    /// <summary>One message after the other.</summary>
    private sealed class Worker(AtomicGroup sender, int size, ulong seed)
    {
        private readonly byte[] _payload = Fill(size, seed);
        private ulong _done;

        public List<double> Milliseconds { get; } = [];

        public long Errors { get; private set; }

        public string? FirstError { get; private set; }

        public async Task RunAsync(Run run, CancellationToken cancellation)
        {
            while (run.Next())
            {
                BinaryPrimitives.TryWriteUInt64LittleEndian(_payload, ++_done);
                long start = Stopwatch.GetTimestamp();
                try
                {
                    await sender.SendAsync(_payload, cancellation);
                    Milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                }
                catch (CarillonException fault)
                {
                    Errors++;
                    FirstError ??= fault.Message;
                }
            }
        }

        private static byte[] Fill(int size, ulong seed)
        {
            byte[] payload = new byte[size];
            RandomStream.Fill(new RandomSource(seed + 1), payload);
            return payload;
        }
    }
}
