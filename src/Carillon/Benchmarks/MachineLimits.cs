using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Carillon.Client;
using Carillon.Runtime.Storage;
using Carillon.Storage;

namespace Carillon.Benchmarks;

/// <summary>
/// What the machine itself can do, measured in the run whose figures stand beside it: these machines are shared, and only
/// ratios of one run mean much.
/// </summary>
internal sealed record MachineLimits
{
    private const int FlushSamples = 300;
    private const int WriteBytes = 256 << 20;
    private const long LoopbackBytes = 1L << 30;
    private const int RequestSamples = 500;
    private const int Block = 4096;

    /// <summary>One write of 4 KiB over blocks that were written before, with its flush.</summary>
    public required double FlushMedianMs { get; init; }

    public required double FlushPercentile99Ms { get; init; }

    /// <summary>One file written from end to end, with one flush.</summary>
    public required double SequentialWriteBytesPerSecond { get; init; }

    /// <summary>One TCP connection on loopback, bytes thrown away at its end.</summary>
    public required double LoopbackBytesPerSecond { get; init; }

    /// <summary>A request for <c>/healthz/live</c>, one at a time.</summary>
    public required double EmptyRequestMedianMs { get; init; }

    /// <summary>A datagram of 64 bytes to another thread and back, on loopback, one at a time.</summary>
    public required double DatagramRoundTripMs { get; init; }

    /// <summary>Between two servers, as the first one measures it; null where it does not tell.</summary>
    public double? TunnelRoundTripMs { get; init; }

    /// <summary>Measures all of it.</summary>
    public static async Task<MachineLimits> MeasureAsync(
        string scratch, CarillonClient client, ClusterStatus status, CancellationToken cancellation)
    {
        string folder = Path.Combine(scratch, "carillon-bench-" + RandomNumberGenerator.GetHexString(8, lowercase: true));
        try
        {
            (double median, double percentile) = MeasureFlushes(folder, FlushSamples);
            double[] rtts = [.. status.Servers.Select(s => s.RttMs).OfType<double>().Where(r => r > 0).Order()];
            return new MachineLimits
            {
                FlushMedianMs = median,
                FlushPercentile99Ms = percentile,
                SequentialWriteBytesPerSecond = MeasureWrite(folder),
                LoopbackBytesPerSecond = await MeasureLoopbackAsync(cancellation),
                EmptyRequestMedianMs = await MeasureRequestsAsync(client, cancellation),
                DatagramRoundTripMs = await MeasureDatagramsAsync(cancellation),
                TunnelRoundTripMs = rtts.Length > 0 ? rtts[rtts.Length / 2] : null,
            };
        }
        finally
        {
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }
        }
    }

    /// <summary>Latency of a small write over pre-written blocks with its flush, by the same device that the log uses.</summary>
    public static (double Median, double Percentile99) MeasureFlushes(string folder, int samples)
    {
        Directory.CreateDirectory(folder);
        using IStorageFile file = new FileDevice(folder).Open("limits", "flush");
        byte[] block = RandomNumberGenerator.GetBytes(Block);
        for (int i = 0; i < samples; i++)
        {
            file.Write((long)i * Block, block);
        }

        file.Flush();
        double[] times = new double[samples];
        for (int i = 0; i < samples; i++)
        {
            long start = Stopwatch.GetTimestamp();
            file.Write((long)i * Block, block);
            file.Flush();
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        Array.Sort(times);
        return (Bench.Percentile(times, 0.5), Bench.Percentile(times, 0.99));
    }

    private static double MeasureWrite(string folder)
    {
        using IStorageFile file = new FileDevice(folder).Open("limits", "write");
        byte[] block = RandomNumberGenerator.GetBytes(1 << 20);
        long start = Stopwatch.GetTimestamp();
        for (long at = 0; at < WriteBytes; at += block.Length)
        {
            file.Write(at, block);
        }

        file.Flush();
        return WriteBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<double> MeasureLoopbackAsync(CancellationToken cancellation)
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen(1);
        using var sender = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        Task<Socket> accepting = listener.AcceptAsync(cancellation).AsTask();
        await sender.ConnectAsync(listener.LocalEndPoint!, cancellation);
        using Socket receiver = await accepting;
        byte[] block = new byte[256 << 10];
        long start = Stopwatch.GetTimestamp();
        Task sending = Task.Run(
            () =>
            {
                for (long sent = 0; sent < LoopbackBytes; sent += block.Length)
                {
                    sender.Send(block);
                }
            },
            cancellation);
        await Task.Run(
            () =>
            {
                byte[] into = new byte[256 << 10];
                for (long received = 0; received < LoopbackBytes;)
                {
                    received += receiver.Receive(into);
                }
            },
            cancellation);
        await sending;
        return LoopbackBytes / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<double> MeasureDatagramsAsync(CancellationToken cancellation)
    {
        using var near = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        using var far = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
        near.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        far.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        await near.ConnectAsync(far.LocalEndPoint!, cancellation);
        await far.ConnectAsync(near.LocalEndPoint!, cancellation);

        // On loopback a datagram is lost only where nobody reads; should one be all the same, that is told and not waited for.
        near.ReceiveTimeout = far.ReceiveTimeout = 1000;
        Task echo = Task.Run(() => Echo(far), cancellation);
        double[] times = new double[RequestSamples];
        byte[] datagram = new byte[64];
        for (int i = 0; i < RequestSamples; i++)
        {
            long start = Stopwatch.GetTimestamp();
            near.Send(datagram);
            near.Receive(datagram);
            times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        await echo;
        Array.Sort(times);
        return Bench.Percentile(times, 0.5);
    }

    private static void Echo(Socket socket)
    {
        byte[] datagram = new byte[64];
        for (int i = 0; i < RequestSamples; i++)
        {
            socket.Send(datagram.AsSpan(0, socket.Receive(datagram)));
        }
    }

    private static async Task<double> MeasureRequestsAsync(CarillonClient client, CancellationToken cancellation)
    {
        double[] times = new double[RequestSamples];
        for (int i = -50; i < RequestSamples; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await client.ReadBytesAsync("/healthz/live", cancellation);
            if (i >= 0)
            {
                times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            }
        }

        Array.Sort(times);
        return Bench.Percentile(times, 0.5);
    }
}
