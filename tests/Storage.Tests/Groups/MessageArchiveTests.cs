using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Simulator.World;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>What an archive takes, serves, forgets and refuses.</summary>
public sealed class MessageArchiveTests
{
    [Fact]
    public void Messages_are_served_by_number_and_in_runs_now_and_after_a_restart()
    {
        using var test = new ArchiveUnderTest();
        Assert.Equal((1UL, 0UL), (test.First, test.Durable));
        test.AssertServesAll();
        test.Fill(300);
        test.AssertServesAll();
        Assert.True(test.FilesOf(".messages").Count > 3);
        test.Restart();
        Assert.Equal((1UL, 300UL), (test.First, test.Durable));
        test.AssertServesAll();
        test.Fill(400, perBatch: 3);
        test.Restart();
        test.AssertServesAll();

        MessageArchiveReader reader = test.Archive.NewReader();
        foreach (ulong number in (ulong[])[400, 1, 399, 250, 250, 251, 33])
        {
            Assert.Equal(ArchiveReadStatus.Ok, reader.Read(new SequenceNumber(number), out CommittedRun run));
            ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(number), run[0]);
        }
    }

    [Fact]
    public void Messages_gather_until_a_batch_is_full_unless_all_are_asked_for()
    {
        using var test = new ArchiveUnderTest();
        for (ulong number = 1; number <= 2; number++)
        {
            Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(number)));
            Assert.False(test.Archive.TryBeginWork(test.Now, out _));
            Assert.True(test.Archive.HasWork);
        }

        Assert.Null(test.RunOne());
        Assert.Equal(2UL, test.Durable);
        Assert.False(test.Archive.HasWork);
        for (ulong number = 3; number <= 18; number++)
        {
            Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(number)));
        }

        Assert.True(test.Archive.TryBeginWork(test.Now, out ArchiveWork? work));
        Assert.False(test.Archive.TryBeginWork(test.Now, out _, all: true));
        Assert.InRange(work.Bytes, 4096, 8192);
    }

    [Fact]
    public void What_is_not_flushed_is_not_served()
    {
        using var test = new ArchiveUnderTest();
        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(1)));
        Assert.True(test.Archive.TryBeginWork(test.Now, out ArchiveWork? work, all: true));
        work.Write();
        Assert.Equal(ArchiveReadStatus.Absent, test.Read(1));
        work.Flush();
        Assert.Equal(0UL, test.Durable);
        test.Archive.Complete(work, null);
        test.AssertServesAll();
    }

    [Fact]
    public void Waiting_messages_are_bounded_and_the_longest_payload_goes_alone()
    {
        using var test = new ArchiveUnderTest();
        ulong taken = 0;
        while (test.Archive.TryAppend(ArchiveUnderTest.At(taken + 1)))
        {
            taken++;
        }

        Assert.InRange(test.Archive.WaitingBytes, 64 << 10, 128 << 10);
        test.RunWorks();
        Assert.Equal((taken, 0L), (test.Durable, test.Archive.WaitingBytes));
        byte[] longest = new byte[MessageArchive.MaxPayloadBytes];
        longest.AsSpan().Fill(7);
        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(2) with { Payload = longest }));
        Assert.False(test.Archive.TryAppend(ArchiveUnderTest.At(2)));
        test.RunWorks();
        test.Restart();
        Assert.Equal(taken + 1, test.Durable);
        Assert.Equal(ArchiveReadStatus.Ok, test.Archive.NewReader().Read(test.Archive.Durable, out CommittedRun run));
        Assert.True(run[0].Payload.Span.SequenceEqual(longest));
    }

    [Fact]
    public void Payloads_that_look_like_headers_are_masked()
    {
        using var test = new ArchiveUnderTest(options: ArchiveUnderTest.SmallOptions with { BatchBytes = 64 << 10 });
        byte[] forged = new byte[40_000];
        for (int i = 0; i + 4 <= forged.Length; i += 4)
        {
            BitConverter.TryWriteBytes(forged.AsSpan(i), ArchiveHeader.Magic);
        }

        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(2) with { Payload = forged }));
        test.RunWorks();
        string name = Assert.Single(test.FilesOf(".messages"));
        using (IStorageFile file = test.Device.Open(ArchiveUnderTest.Folder, name))
        {
            byte[] word = new byte[4];
            for (long at = ArchiveHeader.Block; at < 40_000; at += ArchiveHeader.Block)
            {
                file.Read(at, word);
                Assert.NotEqual(ArchiveHeader.Magic, BitConverter.ToUInt32(word));
            }
        }

        test.Restart();
        Assert.Equal(ArchiveReadStatus.Ok, test.Archive.NewReader().Read(new SequenceNumber(1), out CommittedRun run));
        Assert.True(run[0].Payload.Span.SequenceEqual(forged));
    }

    [Fact]
    public void Trim_takes_effect_when_its_record_is_durable_and_frees_whole_segments()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(300);
        int files = test.FilesOf(".messages").Count;
        test.Trim(151);
        Assert.Equal(1UL, test.First);
        test.RunWorks();
        Assert.Equal((151UL, 300UL), (test.First, test.Durable));
        Assert.InRange(test.FilesOf(".messages").Count, 1, files - 2);
        test.AssertServesAll();
        test.Trim(100);
        Assert.False(test.Archive.HasWork);
        test.Trim(301);
        test.RunWorks();
        Assert.Equal((301UL, 300UL), (test.First, test.Durable));
        Assert.Empty(test.FilesOf(".messages"));
        Assert.Equal(0, test.Archive.StoredBytes);
        test.Restart();
        Assert.Equal((301UL, 300UL), (test.First, test.Durable));
        test.Fill(310);
        test.AssertServesAll();
    }

    [Fact]
    public void Retention_goes_by_age_and_size_in_whole_segments()
    {
        using var test = new ArchiveUnderTest();
        for (ulong last = 100; last <= 500; last += 100)
        {
            test.Fill(last);
            test.Now += 3_600_000;
        }

        var day = TimeSpan.FromDays(1);
        Assert.Equal(1UL, test.Archive.RetentionPoint(test.Now, day, long.MaxValue).Value);
        ulong byAge = test.Archive.RetentionPoint(test.Now, TimeSpan.FromMinutes(150), long.MaxValue).Value;
        Assert.InRange(byAge, 250UL, 301UL);
        Assert.Contains(byAge, test.SegmentStarts);
        Assert.Equal(501UL, test.Archive.RetentionPoint(test.Now, TimeSpan.FromSeconds(1), long.MaxValue).Value);
        long half = test.Archive.StoredBytes / 2;
        ulong bySize = test.Archive.RetentionPoint(test.Now, day, half).Value;
        test.Trim(bySize);
        test.RunWorks();
        Assert.InRange(test.Archive.StoredBytes, 1, half);
        Assert.Equal(bySize, test.SegmentStarts[0]);
        Assert.Equal(bySize, test.Archive.RetentionPoint(test.Now, day, half).Value);
        test.Restart();
        Assert.InRange(test.Archive.StoredBytes, 1, half);
        Assert.Equal(501UL, test.Archive.RetentionPoint(test.Now, TimeSpan.FromSeconds(1), long.MaxValue).Value);
    }

    [Fact]
    public void Segment_is_closed_by_age_too()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(2);
        test.Now += (long)TimeSpan.FromDays(2).TotalMilliseconds;
        test.Fill(4);
        Assert.Equal([1, 3], test.SegmentStarts);
    }

    [Fact]
    public void Checkpoint_replaces_all_content_and_what_waits()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(100);
        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(101)));
        Assert.True(test.Archive.TryBeginWork(test.Now, out ArchiveWork? work, all: true));
        test.StartAt(5000);
        Assert.Equal(4999UL, test.Archive.Appended.Value);
        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(5000)));
        test.Trim(50);
        work.Write();
        work.Flush();
        test.Archive.Complete(work, null);
        Assert.Equal((1UL, 101UL), (test.First, test.Durable));
        test.RunWorks();
        Assert.Equal((5000UL, 5000UL), (test.First, test.Durable));
        test.AssertServesAll();
        Assert.Equal([5000], test.SegmentStarts);
        test.Restart();
        test.AssertServesAll();
    }

    [Fact]
    public void Full_disk_refuses_cleanly_and_takes_up_again()
    {
        using var test = new ArchiveUnderTest(options: ArchiveUnderTest.SmallOptions with { RetryAfter = TimeSpan.FromSeconds(1) });
        test.Fill(50);
        test.Device.Faults.Full = true;
        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(51)));
        Assert.Equal(StorageFault.Full, test.RunOne()!.Fault);
        Assert.Equal((ArchiveHealth.Full, 50UL), (test.Archive.Health, test.Durable));
        Assert.NotEmpty(test.Archive.Trouble);
        Assert.False(test.Archive.TryBeginWork(test.Now + 999, out _, all: true));
        Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(52)));
        test.AssertServes(1, 50);
        test.Device.Faults.Full = false;
        test.Now += 1000;
        test.RunWorks();
        Assert.Equal((ArchiveHealth.Good, 52UL, ""), (test.Archive.Health, test.Durable, test.Archive.Trouble));
        test.AssertServesAll();
        test.Restart();
        test.AssertServesAll();
    }

    [Fact]
    public void Reserve_is_left_free_for_the_record_that_lets_space_be_freed()
    {
        using var test = new ArchiveUnderTest(
            capacity: 400 << 10, options: ArchiveUnderTest.SmallOptions with { ReserveBytes = 64 << 10 });
        while (test.Archive.Health == ArchiveHealth.Good)
        {
            Assert.True(test.Archive.TryAppend(ArchiveUnderTest.At(test.Archive.Appended.Value + 1)));
            test.RunOne();
        }

        Assert.InRange(test.Device.FreeBytes, 64 << 10, 80 << 10);
        test.Trim(test.Durable / 2);
        test.RunWorks();
        Assert.Equal(ArchiveHealth.Good, test.Archive.Health);
        Assert.Equal(test.Archive.Appended, test.Archive.Durable);
        test.AssertServesAll();
    }

    [Fact]
    public void Read_only_device_keeps_serving()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(50);
        test.Device.Faults.ReadOnly = true;
        test.Trim(20);
        Assert.Equal(StorageFault.ReadOnly, test.RunOne()!.Fault);
        Assert.Equal((ArchiveHealth.Full, 1UL), (test.Archive.Health, test.First));
        test.AssertServes(1, 50);
        test.Device.Faults.ReadOnly = false;
        test.RunWorks();
        Assert.Equal(20UL, test.First);
    }

    [Fact]
    public void Removal_takes_a_groups_files_and_no_others()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(100);
        var other = GroupName.Parse("orders.eu");
        using var second = MessageArchive.Open(
            test.Device, ArchiveUnderTest.Folder, other, ArchiveUnderTest.Disk, ArchiveUnderTest.SmallOptions);
        Assert.True(second.TryAppend(ArchiveUnderTest.At(1)));
        Assert.True(second.TryBeginWork(1, out ArchiveWork? append, all: true));
        append.Write();
        append.Flush();
        second.Complete(append, null);
        Assert.Equal([other, ArchiveUnderTest.Group], MessageArchive.GroupsIn(test.Device, ArchiveUnderTest.Folder));

        test.Archive.Dispose();
        ArchiveWork removal = MessageArchive.RemovalOf(test.Device, ArchiveUnderTest.Folder, ArchiveUnderTest.Group);
        removal.Write();
        removal.Flush();
        Assert.Equal([other], MessageArchive.GroupsIn(test.Device, ArchiveUnderTest.Folder));
        Assert.Equal(ArchiveReadStatus.Ok, second.NewReader().Read(new SequenceNumber(1), out _));
        Assert.Equal(ArchiveReadStatus.Failed, test.Read(1));
        test.Restart();
        Assert.Equal((1UL, 0UL), (test.First, test.Durable));
    }

    [Fact]
    public async Task Readers_on_other_threads_see_right_messages_while_it_grows_and_is_trimmed()
    {
        using var folder = new Devices.TemporaryFolder(inMemory: true);
        var device = new Runtime.Storage.FileDevice(folder.Path);
        using var archive = MessageArchive.Open(
            device, ArchiveUnderTest.Folder, ArchiveUnderTest.Group, ArchiveUnderTest.Disk, ArchiveUnderTest.SmallOptions);
        const ulong Last = 6000;
        long trimmed = 0;
        Task<ulong>[] readers = [.. Enumerable.Range(0, 3).Select(_ => Task.Run(() => Follow(archive, Last, ref trimmed)))];
        while (archive.Durable.Value < Last)
        {
            while (archive.Appended.Value < Last && archive.TryAppend(ArchiveUnderTest.At(archive.Appended.Value + 1)))
            {
                // Until it takes no more.
            }

            if (archive.Durable.Value > archive.First.Value + 2500)
            {
                Assert.True(archive.Trim(new SequenceNumber(archive.Durable.Value - 2000), default));
            }

            while (archive.TryBeginWork(1, out ArchiveWork? work, all: true))
            {
                work.Write();
                work.Flush();
                archive.Complete(work, null);
            }
        }

        Assert.All(await Task.WhenAll(readers), read => Assert.InRange(read, 1UL, Last));
        Assert.False(archive.IsDamaged);
    }

    private static ulong Follow(MessageArchive archive, ulong last, ref long trimmed)
    {
        MessageArchiveReader reader = archive.NewReader();
        ulong read = 0;
        for (ulong next = 1; next <= last;)
        {
            switch (reader.Read(new SequenceNumber(next), out CommittedRun run))
            {
                case ArchiveReadStatus.Ok:
                    ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(next), run[0]);
                    ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(run.Last.Value), run[^1]);
                    read += (ulong)run.Count;
                    next = run.Last.Value + 1;
                    break;
                case ArchiveReadStatus.Trimmed:
                    Interlocked.Increment(ref trimmed);
                    next = archive.First.Value;
                    break;
                case ArchiveReadStatus.Absent:
                    Thread.Yield();
                    break;
                default:
                    Assert.Fail("neither damage nor failure can be here");
                    break;
            }
        }

        return read;
    }

    [Fact]
    public void Messages_that_fill_no_batch_are_written_when_they_have_waited_for_a_segments_age_and_then_go_by_age()
    {
        using var under = new ArchiveUnderTest(options: ArchiveUnderTest.SmallOptions with { SegmentAge = TimeSpan.FromSeconds(10) });
        Assert.True(under.Archive.TryAppend(ArchiveUnderTest.At(1)));
        Assert.False(under.Archive.TryBeginWork(under.Now, out _));
        Assert.False(under.Archive.TryBeginWork(under.Now + 9_999, out _));
        Assert.True(under.Archive.TryBeginWork(under.Now + 10_000, out ArchiveWork? work));
        work.Write();
        work.Flush();
        under.Archive.Complete(work, null);
        Assert.Equal(1u, under.Archive.Durable.Value);
        Assert.Equal(1u, under.Archive.RetentionPoint(under.Now + 20_000, TimeSpan.FromSeconds(10), 1 << 20).Value);
        Assert.Equal(2u, under.Archive.RetentionPoint(under.Now + 20_001, TimeSpan.FromSeconds(10), 1 << 20).Value);

        // What comes next waits as long from then on.
        Assert.True(under.Archive.TryAppend(ArchiveUnderTest.At(2)));
        Assert.False(under.Archive.TryBeginWork(under.Now + 30_000, out _));
        Assert.False(under.Archive.TryBeginWork(under.Now + 39_999, out _));
        Assert.True(under.Archive.TryBeginWork(under.Now + 40_000, out _));
    }

    [Fact]
    public void Options_that_cannot_be_used_are_refused()
    {
        Assert.Empty(new MessageArchiveOptions().Validate());
        var least = new GroupSettings { RetainBytes = 1 << 20, RetainTime = TimeSpan.FromSeconds(1) };
        var most = new GroupSettings { RetainBytes = 1L << 50, RetainTime = TimeSpan.FromDays(9999) };
        Assert.Empty(MessageArchiveOptions.For(least).Validate());
        Assert.Empty(MessageArchiveOptions.For(most).Validate());
        var bad = new MessageArchiveOptions
        {
            SegmentBytes = 1, SegmentAge = default, BatchBytes = 1, MaxBatchMessages = 0, MaxWaitingBytes = 0, MaxWaitingMessages = -1,
            MaxWaitingPatches = 0, ReserveBytes = -1, MaxOpenFiles = 0, RetryAfter = TimeSpan.FromDays(1),
        };
        Assert.Equal(10, bad.Validate().Count);
        var disk = new SimulatedDisk(new RandomSource(1), 1 << 20);
        Assert.Throws<ArgumentException>(
            () => MessageArchive.Open(disk, ArchiveUnderTest.Folder, ArchiveUnderTest.Group, ArchiveUnderTest.Disk, bad));
    }
}
