using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>The newest messages in memory, alone and with the archive behind them.</summary>
public sealed class CommittedMessagesTests
{
    private static readonly CommittedMessagesOptions Small = new()
    {
        MaxRecentMessages = 100, MaxRecentBytes = 1 << 18, MaxLoadedBatches = 2, MaxWaitingReads = 3,
    };

    [Fact]
    public void Ring_serves_what_it_holds_and_drops_the_oldest_that_are_archived()
    {
        var ring = new RecentMessages(new SequenceNumber(10), maxMessages: 100, maxBytes: 1 << 20);
        Assert.Equal((10UL, 9UL), (ring.First.Value, ring.Last.Value));
        for (ulong number = 10; number < 110; number++)
        {
            Assert.True(ring.TryAdd(ArchiveUnderTest.At(number), default));
        }

        Assert.False(ring.TryAdd(ArchiveUnderTest.At(110), new SequenceNumber(9)));
        Assert.True(ring.TryAdd(ArchiveUnderTest.At(110), new SequenceNumber(50)));
        Assert.Equal((11UL, 110UL), (ring.First.Value, ring.Last.Value));
        for (ulong number = 111; number < 400; number++)
        {
            Assert.True(ring.TryAdd(ArchiveUnderTest.At(number), new SequenceNumber(number - 5)));
        }

        Assert.Equal((300UL, 399UL), (ring.First.Value, ring.Last.Value));
        Assert.False(ring.TryGet(new SequenceNumber(299), out _));
        Assert.False(ring.TryGet(new SequenceNumber(400), out _));
        var into = new CommittedMessage[60];
        Assert.Equal(0, ring.CopyRange(new SequenceNumber(299), into));
        Assert.Equal(0, ring.CopyRange(new SequenceNumber(400), into));
        for (ulong from = 300; from < 400; from++)
        {
            int count = ring.CopyRange(new SequenceNumber(from), into);
            Assert.Equal(Math.Min(60, 400 - (int)from), count);
            for (int i = 0; i < count; i++)
            {
                ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(from + (ulong)i), into[i]);
            }
        }

