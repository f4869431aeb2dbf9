using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using Carillon.Client;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Benchmarks;

/// <summary>
/// Load in a closed loop: each client does one operation after the other, through the same library that everybody uses. The
/// clients are spread over the servers that are given. Every level writes names of its own.
/// </summary>
internal sealed class Bench : IDisposable
{
    // Beyond this a put is streamed from a generator, so that a benchmark of large objects needs little memory itself.
    private const long StreamedBytes = 1 << 20;
    private const int MaxPreparedObjects = 1000;
    private static readonly TimeSpan WarmUp = TimeSpan.FromMilliseconds(500);

    private readonly BenchPlan _plan;
    private readonly ImmutableArray<CarillonClient> _clients;
    private readonly FlushCount _flushes;
    private readonly string _run = RandomNumberGenerator.GetHexString(8, lowercase: true);

    public Bench(BenchPlan plan, CarillonClientOptions options, FlushCount flushes)
    {
        _plan = plan;
        _flushes = flushes;
        _clients =
        [
            .. Enumerable.Range(0, options.Servers.Length)
                .Select(i => new CarillonClient(options with { Servers = Rotate(options.Servers, i) })),
        ];
    }

    public void Dispose()
    {
        foreach (CarillonClient client in _clients)
        {
            client.Dispose();
        }
    }

    /// <summary>Makes the bucket, and what gets will read.</summary>
    public async Task PrepareAsync(CancellationToken cancellation)
    {
        (await _clients[0].CreateBucketAsync(_plan.Bucket, new BucketSettings(), cancellation: cancellation)).AcceptedOrThrow();
        if (_plan.Puts)
        {
            return;
        }

        int count = PreparedObjects();
        await Parallel.ForAsync(
            0, count, new ParallelOptions { MaxDegreeOfParallelism = 16, CancellationToken = cancellation }, async (i, token) =>
            (await _clients[0].PutAsync(Prepared(i), Source((ulong)i, new byte[Buffered()]), cancellation: token)).AcceptedOrThrow());
    }

    /// <summary>Runs one level.</summary>
    public async Task<BenchLevel> RunAsync(int clients, CancellationToken cancellation)
    {
        if (_plan.Count is null)
        {
            await RunAsync(clients, "warm", WarmUp, null, cancellation);
        }

        double? before = await _flushes.ReadAsync(cancellation);
        BenchLevel level = await RunAsync(clients, "run", _plan.Duration, _plan.Count, cancellation);
        double? after = await _flushes.ReadAsync(cancellation);
        return level with { FlushesPerOperation = (after - before) / Math.Max(1, level.Operations) };
    }

    private async Task<BenchLevel> RunAsync(int clients, string phase, TimeSpan duration, int? count, CancellationToken cancellation)
    {
        long start = Stopwatch.GetTimestamp();
        long deadline = count is null ? start + (long)(duration.TotalSeconds * Stopwatch.Frequency) : long.MaxValue;
        int left = count ?? int.MaxValue;
        Worker[] workers = [.. Enumerable.Range(0, clients).Select(i => new Worker(this, i, $"bench/{_run}/{phase}-{clients}/{i}"))];
        await Task.WhenAll(workers.Select(w => Task.Run(
            async () =>
            {
                while (Stopwatch.GetTimestamp() < deadline && (count is null || Interlocked.Decrement(ref left) >= 0))
                {
                    await w.StepAsync(cancellation);
                }
            },
            cancellation)));
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        double[] times = [.. workers.SelectMany(w => w.Milliseconds)];
        Array.Sort(times);
        return new BenchLevel
        {
            Clients = clients,
            Operations = times.Length,
            Errors = workers.Sum(w => w.Errors),
            FirstError = workers.Select(w => w.FirstError).FirstOrDefault(e => e is not null),
            Seconds = seconds,
            MedianMs = Percentile(times, 0.5),
            Percentile99Ms = Percentile(times, 0.99),
            LongestMs = times.Length > 0 ? times[^1] : 0,
        };
    }

