using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Carillon.Node;
using Carillon.Protocols;
using Runtime.Benchmarks;

// The tunnel on loopback, both ends in this process, beside bare TCP in the same run. Figures: median of the rounds.
NodeId a = NodeId.Parse("a");
NodeId b = NodeId.Parse("b");
int rounds = args.Length > 0 ? int.Parse(args[0], CultureInfo.InvariantCulture) : 5;
byte[] small = new byte[100];

double tcp = await TcpRoundTripAsync();
Console.WriteLine(FormattableString.Invariant($"bare TCP round trip, awaited sockets: p50 {tcp:0} us"));
(TunnelEnd dialler, TunnelEnd listener) = await TunnelEnd.PairAsync();
await using (dialler)
await using (listener)
{
    for (int round = 0; round < rounds; round++)
    {
        double[] trips = await RoundTripsAsync(4000);
        Console.Write(FormattableString.Invariant($"round trip p50 {trips[2000]:0} us p99 {trips[3960]:0} us; "));
        Console.Write(FormattableString.Invariant($"messages/s to listener {await MessagesAsync(dialler, b, listener, 400_000):0}, to dialler {await MessagesAsync(listener, a, dialler, 400_000):0}; "));
        Console.Write(FormattableString.Invariant($"bulk MB/s to listener {await BulkAsync(dialler, b, listener, 400):0}, to dialler {await BulkAsync(listener, a, dialler, 400):0}; "));
        double[] busy = await RoundTripsDuringBulkAsync();
        Console.WriteLine(FormattableString.Invariant($"round trip during bulk p50 {busy[busy.Length / 2]:0} us p99 {busy[busy.Length * 99 / 100]:0} us"));
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

static async Task<double> TcpRoundTripAsync()
{
    using Socket listening = new(SocketType.Stream, ProtocolType.Tcp);
    listening.Bind(new IPEndPoint(IPAddress.IPv6Loopback, 0));
    listening.Listen();
    using Socket client = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
    await client.ConnectAsync(listening.LocalEndPoint!);
    using Socket server = await listening.AcceptAsync();
    server.NoDelay = true;
    const int Count = 4000;
    Task echo = Task.Run(async () =>
    {
        byte[] buffer = new byte[100];
        for (int i = 0; i < Count; i++)
        {
            int length = await server.ReceiveAsync(buffer.AsMemory());
            await server.SendAsync(buffer.AsMemory(0, length));
        }
    });
    byte[] bytes = new byte[100];
    double[] times = new double[Count];
    for (int i = 0; i < Count; i++)
    {
        long start = Stopwatch.GetTimestamp();
        await client.SendAsync(bytes.AsMemory());
        await client.ReceiveAsync(bytes.AsMemory());
        times[i] = Stopwatch.GetElapsedTime(start).TotalMicroseconds;
    }

    await echo;
    Array.Sort(times);
    return times[Count / 2];
}
