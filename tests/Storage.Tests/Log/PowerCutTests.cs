using Carillon.Protocols;
using Carillon.Runtime.Storage;
using Carillon.Storage.Log;
using Carillon.Storage.Tests.Devices;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>
/// A real file system on a loop-mounted image. The image copied while a log is written is what a power cut would have left: what the
/// kernel had not flushed is not in it. Each copy is mounted, its journal replayed, and the log opened.
/// </summary>
public sealed class PowerCutTests
{
    private const long ImageBytes = 24 << 20;
    private const int Cuts = 8;

    private static readonly SegmentLogOptions Options = new()
    {
        SegmentBytes = 512 << 10,
        MaxBatchBytes = 64 << 10,
        MaxWaitingBytes = 256 << 10,
        ReserveBytes = 512 << 10,
        MaxFreeSegments = 4,
    };

    [Fact]
    public void Records_acknowledged_before_the_power_was_cut_are_all_there()
    {
        using var folder = new TemporaryFolder(inMemory: true);
        string image = folder.At("disk");
        Mount.MakeImage(image, ImageBytes);
        var random = new RandomSource(2024);
        var states = new List<WriterState>();
        using (Mount mount = Mount.OfImage(image, folder.At("mounted")))
        {
            var gate = new Lock();
            var writer = new Writer(new GatedDevice(new FileDevice(mount.Point), gate, random.Fork()), random.Fork());
            var thread = new Thread(writer.Go);
            thread.Start();
            try
            {
                for (int cut = 0; cut < Cuts; cut++)
                {
                    // An instant is chosen by work done, not by time, so that a slow machine sees as much of it.
                    writer.WaitFor(flushes: cut == 0 ? 1 : 10 + random.Below(40));
                    lock (gate)
                    {
                        states.Add(writer.State);
                        CopyStill(image, folder.At($"cut{cut}"));
                    }
                }
            }
            finally
            {
                writer.Stop();
                thread.Join();
            }

            Assert.Null(writer.Failure);
            Assert.True(writer.State.Durable > 100);
        }

        for (int cut = 0; cut < Cuts; cut++)
        {
            using Mount mount = Mount.OfImage(folder.At($"cut{cut}"), folder.At("mounted"));
            Check(new FileDevice(mount.Point), states[cut]);
        }
    }

    private static void Check(FileDevice device, WriterState before)
    {
        var recovered = new List<long>();
        using var log = SegmentLog.Open(device, LogDriver.Folder, LogDriver.Disk, Options, (position, record) =>
        {
            Assert.True(LogDriver.IsRecord(position.Value, record), $"record {position} is not what was appended");
            recovered.Add(position.Value);
        });
        Assert.True(log.Health.IsWritable, log.Health.Reason);
        Assert.InRange(log.Durable.Value, before.Durable, before.Appended);
        long first = recovered.Count > 0 ? recovered[0] : log.Durable.Value + 1;
        Assert.InRange(first, 1, before.Needed);
        Assert.Equal(Enumerable.Range(0, recovered.Count).Select(i => first + i), recovered);
        Assert.Equal(log.Durable.Value, first + recovered.Count - 1);

        // And it can be written on.
        log.Append(LogDriver.Record(log.Appended.Value + 1, 100));
        Assert.True(log.TryBeginBatch(out LogBatch? batch));
        log.Complete(batch, LogDriver.Try(batch.Write, batch.Flush));
        Assert.Equal(log.Appended, log.Durable);
    }

    /// <summary>
    /// Copies the image as it is at one instant: the kernel may write back what it likes meanwhile, so until two readings agree.
    /// </summary>
    private static void CopyStill(string image, string copy)
    {
        byte[] before = File.ReadAllBytes(image);
        for (int tries = 0; tries < 50; tries++)
        {
            byte[] after = File.ReadAllBytes(image);
            if (before.AsSpan().SequenceEqual(after))
            {
                File.WriteAllBytes(copy, after);
                return;
            }

            before = after;
        }

        Assert.Fail("The image never held still.");
    }

    /// <summary>
    /// What was known when the power was cut: the last record acknowledged, the last appended, and the first still needed.
    /// </summary>
    private readonly record struct WriterState(long Durable, long Appended, long Needed);

    /// <summary>Appends, flushes, prepares and cuts on a thread of its own, until stopped.</summary>
    private sealed class Writer(IStorageDevice device, RandomSource random)
    {
        private readonly Lock _lock = new();
        private readonly SemaphoreSlim _flushed = new(0);
        private WriterState _state = new(0, 0, 1);
        private volatile bool _stopped;

        public Exception? Failure { get; private set; }

        public WriterState State
        {
            get
            {
                lock (_lock)
                {
                    return _state;
                }
            }
        }

        public void WaitFor(int flushes)
        {
            for (int i = 0; i < flushes && Failure is null; i++)
            {
                Assert.True(_flushed.Wait(TimeSpan.FromSeconds(20)), $"The writer stands still. {Failure}");
            }
        }

        public void Stop() => _stopped = true;

        public void Go()
        {
            try
            {
                Write();
            }
            catch (Exception e) when (e is StorageException or InvariantBrokenException)
            {
                Failure = e;
                _flushed.Release(1000);
            }
        }

        private void Write()
        {
            using var log = SegmentLog.Open(device, LogDriver.Folder, LogDriver.Disk, Options, (_, _) => { });
            long snapshot = 0;
            while (!_stopped)
            {
                for (int i = random.Below(20); i >= 0; i--)
                {
                    Append(log, random.Chance(0.02) ? 100_000 : 12 + random.Below(3000));
                }

                if (snapshot == 0 && log.BytesSinceSnapshot > 2 * Options.SegmentBytes)
                {
                    snapshot = log.BeginSnapshot().Value;
                    Append(log, 500);
                }

                while (log.TryBeginBatch(out LogBatch? batch))
                {
                    batch.Write();
                    batch.Flush();
                    log.Complete(batch, null);
                    Set(State with { Durable = log.Durable.Value });
                    _flushed.Release();
                }

                if (snapshot > 0)
                {
                    Set(State with { Needed = snapshot });
                    log.CutBefore(new LogPosition(snapshot));
                    snapshot = 0;
                }

                while (log.TryBeginPreparation(out SegmentPreparation? preparation))
                {
                    preparation.Write();
                    preparation.Flush();
                    log.Complete(preparation, null);
                }
            }
        }

        private void Append(SegmentLog log, int length)
        {
            if (log.CanAppend(length, urgent: false))
            {
                Set(State with { Appended = State.Appended + 1 });
                log.Append(LogDriver.Record(log.Appended.Value + 1, length));
            }
        }

        private void Set(WriterState state)
        {
            lock (_lock)
            {
                _state = state;
            }
        }
    }
}