    /// <summary>The value below which that part of the sorted values lies; 0 where there are none.</summary>
    internal static double Percentile(double[] sorted, double part) =>
        sorted.Length == 0 ? 0 : sorted[Math.Clamp((int)Math.Ceiling(part * sorted.Length) - 1, 0, sorted.Length - 1)];

    private static ImmutableArray<Uri> Rotate(ImmutableArray<Uri> servers, int by) => [.. servers.Skip(by), .. servers.Take(by)];

    private int PreparedObjects() =>
        (int)Math.Clamp(Math.Min(_plan.Count ?? MaxPreparedObjects, (256L << 20) / Math.Max(1, _plan.Size)), 1, MaxPreparedObjects);

    private ObjectName Prepared(int i) => new(_plan.Bucket, string.Create(CultureInfo.InvariantCulture, $"bench/{_run}/objects/{i}"));

    private int Buffered() => (int)Math.Min(_plan.Size, StreamedBytes);

    private PutSource Source(ulong seed, byte[] buffer)
    {
        if (_plan.Size > StreamedBytes)
        {
            return PutSource.FromFactory(_ => new((new RandomStream(_plan.Size, seed), _plan.Size)));
        }

        RandomStream.Fill(new RandomSource(seed), buffer);
        return PutSource.FromBytes(buffer);
    }

    /// <summary>One client.</summary>
    private sealed class Worker(Bench bench, int number, string prefix)
    {
        private readonly PutOptions _unverified = new() { Verify = false, Ack = bench._plan.Ack };

        private readonly CarillonClient _client = bench._clients[number % bench._clients.Length];
        private readonly RandomSource _random = new((ulong)number + 1);
        private readonly byte[] _buffer = Prefilled(bench.Buffered(), number);
        private readonly int _prepared = bench.PreparedObjects();
        private ulong _done;

        public List<double> Milliseconds { get; } = [];

        public long Errors { get; private set; }

        public string? FirstError { get; private set; }

        public async Task StepAsync(CancellationToken cancellation)
        {
            long start = Stopwatch.GetTimestamp();
            string? error = bench._plan.Puts ? await PutAsync(cancellation) : await GetAsync(cancellation);
            if (error is null)
            {
                Milliseconds.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
                return;
            }

            Errors++;
            FirstError ??= error;
        }

        private static byte[] Prefilled(int length, int number)
        {
            byte[] buffer = new byte[length];
            RandomStream.Fill(new RandomSource((ulong)number + 1_000_000), buffer);
            return buffer;
        }

        private async Task<string?> PutAsync(CancellationToken cancellation)
        {
            _done++;
            PutSource source;
            if (bench._plan.Size > StreamedBytes)
            {
                source = bench.Source(((ulong)number << 32) | _done, _buffer);
            }
            else
            {
                // Different bytes each time, for next to no work: nothing may be found to be stored already.
                BinaryPrimitives.TryWriteUInt64LittleEndian(_buffer, _done);
                source = PutSource.FromBytes(_buffer);
            }

            var target = new ObjectName(bench._plan.Bucket, string.Create(CultureInfo.InvariantCulture, $"{prefix}/{_done}"));
            WriteResult<PutAnswer> result = await _client.PutAsync(target, source, _unverified, cancellation);
            return result.Verdict == Verdict.Accepted ? null : $"{result.Verdict.ToString().ToLowerInvariant()}: {result.Problem?.Message}";
        }

        private async Task<string?> GetAsync(CancellationToken cancellation)
        {
            ObjectName source = bench.Prepared(_random.Below(_prepared));
            try
            {
                if (bench._plan.ToFile)
                {
                    string file = Path.Combine(
                        bench._plan.Scratch, string.Create(CultureInfo.InvariantCulture, $"carillon-bench-{bench._run}-{number}"));
                    await _client.GetToFileAsync(source, file, cancellation: cancellation);
                    File.Delete(file);
                }
                else
                {
                    await _client.GetToStreamAsync(source, Stream.Null, cancellation: cancellation);
                }

                return null;
            }
            catch (CarillonException fault)
            {
                return fault.Message;
            }
        }
    }
}
