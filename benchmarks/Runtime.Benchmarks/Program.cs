using System.Diagnostics;
using System.Globalization;
using Carillon.Node;
using Carillon.Protocols;
using Runtime.Benchmarks;

// The tunnel on loopback, both ends in this process, beside bare TCP and TLS in the same run. Processor time is printed as well,
// since it says more than wall time on a machine that is shared.
NodeId a = NodeId.Parse("a");
NodeId b = NodeId.Parse("b");
int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 5;
byte[] small = new byte[100];

Console.WriteLine(FormattableString.Invariant($"bare TCP, awaited sockets: round trip p50 {await BareSockets.RoundTripAsync():0} us"));
Console.WriteLine($"bare TCP: {await MeasureAsync(() => BareSockets.TransferAsync(null, 400))}");
Console.WriteLine($"bare TLS: {await MeasureAsync(() => BareSockets.TransferAsync(TunnelEnd.MakeCertificate(), 400))}");
(TunnelEnd dialler, TunnelEnd listener) = await TunnelEnd.PairAsync();
await using (dialler)
await using (listener)
{
    for (int round = 0; round < rounds; round++)
    {
        double[] trips = await RoundTripsAsync(4000);
        Console.Write(FormattableString.Invariant($"round trip p50 {trips[2000]:0} us p99 {trips[3960]:0} us; "));
        double toListener = await MessagesAsync(dialler, b, listener, 400_000);
        double toDialler = await MessagesAsync(listener, a, dialler, 400_000);
        Console.Write(FormattableString.Invariant($"messages/s to listener {toListener:0}, to dialler {toDialler:0}; "));
        Console.Write($"bulk to listener {await MeasureAsync(() => BulkAsync(dialler, b, listener, 400))}, ");
        Console.Write($"to dialler {await MeasureAsync(() => BulkAsync(listener, a, dialler, 400))}; ");
        double[] busy = await RoundTripsDuringBulkAsync();
        Console.WriteLine(FormattableString.Invariant(
            $"round trip during bulk p50 {busy[busy.Length / 2]:0} us p99 {busy[busy.Length * 99 / 100]:0} us"));
    }
}

async Task<double[]> RoundTripsAsync(int count)
{
    double[] times = new double[count];
    TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    int index = 0;
    long start = Stopwatch.GetTimestamp();
    listener.OnMessage = message => listener.Tunnel.TryQueue(a, TrafficKind.Agreement, message.Span);
    dialler.OnMessage = _ =>
    {
        times[index++] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
        start = Stopwatch.GetTimestamp();
        if (index == count)
        {
            done.SetResult();
            return;
        }

        dialler.Tunnel.TryQueue(b, TrafficKind.Agreement, small);
    };
    dialler.Tunnel.TrySend(b, TrafficKind.Agreement, small);
    await done.Task;
    Array.Sort(times);
    return times;
}

async Task<double> MessagesAsync(TunnelEnd from, NodeId to, TunnelEnd receiver, int count)
{
    int received = 0;
    TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    receiver.OnMessage = _ =>
    {
        if (++received == count)
        {
            done.SetResult();
        }
    };
    long start = Stopwatch.GetTimestamp();
    for (int i = 0; i < count;)
    {
        if (from.Tunnel.TrySend(to, TrafficKind.Agreement, small))
        {
            i++;
        }
        else
        {
            await Task.Yield();
        }
    }

    await done.Task;
    return count / Stopwatch.GetElapsedTime(start).TotalSeconds;
}

async Task<double> BulkAsync(TunnelEnd from, NodeId to, TunnelEnd receiver, int chunks)
{
    byte[] body = new byte[1 << 20];
    byte[] header = new byte[48];
    int received = 0;
    TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    receiver.OnChunk = _ =>
    {
        if (++received == chunks)
        {
            done.SetResult();
        }
    };
    long start = Stopwatch.GetTimestamp();
    for (int i = 0; i < chunks;)
    {
        if (from.Tunnel.TrySendChunk(to, TrafficKind.Bulk, header, new ChunkBuffer(body)))
        {
            i++;
        }
        else
        {
            await Task.Delay(1);
        }
    }

    await done.Task;
    return chunks / Stopwatch.GetElapsedTime(start).TotalSeconds * (1 << 20) / 1e6;
}

async Task<double[]> RoundTripsDuringBulkAsync()
{
    Task<double> bulk = BulkAsync(dialler, b, listener, 400);
    List<double> all = [];
    while (!bulk.IsCompleted)
    {
        all.AddRange(await RoundTripsAsync(50));
    }

    await bulk;
    all.Sort();
    return [.. all];
}

// Runs a transfer that gives MB/s, and adds the processor time that this process spent on each GB.
static async Task<string> MeasureAsync(Func<Task<double>> transfer)
{
    using Process process = Process.GetCurrentProcess();
    TimeSpan before = process.TotalProcessorTime;
    double rate = await transfer();
    process.Refresh();
    double perGigabyte = (process.TotalProcessorTime - before).TotalSeconds / (400 * (1 << 20) / 1e9);
    return FormattableString.Invariant($"{rate:0} MB/s ({perGigabyte:0.0} cpu-s/GB)");
}
