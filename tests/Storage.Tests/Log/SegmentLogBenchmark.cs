using System.Diagnostics;
using Carillon.Runtime.Storage;
using Carillon.Storage.Log;
using Carillon.Storage.Tests.Devices;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>
/// Figures beside the disk's own limit, in one run. Run by hand: <c>--explicit only --filter-class *SegmentLogBenchmark
/// --show-live-output on</c>.
/// </summary>
public sealed class SegmentLogBenchmark(ITestOutputHelper output)
{
    private const int RecordBytes = 1000;
    private static readonly TimeSpan RunTime = TimeSpan.FromSeconds(4);

    [Fact(Explicit = true)]
    public void Records_of_1_KB_a_second_beside_the_bare_disk()
    {
        using var folder = new TemporaryFolder();
        var device = new FileDevice(folder.Path);
        using (IStorageFile file = device.Open("bare", "file"))
        {
            byte[] zeros = new byte[16 << 20];
            file.Write(0, zeros);
            file.Flush();
            foreach (int bytes in (int[])[4 << 10, 68 << 10])
            {
                long offset = 0;
                Report($"overwrite {bytes >> 10} KiB and flush", 1, Measure(() =>
                {
                    file.Write(offset, zeros.AsSpan(0, bytes));
                    file.Flush();
                    offset = offset + (2 * bytes) > zeros.Length ? 0 : offset + bytes;
                }));
            }
        }

        RunLog(device);
        long start = Stopwatch.GetTimestamp();
        int records = 0;
        using SegmentLog again = SegmentLog.Open(device, LogDriver.Folder, LogDriver.Disk, new SegmentLogOptions(), (_, _) => records++);
        output.WriteLine(
            $"opened {records:n0} records, {again.BytesSinceSnapshot >> 20} MiB in {again.LiveSegments} live of "
            + $"{device.List(LogDriver.Folder).Count} segments, in {Stopwatch.GetElapsedTime(start).TotalMilliseconds:n0} ms");
    }

    private void RunLog(FileDevice device)
    {
        using SegmentLog log = SegmentLog.Open(device, LogDriver.Folder, LogDriver.Disk, new SegmentLogOptions(), (_, _) => { });
        using var preparing = new BlockingPreparation(log);
        byte[] record = LogDriver.Record(1, RecordBytes);
        foreach (int writers in (int[])[1, 16, 64])
        {
            Report($"log, {writers} waiting writers of {RecordBytes} B", writers, Measure(() => Commit(log, preparing, record, writers)));
        }
    }

    private static void Commit(SegmentLog log, BlockingPreparation preparing, byte[] record, int writers)
    {
        for (int i = 0; i < writers; i++)
        {
            while (!log.CanAppend(record.Length, urgent: false))
            {
                preparing.Wait();
            }

            log.Append(record);
        }

        Assert.True(log.TryBeginBatch(out LogBatch? batch));
        batch.Write();
        batch.Flush();
        log.Complete(batch, null);
        preparing.Poll();
        if (log.BytesSinceSnapshot > 24 << 20)
        {
            log.CutBefore(log.BeginSnapshot());
        }
    }

    private static List<double> Measure(Action step)
    {
        var milliseconds = new List<double>();
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < RunTime)
        {
            long begin = Stopwatch.GetTimestamp();
            step();
            milliseconds.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
        }

        return milliseconds;
    }

    private void Report(string what, int perStep, List<double> milliseconds)
    {
        double total = milliseconds.Sum();
        milliseconds.Sort();
        output.WriteLine(
            $"{what}: {milliseconds.Count * perStep / total * 1000:n0}/s, p50 {milliseconds[milliseconds.Count / 2]:n3} ms, "
            + $"p99 {milliseconds[milliseconds.Count * 99 / 100]:n3} ms");
    }

    /// <summary>Runs preparations on another thread, and gives them back on the log's.</summary>
    private sealed class BlockingPreparation(SegmentLog log) : IDisposable
    {
        private SegmentPreparation? _running;
        private Task? _task;

        public void Poll()
        {
            if (_task is { IsCompletedSuccessfully: true })
            {
                log.Complete(_running!, null);
                _task = null;
            }

            if (_task is null && log.TryBeginPreparation(out _running))
            {
                SegmentPreparation preparation = _running;
                _task = Task.Run(() =>
                {
                    preparation.Write();
                    preparation.Flush();
                });
            }
        }

        /// <summary>The log has run ahead of its preparations.</summary>
        public void Wait()
        {
            _task?.Wait();
            Poll();
        }

        public void Dispose() => _task?.Wait();
    }
}
