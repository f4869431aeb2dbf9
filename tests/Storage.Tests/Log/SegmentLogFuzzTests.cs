using Carillon.Protocols;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>
/// Bytes that a disk made up: recovery never throws, invents nothing, and holds no more memory than a batch and a record.
/// </summary>
public sealed class SegmentLogFuzzTests
{
    private static readonly SegmentLogOptions Options = LogDriver.Small with { ReserveBytes = 0 };

    [Fact]
    public void Flipped_bit_is_corruption_in_the_middle_a_torn_tail_at_the_end_and_nothing_elsewhere()
    {
        var random = new RandomSource(5);
        int corrupt = 0;
        int torn = 0;
        for (int round = 0; round < 300; round++)
        {
            var driver = new LogDriver(options: Options);
            var batches = new List<int>();
            Fill(driver, random, batches);
            long last = driver.Log.Durable.Value;
            FlipBit(driver.Device, random);
            driver.Reopen();
            Assert.All(driver.Recovered, record => Assert.True(LogDriver.IsRecord(record.Position, record.Record)));
            long[] positions = [.. driver.Recovered.Select(record => record.Position)];
            Assert.Equal(positions.Order().Distinct(), positions);
            long missing = last - driver.Recovered.Count;
            switch (driver.Log.Health.Condition)
            {
                case LogCondition.Corrupt:
                    Assert.InRange(missing, 1, batches.Max());
                    corrupt++;
                    break;
                case LogCondition.TornTail:
                    Assert.Equal(batches[^1], missing);
                    torn++;
                    break;
                default:
                    // The magic of the last batch's header may be what was hit: then there is none.
                    Assert.True(missing == 0 || missing == batches[^1]);
                    break;
            }
        }

        Assert.True(corrupt > 20 && torn > 2, $"{corrupt} {torn}");
    }

    [Fact]
    public void Garbage_never_throws_and_takes_bounded_memory()
    {
        var random = new RandomSource(17);
        for (int round = 0; round < 400; round++)
        {
            var device = new FaultDevice();
            int files = 1 + random.Below(4);
            for (int file = 1; file <= files; file++)
            {
                device.Put(LogDriver.Folder, $"{file:d8}.segment", Garbage(random));
            }

            long before = GC.GetAllocatedBytesForCurrentThread();
            using var log = SegmentLog.Open(device, LogDriver.Folder, LogDriver.Disk, Options, (_, _) => { });
            Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4 << 20);
            if (log.Health.IsWritable)
            {
                log.Append([1, 2, 3]);
                Assert.True(log.TryBeginBatch(out LogBatch? batch));
                batch.Write();
                batch.Flush();
                log.Complete(batch, null);
                Assert.Equal(log.Appended, log.Durable);
            }
        }
    }

    private static void Fill(LogDriver driver, RandomSource random, List<int> batches)
    {
        int count = 4 + random.Below(20);
        for (int i = 0; i < count; i++)
        {
            int records = 1 + random.Below(4);
            for (int record = 0; record < records; record++)
            {
                driver.Log.Append(LogDriver.Record(driver.Log.Appended.Value + 1, 12 + random.Below(3000)));
            }

            batches.Add(records);
            driver.Drain();
        }
    }

    private static void FlipBit(FaultDevice device, RandomSource random)
    {
        IReadOnlyList<string> names = device.List(LogDriver.Folder);
        Span<byte> bytes = device.Bytes(LogDriver.Folder, names[random.Below(Math.Min(2, names.Count))]);
        bytes[random.Below(bytes.Length)] ^= (byte)(1 << random.Below(8));
    }

    /// <summary>Blocks of noise, zeros, right batches with wild numbers, and pieces of them.</summary>
    private static byte[] Garbage(RandomSource random)
    {
        var image = new SegmentImage(1 + random.Below(4), length: (1 + random.Below(16)) * BatchHeader.Block);
        while (image.Offset < image.Bytes.Length)
        {
            switch (random.Below(6))
            {
                case 0:
                    Noise(random, image.Bytes.AsSpan(image.Offset, BatchHeader.Block));
                    image.Skip(1);
                    break;
                case 1:
                    image.Skip(1);
                    break;
                case 2:
                    image.Batch(1 + random.Below(6), "wild").Spoil(random.Below(100));
                    break;
                case 3:
                    image.Batch(Wild(random) + 1, "wild", Wild(random) + 2, oldest: 1 + random.Below(2), before: Wild(random));
                    break;
                case 4:
                    Span<byte> place = image.Bytes.AsSpan(image.Offset);
                    int length = random.Below(BatchHeader.MaxBatchBytes - BatchHeader.Size);
                    var wild = new BatchHeader(LogDriver.Disk, 1 + random.Below(4), 1 + random.Below(6), random.Below(6), 1, length, 0, 0);
                    wild.Write(place);
                    image.Skip(1);
                    break;
                default:
                    image.Batch(1 + random.Below(6), "wild");
                    break;
            }
        }

        return random.Chance(0.1) ? image.Bytes[..random.Below(image.Bytes.Length)] : image.Bytes;
    }

    private static long Wild(RandomSource random) => random.Chance(0.5) ? random.Below(5) : (long)(random.Next() >> (2 + random.Below(62)));

    private static void Noise(RandomSource random, Span<byte> into)
    {
        for (int i = 0; i < into.Length; i++)
        {
            into[i] = (byte)random.Next();
        }
    }
}
