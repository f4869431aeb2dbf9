using System.Text;
using Carillon.Protocols;
using Carillon.Storage.Log;
using Xunit;

namespace Carillon.Storage.Tests.Log;

public sealed class SegmentLogTests
{
    [Fact]
    public void Log_new_is_intact_and_empty()
    {
        var driver = new LogDriver();
        Assert.Equal(new LogHealth(LogCondition.Intact, ""), driver.Log.Health);
        Assert.Equal(new LogPosition(0), driver.Log.Appended);
        Assert.Equal(new LogPosition(0), driver.Log.Durable);
        Assert.Empty(driver.Recovered);
        Assert.False(driver.Log.TryBeginBatch(out _));
    }

    [Fact]
    public void Records_flushed_come_back_in_order_with_their_positions()
    {
        var driver = new LogDriver();
        driver.AppendDurably("one", "", "three");
        driver.AppendDurably("four");
        driver.Reopen();
        Assert.Equal(["one", "", "three", "four"], driver.RecoveredTexts());
        Assert.Equal([1, 2, 3, 4], driver.Recovered.Select(record => record.Position));
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);
        Assert.Equal(new LogPosition(4), driver.Log.Durable);
        Assert.Equal(new LogPosition(5), driver.Append("five"));
    }

    [Fact]
    public void Everything_that_waits_shares_one_flush()
    {
        var driver = new LogDriver();
        for (int i = 0; i < 64; i++)
        {
            driver.Append("record");
        }

        int before = driver.Device.Flushes;
        Assert.True(driver.Log.TryBeginBatch(out LogBatch? batch));
        Assert.Equal(64, batch.Records);
        Assert.Equal(new LogPosition(64), batch.Last);
        Assert.Equal(4096, batch.Bytes);
        batch.Write();
        batch.Flush();
        driver.Log.Complete(batch, null);
        Assert.Equal(before + 1, driver.Device.Flushes);
        Assert.Equal(new LogPosition(64), driver.Log.Durable);
    }

    [Fact]
    public void Batch_in_flight_bars_the_next_one_and_leaves_new_records_waiting()
    {
        var driver = new LogDriver();
        driver.Append("one");
        Assert.True(driver.Log.TryBeginBatch(out LogBatch? first));
        driver.Append("two");
        Assert.False(driver.Log.TryBeginBatch(out _));
        first.Write();
        first.Flush();
        Assert.Equal(new LogPosition(0), driver.Log.Durable);
        driver.Log.Complete(first, null);
        Assert.Equal(new LogPosition(1), driver.Log.Durable);
        Assert.True(driver.Log.TryBeginBatch(out LogBatch? second));
        Assert.Equal(new LogPosition(2), second.Last);
    }

    [Fact]
    public void Long_record_takes_several_batches_and_comes_back_whole()
    {
        var driver = new LogDriver();
        byte[] record = LogDriver.Record(2, 50_000);
        driver.AppendDurably("before");
        driver.Log.Append(record);
        driver.Append("after");
        int batches = 0;
        while (driver.Step())
        {
            batches++;
        }

        Assert.Equal(4, batches);
        driver.Reopen();
        Assert.Equal(3, driver.Recovered.Count);
        Assert.Equal(record, driver.Recovered[1].Record);
        Assert.Equal("after", Encoding.UTF8.GetString(driver.Recovered[2].Record));
    }

    [Fact]
    public void Longest_record_fits_the_default_options_and_its_memory_is_given_back()
    {
        var driver = new LogDriver(options: new SegmentLogOptions());
        driver.Drain();
        Assert.True(driver.Log.CanAppend(Protocols.Submissions.Submission.MaxBytes + 4096, urgent: false));
        byte[] record = LogDriver.Record(1, SegmentLog.MaxRecordBytes);
        driver.Log.Append(record);
        driver.Drain();
        driver.Reopen();
        Assert.Equal(record, Assert.Single(driver.Recovered).Record);
        Assert.Throws<InvariantBrokenException>(() => driver.Log.Append(new byte[SegmentLog.MaxRecordBytes + 1]));
    }

    [Fact]
    public void Long_record_cut_off_between_its_batches_is_dropped_and_the_log_goes_on()
    {
        var driver = new LogDriver();
        driver.AppendDurably("before");
        driver.Log.Append(LogDriver.Record(2, 50_000));
        Assert.True(driver.Step());
        Assert.True(driver.Step());
        driver.Reopen();
        Assert.Equal(["before"], driver.RecoveredTexts());
        Assert.Equal(new LogPosition(1), driver.Log.Durable);
        driver.AppendDurably("again");
        driver.Reopen();
        Assert.Equal(["before", "again"], driver.RecoveredTexts());
        Assert.Equal(LogCondition.Intact, driver.Log.Health.Condition);
    }

    [Fact]
    public void Flush_that_fails_once_leaves_the_log_failed_for_good()
    {
        var driver = new LogDriver();
        driver.AppendDurably("one");
        driver.Append("two");
        driver.Device.FlushFailures.Enqueue(new StorageException(StorageFault.Failed, "error 5"));
        driver.Drain();
        Assert.Equal(LogCondition.Failed, driver.Log.Health.Condition);
        Assert.Contains("error 5", driver.Log.Health.Reason, StringComparison.Ordinal);
        Assert.False(driver.Log.CanAppend(1, urgent: true));
        Assert.Equal(new LogPosition(3), driver.Append("three"));
        Assert.False(driver.Log.TryBeginBatch(out _));
        Assert.False(driver.Log.TryBeginPreparation(out _));
        Assert.Equal(new LogPosition(1), driver.Log.Durable);
        driver.Device.CutPower(new RandomSource(1));
        driver.Reopen();
        Assert.Equal(["one"], driver.RecoveredTexts());
    }

    [Fact]
    public void Batch_that_only_the_kernel_remembers_is_made_durable_by_opening()
    {
        var driver = new LogDriver();
        driver.AppendDurably("one");
        driver.Append("two");
        driver.Device.FlushFailures.Enqueue(new StorageException(StorageFault.Failed, "error 5"));
        driver.Drain();

        // The process is started again, and reads the page from the cache; the kernel holds it for clean, and will not write it by itself.
        driver.Reopen();
        Assert.Equal(["one", "two"], driver.RecoveredTexts());
        for (ulong seed = 0; seed < 20; seed++)
        {
            driver.Device.CutPower(new RandomSource(seed));
            driver.Reopen();
            Assert.Equal(["one", "two"], driver.RecoveredTexts());
        }
    }

    [Fact]
    public void Log_of_another_disk_is_refused()
    {
        var driver = new LogDriver();
        driver.AppendDurably("one");
        var refused = Assert.Throws<StorageException>(
            () => SegmentLog.Open(driver.Device, LogDriver.Folder, new DiskId(7), LogDriver.Small, (_, _) => { }));
        Assert.Contains("belongs to the disk 0123456789abcdeffedcba9876543210", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Options_that_cannot_work_are_refused_with_all_faults()
    {
        var bad = new SegmentLogOptions
        {
            SegmentBytes = 5000,
            MaxBatchBytes = 100,
            MaxWaitingBytes = 1,
            ReserveBytes = -1,
            SpareSegments = 0,
            MaxFreeSegments = 0,
        };
        Assert.Equal(7, bad.Validate().Count);
        Assert.Throws<ArgumentException>(() => SegmentLog.Open(new FaultDevice(), "log", LogDriver.Disk, bad, (_, _) => { }));
        Assert.Empty(new SegmentLogOptions().Validate());
        Assert.Empty(LogDriver.Small.Validate());
    }

    [Fact]
    public void Record_appended_allocates_nothing()
    {
        var driver = new LogDriver(options: new SegmentLogOptions());
        byte[] record = LogDriver.Record(1, 1000);
        for (int round = 0; round < 3; round++)
        {
            for (int i = 0; i < 500; i++)
            {
                driver.Log.Append(record);
            }

            driver.Drain();
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 500; i++)
        {
            Assert.True(driver.Log.CanAppend(record.Length, urgent: false));
            driver.Log.Append(record);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }
}