        ring.TrimBefore(new SequenceNumber(350));
        Assert.Equal(350UL, ring.First.Value);
        ring.TrimBefore(new SequenceNumber(400));
        Assert.Equal((400UL, 0L), (ring.First.Value, ring.Bytes));
        ring.StartAt(new SequenceNumber(1000));
        Assert.True(ring.TryAdd(ArchiveUnderTest.At(1000), default));
        Assert.True(ring.TryGet(new SequenceNumber(1000), out _));
    }

    [Fact]
    public void Ring_is_bounded_in_bytes_and_takes_one_longer_message_alone()
    {
        var ring = new RecentMessages(new SequenceNumber(1), maxMessages: 1000, maxBytes: 10_000);
        CommittedMessage message = ArchiveUnderTest.At(2) with { Payload = new byte[1000] };
        for (ulong number = 1; number <= 100; number++)
        {
            Assert.True(ring.TryAdd(message, new SequenceNumber(number - 1)));
            Assert.InRange(ring.Bytes, 1, 10_000);
        }

        Assert.Equal(93UL, ring.First.Value);
        Assert.True(ring.TryAdd(message with { Payload = new byte[50_000] }, new SequenceNumber(100)));
        Assert.Equal((101UL, 101UL), (ring.First.Value, ring.Last.Value));
        Assert.False(ring.TryAdd(message, default));
    }

    [Fact]
    public void Every_committed_number_is_found_in_memory_or_read_from_the_archive()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        Commit(test, messages, 500);
        Assert.Equal((1UL, 500UL, 500UL), (messages.First.Value, messages.Committed.Value, messages.Durable.Value));
        for (ulong number = 500; number >= 1; number--)
        {
            AssertFound(messages, number);
        }

        Assert.Equal(CommittedAnswer.Absent, messages.Find(new SequenceNumber(501), out _));
        CommittedReader reader = messages.NewReader();
        var into = new CommittedMessage[37];
        for (ulong next = 1; next <= 500;)
        {
            Assert.Equal(ArchiveReadStatus.Ok, reader.Read(new SequenceNumber(next), into, out int count));
            for (int i = 0; i < count; i++)
            {
                ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(next++), into[i]);
            }
        }

        Assert.Equal(ArchiveReadStatus.Absent, reader.Read(new SequenceNumber(501), into, out _));
    }

    [Fact]
    public void Reads_for_the_loop_are_bounded_and_not_doubled()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        Commit(test, messages, 500);
        foreach (ulong number in (ulong[])[1, 1, 100, 200, 300])
        {
            Assert.Equal(CommittedAnswer.Reading, messages.Find(new SequenceNumber(number), out _));
        }

        foreach (ulong number in (ulong[])[1, 100, 200])
        {
            Assert.True(messages.TryBeginLoad(out LoadWork? work));
            Assert.Equal(number, work.Number.Value);
            Assert.False(messages.TryBeginLoad(out _));
            work.Run();
            messages.Complete(work);
        }

        Assert.False(messages.TryBeginLoad(out _));
        Assert.Equal(CommittedAnswer.Found, messages.Find(new SequenceNumber(200), out _));
        Assert.Equal(CommittedAnswer.Reading, messages.Find(new SequenceNumber(1), out _));
    }

    [Fact]
    public void Full_disk_holds_commits_back_once_memory_is_full_and_loses_none()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        test.Device.Faults.Full = true;
        while (messages.TryCommit(ArchiveUnderTest.At(messages.Committed.Value + 1)))
        {
            // Until memory is full.
        }

        ulong taken = messages.Committed.Value;
        Assert.InRange(taken, 50UL, 100UL);
        test.RunOne();
        Assert.Equal((ArchiveHealth.Full, 0UL), (test.Archive.Health, messages.Durable.Value));
        AssertFound(messages, 1);
        test.Device.Faults.Full = false;
        Commit(test, messages, taken + 100);
        AssertFound(messages, 1);
    }

    [Fact]
    public void Trim_waits_until_what_it_gives_up_is_archived()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        for (ulong number = 1; number <= 5; number++)
        {
            Assert.True(messages.TryCommit(ArchiveUnderTest.At(number)));
        }

        messages.Trim(new SequenceNumber(4), ArchiveUnderTest.SessionsBefore(4));
        Assert.Equal(1UL, messages.First.Value);
        Run(test, messages);
        Assert.Equal(4UL, messages.First.Value);
        Assert.Equal(CommittedAnswer.Trimmed, messages.Find(new SequenceNumber(3), out _));
        AssertFound(messages, 4);
        test.Restart();
        Assert.Equal((4UL, 5UL), (test.First, test.Durable));
        test.AssertServesAll();
    }

    [Fact]
    public void Checkpoint_drops_what_is_in_memory_too()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        Commit(test, messages, 300);
        messages.StartAt(new SequenceNumber(1000), ArchiveUnderTest.SessionsBefore(1000));
        Assert.Equal((1000UL, 999UL), (messages.First.Value, messages.Committed.Value));
        Assert.Equal(CommittedAnswer.Trimmed, messages.Find(new SequenceNumber(10), out _));
        Assert.True(messages.TryCommit(ArchiveUnderTest.At(1000)));
        Assert.InRange(messages.Durable.Value, 0UL, 999UL);
        Run(test, messages);
        Assert.Equal((1000UL, 1000UL), (messages.First.Value, messages.Durable.Value));
        AssertFound(messages, 1000);
    }

    [Fact]
    public void Damaged_number_is_said_to_be_damaged_until_it_is_replaced()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        Commit(test, messages, 300);
        test.Spoil(test.FilesOf(".messages")[0], bytes => bytes[500] ^= 1);
        Assert.Equal(CommittedAnswer.Reading, messages.Find(new SequenceNumber(1), out _));
        Load(messages);
        Assert.Equal(CommittedAnswer.Damaged, messages.Find(new SequenceNumber(1), out _));
        DamagedRange range = Assert.Single(messages.Archive.Damage());
        Assert.True(messages.Archive.TryReplace(range.First, ArchiveUnderTest.Messages(range.First.Value, range.Last.Value)));
        Run(test, messages);
        AssertFound(messages, 1);
    }

    [Fact]
    public void What_comes_number_by_number_in_place_of_damaged_ones_is_found_again_and_after_a_restart()
    {
        using var test = new ArchiveUnderTest();
        using var messages = new CommittedMessages(test.Archive, Small);
        Commit(test, messages, 300);
        test.Spoil(test.FilesOf(".messages")[0], bytes => bytes[500] ^= 1);
        test.Spoil(test.FilesOf(".messages")[1], bytes => bytes[500] ^= 1);
        for (ulong number = 1; number <= 200; number++)
        {
            messages.Find(new SequenceNumber(number), out _);
            Load(messages);
        }

        IReadOnlyList<DamagedRange> ranges = messages.Archive.Damage();
        Assert.Equal(2, ranges.Count);
        foreach (DamagedRange range in ranges)
        {
            for (SequenceNumber number = range.First; number <= range.Last; number = number.Next)
            {
                Assert.Equal(CommittedAnswer.Damaged, messages.Find(number, out _));
                Assert.True(messages.TryMend(number, ArchiveUnderTest.At(number.Value)));
            }
        }

        Run(test, messages);
        Assert.False(messages.Archive.IsDamaged);
        Assert.Equal(2, test.FilesOf(".patch").Count);
        AssertFound(messages, ranges[0].First.Value);
        test.Restart();
        Assert.False(test.Archive.IsDamaged);
        test.AssertServesAll();
    }

    [Fact]
    public void Mending_that_finds_no_room_is_asked_again_and_loses_nothing()
    {
        using var test = new ArchiveUnderTest(options: ArchiveUnderTest.SmallOptions with { MaxWaitingPatches = 1 });
        using var messages = new CommittedMessages(test.Archive, Small);
        Commit(test, messages, 300);
        IReadOnlyList<string> files = test.FilesOf(".messages");
        for (int i = 0; i < 4; i++)
        {
            test.Spoil(files[i], bytes => bytes[500] ^= 1);
        }

        for (ulong number = 1; number <= 200; number++)
        {
            messages.Find(new SequenceNumber(number), out _);
            Load(messages);
        }

        int refused = 0;
        foreach (DamagedRange range in messages.Archive.Damage())
        {
            for (SequenceNumber number = range.First; number <= range.Last; number = number.Next)
            {
                while (!messages.TryMend(number, ArchiveUnderTest.At(number.Value)))
                {
                    refused++;
                    Run(test, messages);
                }
            }
        }

        Run(test, messages);
        Assert.InRange(refused, 1, 3);
        Assert.False(messages.Archive.IsDamaged);
        test.AssertServesAll();
    }

    private static void Commit(ArchiveUnderTest test, CommittedMessages messages, ulong last)
    {
        while (messages.Committed.Value < last)
        {
            if (!messages.TryCommit(ArchiveUnderTest.At(messages.Committed.Value + 1)))
            {
                Run(test, messages);
            }
        }

        Run(test, messages);
    }

    private static void Run(ArchiveUnderTest test, CommittedMessages messages)
    {
        while (messages.TryBeginWork(test.Now, out ArchiveWork? work, all: true))
        {
            work.Write();
            work.Flush();
            messages.Complete(work, null);
        }
    }

    private static void Load(CommittedMessages messages)
    {
        while (messages.TryBeginLoad(out LoadWork? work))
        {
            work.Run();
            messages.Complete(work);
        }
    }

    private static void AssertFound(CommittedMessages messages, ulong number)
    {
        if (messages.Find(new SequenceNumber(number), out CommittedMessage message) == CommittedAnswer.Reading)
        {
            Load(messages);
            Assert.Equal(CommittedAnswer.Found, messages.Find(new SequenceNumber(number), out message));
        }

        ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(number), message);
    }
}
