using Carillon.Protocols;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

/// <summary>Full devices, the reserve, cuts, and segments used again.</summary>
public sealed class SegmentLogSpaceTests
{
    private const int Length = 3000;

    [Fact]
    public void Full_device_refuses_new_work_and_leaves_the_reserve_to_urgent_records()
    {
        var driver = new LogDriver(new FaultDevice { Capacity = 3 * LogDriver.Small.SegmentBytes });
        int plain = FillWith(driver, urgent: false);
        Assert.True(driver.Log.IsDeviceFull);
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);
        int urgent = FillWith(driver, urgent: true);
        Assert.True(plain > 10 && urgent >= 10, $"{plain} {urgent}");
        Assert.True(driver.Log.Health.IsWritable, driver.Log.Health.Reason);
        driver.Reopen();
        Assert.Equal(plain + urgent, driver.Recovered.Count);
    }

    [Fact]
    public void Full_log_is_emptied_by_a_cut_that_needs_no_record()
    {
        var driver = new LogDriver(new FaultDevice { Capacity = 3 * LogDriver.Small.SegmentBytes });
        FillWith(driver, urgent: false);
        FillWith(driver, urgent: true);
        Assert.False(driver.Log.CanAppend(Length, urgent: true));
        int live = driver.Log.LiveSegments;
        driver.Log.CutBefore(driver.Log.Durable);
        Assert.True(driver.Log.TryBeginBatch(out LogBatch? batch));
        Assert.Equal(0, batch.Records);
        driver.Log.Complete(batch, LogDriver.Try(batch.Write, batch.Flush));
        Assert.True(driver.Log.LiveSegments < live);
        Assert.True(FillWith(driver, urgent: false) > 0);
        Assert.True(driver.Log.Health.IsWritable);
    }

    [Fact]
    public void Whatever_was_accepted_finds_its_place_on_a_full_device()
    {
        for (ulong seed = 0; seed < 60; seed++)
        {
            var random = new RandomSource(seed);
            var driver = new LogDriver(new FaultDevice { Capacity = (2 + random.Below(6)) * (long)LogDriver.Small.SegmentBytes });
            LogPosition snapshot = default;
            for (int step = 0; step < 600; step++)
            {
                int length = random.Chance(0.1) ? random.Below(40_000) : random.Below(3000);
                if (driver.Log.CanAppend(length, urgent: random.Chance(0.3)))
                {
                    driver.Log.Append(new byte[length]);
                }

                if (random.Chance(0.3))
                {
                    driver.Step();
                }

                if (random.Chance(0.05))
                {
                    driver.Drain();
                    if (snapshot.Value > 0)
                    {
                        driver.Log.CutBefore(snapshot);
                    }

                    snapshot = random.Chance(0.5) ? driver.Log.BeginSnapshot() : default;
                }

                Assert.True(driver.Log.Health.IsWritable, $"seed {seed}, step {step}: {driver.Log.Health.Reason}");
            }

            driver.Drain();
            Assert.Equal(driver.Log.Appended, driver.Log.Durable);
        }
    }

    [Fact]
    public void Records_appended_unasked_wait_for_room()
    {
        var driver = new LogDriver(new FaultDevice { Capacity = 2 * LogDriver.Small.SegmentBytes });
        driver.AppendDurably("one");
        for (int i = 0; i < 80; i++)
        {
            driver.Log.Append(new byte[Length]);
        }

        driver.Drain();
        Assert.InRange(driver.Log.Durable.Value, 20, 60);
        Assert.True(driver.Log.IsDeviceFull);
        Assert.False(driver.Log.CanAppend(1, urgent: true));
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);

        // A cut goes out before what waits, if it can; here it frees the first segment.
        driver.Log.CutBefore(driver.Log.Durable);
        driver.Drain();
        long durable = driver.Log.Durable.Value;
        driver.Device.Capacity += 10 * LogDriver.Small.SegmentBytes;
        driver.Drain();
        driver.Drain();
        Assert.True(durable > 40);
        Assert.Equal(new LogPosition(81), driver.Log.Durable);
        driver.Reopen();
        Assert.Equal(81, driver.Recovered[^1].Position);
    }

    [Fact]
    public void Records_appended_unasked_without_end_fail_the_log()
    {
        var driver = new LogDriver(new FaultDevice { Capacity = 2 * LogDriver.Small.SegmentBytes });
        LogPosition durable = driver.AppendDurably("one");
        for (int i = 0; i < 200; i++)
        {
            driver.Log.Append(new byte[Length]);
        }

        Assert.Equal(LogCondition.Failed, driver.Log.Health.Condition);
        Assert.Equal(new LogPosition(201), driver.Log.Appended);
        Assert.Equal(durable, driver.Log.Durable);
    }

    [Fact]
    public void Snapshot_larger_than_the_room_that_is_ready_is_written_as_segments_are_made()
    {
        var driver = new LogDriver();
        driver.AppendDurably("one");
        driver.Log.BeginSnapshot();
        for (int i = 0; i < 70; i++)
        {
            driver.Log.Append(new byte[Length]);
        }

        driver.Drain();
        driver.Drain();
        Assert.Equal(driver.Log.Appended, driver.Log.Durable);
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);
    }

    [Fact]
    public void Space_given_back_to_a_full_device_is_used()
    {
        var device = new FaultDevice { Capacity = 3 * LogDriver.Small.SegmentBytes };
        var driver = new LogDriver(device);
        FillWith(driver, urgent: false);
        Assert.False(driver.Log.TryBeginPreparation(out _));
        device.Capacity += 4 * LogDriver.Small.SegmentBytes;
        driver.Drain();
        Assert.False(driver.Log.IsDeviceFull);
        Assert.True(FillWith(driver, urgent: false) > 0);
    }

    /// <summary>Simulator, seed 86 with services: the device was read-only when a segment was wanted, and had more than room enough; the
    /// log waited for room for ever.</summary>
    [Fact]
    public void Device_that_was_read_only_is_tried_again_when_room_is_asked_for()
    {
        var device = new FaultDevice { Capacity = 100L * LogDriver.Small.SegmentBytes };
        var driver = new LogDriver(device);
        for (int i = 0; i < 200 && driver.Log.CanAppend(Length, urgent: true); i++)
        {
            driver.Log.Append(new byte[Length]);
            driver.Step();
            if (driver.Log.TryBeginPreparation(out SegmentPreparation? preparation))
            {
                driver.Log.Complete(preparation, new StorageException(StorageFault.ReadOnly, "read-only"));
            }
        }

        Assert.True(driver.Log.IsDeviceFull);
        Assert.False(driver.Log.CanAppend(Length, urgent: false));
        driver.Drain();
        Assert.True(driver.Log.CanAppend(Length, urgent: false));
        Assert.True(FillWith(driver, urgent: false) > 20);
    }

    [Fact]
    public void Waiting_records_are_bounded()
    {
        var driver = new LogDriver(options: LogDriver.Small with { ReserveBytes = 1 << 20, MaxFreeSegments = 30 });
        int count = 0;
        while (driver.Log.CanAppend(Length, urgent: false))
        {
            driver.Log.Append(new byte[Length]);
            count++;
        }

        Assert.InRange(count * Length, LogDriver.Small.MaxWaitingBytes * 3 / 4, LogDriver.Small.MaxWaitingBytes);
        Assert.True(driver.Log.CanAppend(Length, urgent: true));
        driver.Drain();
        Assert.True(driver.Log.CanAppend(Length, urgent: false));
    }

    [Fact]
    public void Size_and_files_depend_on_what_is_open_not_on_history()
    {
        var driver = new LogDriver();
        Churn(driver, rounds: 3);
        int files = driver.Device.List(LogDriver.Folder).Count;
        int live = driver.Log.LiveSegments;
        Churn(driver, rounds: 60);
        Assert.InRange(driver.Device.List(LogDriver.Folder).Count, 1, files);
        Assert.InRange(driver.Log.LiveSegments, 1, live);
        driver.Reopen();
        Assert.InRange(driver.Recovered.Count, 1, 60);
        Assert.Equal(63 * 40, driver.Log.Durable.Value);
    }

    [Fact]
    public void Segments_are_used_again_only_when_the_cut_is_durable()
    {
        var driver = new LogDriver();
        Churn(driver, rounds: 1);
        LogPosition snapshot = driver.Log.BeginSnapshot();
        driver.AppendDurably("snapshot");
        int live = driver.Log.LiveSegments;
        driver.Log.CutBefore(snapshot);
        Assert.Equal(live, driver.Log.LiveSegments);
        Assert.True(driver.Log.TryBeginBatch(out LogBatch? batch));
        batch.Write();
        Assert.Equal(live, driver.Log.LiveSegments);
        batch.Flush();
        driver.Log.Complete(batch, null);
        Assert.Equal(1, driver.Log.LiveSegments);
        Assert.False(driver.Log.TryBeginBatch(out _));
        driver.Reopen();
        Assert.Equal(["snapshot"], driver.RecoveredTexts());
    }

    [Fact]
    public void Bytes_since_snapshot_count_from_its_beginning_and_after_a_start_all_that_is_needed()
    {
        var driver = new LogDriver();
        driver.AppendDurably("one");
        driver.AppendDurably("two");
        Assert.Equal(2 * 4096, driver.Log.BytesSinceSnapshot);
        driver.Append("three");
        Assert.Equal(3 * 4096, driver.Log.BytesSinceSnapshot);
        driver.Log.BeginSnapshot();
        Assert.Equal(0, driver.Log.BytesSinceSnapshot);
        driver.AppendDurably("snapshot");
        Assert.Equal(4096, driver.Log.BytesSinceSnapshot);
        driver.Reopen();
        Assert.Equal(4 * 4096, driver.Log.BytesSinceSnapshot);
    }

    [Fact]
    public void Log_goes_on_without_a_driver_that_prepares_segments()
    {
        var driver = new LogDriver(options: LogDriver.Small with { ReserveBytes = 0 });
        for (int i = 0; i < 300; i++)
        {
            Assert.True(driver.Log.CanAppend(Length, urgent: false));
            driver.Log.Append(new byte[Length]);
            Assert.True(driver.Step());
        }

        Assert.True(driver.Log.LiveSegments > 10);
    }

    [Fact]
    public void Preparation_that_fails_for_another_reason_than_space_fails_the_log()
    {
        var driver = new LogDriver();
        Assert.True(driver.Log.TryBeginPreparation(out SegmentPreparation? preparation));
        driver.Device.FlushFailures.Enqueue(new StorageException("error 5"));
        driver.Log.Complete(preparation, LogDriver.Try(preparation.Write, preparation.Flush));
        Assert.Equal(LogCondition.Failed, driver.Log.Health.Condition);
        Assert.DoesNotContain(driver.Device.List(LogDriver.Folder), name => name.EndsWith(".new", StringComparison.Ordinal));
    }

    [Fact]
    public void Segments_of_another_size_are_read_and_removed_once_they_are_free()
    {
        var driver = new LogDriver();
        Churn(driver, rounds: 2);
        var larger = new LogDriver(driver.Device, LogDriver.Small with { SegmentBytes = 128 << 10 });
        Assert.NotEmpty(larger.Recovered);
        Churn(larger, rounds: 3);
        Assert.All(
            driver.Device.List(LogDriver.Folder), name => Assert.Equal(128 << 10, driver.Device.Bytes(LogDriver.Folder, name).Length));
    }

    [Fact]
    public void Device_without_room_for_one_segment_is_refused_with_the_reason()
    {
        var refused = Assert.Throws<StorageException>(() => new LogDriver(new FaultDevice { Capacity = 1000 }));
        Assert.Equal(StorageFault.Full, refused.Fault);
    }

    /// <summary>Rounds of 40 records of which 39 are done with at the next snapshot.</summary>
    private static void Churn(LogDriver driver, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            LogPosition snapshot = driver.Log.BeginSnapshot();
            for (int i = 0; i < 40; i++)
            {
                driver.Log.Append(new byte[Length]);
                driver.Drain();
            }

            driver.Log.CutBefore(snapshot);
            driver.Drain();
        }
    }

    private static int FillWith(LogDriver driver, bool urgent)
    {
        int count = 0;
        while (driver.Log.CanAppend(Length, urgent))
        {
            driver.Log.Append(new byte[Length]);
            driver.Drain();
            Assert.InRange(count++, 0, 10_000);
        }

        return count;
    }
}
