using Carillon.Protocols;
using Carillon.Protocols.Replicast;
using Carillon.Simulator.World;
using Carillon.Storage.Chunks;
using Xunit;

namespace Carillon.Storage.Tests.Chunks;

public sealed class ChunkStoreTests
{
    [Fact]
    public void Append_before_its_batch_is_complete_is_not_seen()
    {
        using var test = new StoreUnderTest();
        byte[] bytes = StoreUnderTest.BytesOf(1, 1000);
        ChunkId id = ChunkId.Of(bytes);
        Assert.True(test.Store.TryAppend(id, bytes, StoreUnderTest.TagOf(1), out ChunkTicket ticket));
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        Assert.True(batch.Covers(ticket));
        batch.Write();
        Assert.False(test.Store.Contains(id));
        Assert.False(test.Store.TryLocate(id, out _));
        batch.Flush();
        test.Store.Complete(batch, null);
        test.AssertServes(id, 1);
        Assert.True(test.Store.HasIntent(id));
    }

    [Fact]
    public void Append_of_what_is_there_writes_its_intent_only()
    {
        using var test = new StoreUnderTest();
        ChunkId id = test.Put(1, tag: StoreUnderTest.TagOf(1));
        long before = test.Store.FileBytes;
        Assert.True(test.Store.TryAppend(id, StoreUnderTest.BytesOf(1, 1000), StoreUnderTest.TagOf(1), out ChunkTicket same));
        Assert.True(same.IsDurable);
        Assert.True(test.Store.TryAppend(id, StoreUnderTest.BytesOf(1, 1000), StoreUnderTest.TagOf(2), out ChunkTicket other));
        Assert.False(other.IsDurable);
        test.RunBatches();
        Assert.Equal(1, test.Store.Count);
        Assert.InRange(test.Store.FileBytes - before, 1, 4096 + 192);
        test.Store.EndIntents(StoreUnderTest.TagOf(1));
        Assert.True(test.Store.HasIntent(id));
        test.Store.EndIntents(StoreUnderTest.TagOf(2));
        Assert.False(test.Store.HasIntent(id));
    }

    [Fact]
    public void Append_twice_before_the_batch_stores_once()
    {
        using var test = new StoreUnderTest();
        byte[] bytes = StoreUnderTest.BytesOf(1, 1000);
        ChunkId id = ChunkId.Of(bytes);
        Assert.True(test.Store.TryAppend(id, bytes, StoreUnderTest.TagOf(1), out ChunkTicket first));
        Assert.True(test.Store.TryAppend(id, bytes, StoreUnderTest.TagOf(2), out ChunkTicket second));
        Assert.True(test.Store.TryAppend(id, bytes, default, out ChunkTicket third));
        Assert.True(second.Sequence > first.Sequence);
        Assert.Equal(first, third);
        test.RunBatches();
        Assert.Equal((1, 1000L), (test.Store.Count, test.Store.StoredBytes));
        Assert.Equal([StoreUnderTest.TagOf(1), StoreUnderTest.TagOf(2)], test.Store.OpenIntents);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Restart_finds_everything_with_and_without_footers(bool withFooters)
    {
        using var test = new StoreUnderTest(options: StoreUnderTest.SmallOptions with { CompactBelow = 0.01 });
        var ids = new List<ChunkId>();
        for (int i = 0; i < 200; i++)
        {
            ids.Add(test.Put(i, 100 + (i * 11), StoreUnderTest.TagOf(i), 1 + (i % 5)));
        }

        for (int i = 0; i < 200; i += 3)
        {
            test.Store.Drop(ids[i]);
            test.Store.EndIntents(StoreUnderTest.TagOf(i + 1));
        }

        ChunkTicket moved = test.Store.MoveIntents(StoreUnderTest.TagOf(2), StoreUnderTest.TagOf(1002));
        Assert.False(moved.IsDurable);
        test.RunBatches(all: true);
        SetDigest before = test.Store.DigestOf(5, 2);
        List<Tag> open = [.. test.Store.OpenIntents];
        if (!withFooters)
        {
            CutFooters(test);
        }

        test.Restart();
        Assert.Equal(0, test.Store.DamageCount);
        Assert.Equal(before, test.Store.DigestOf(5, 2));
        Assert.Equal(open, test.Store.OpenIntents);
        Assert.True(test.Store.HasIntent(ids[2], StoreUnderTest.TagOf(1002)));
        for (int i = 0; i < 200; i++)
        {
            Assert.Equal(i % 3 != 0, test.Store.Contains(ids[i]));
            if (i % 3 != 0)
            {
                test.AssertServes(ids[i], i, 100 + (i * 11));
                Assert.True(test.Store.TryDescribe(ids[i], out _, out int replicas));
                Assert.Equal(1 + (i % 5), replicas);
            }
        }
    }

    [Fact]
    public void Walk_returns_all_chunks_in_order_in_pages()
    {
        using var test = new StoreUnderTest(options: new ChunkStoreOptions());
        var expected = new SortedSet<ChunkId>();
        for (int i = 0; i < 3000; i++)
        {
            byte[] bytes = BitConverter.GetBytes(i);
            ChunkId id = ChunkId.Of(bytes);
            Assert.True(test.Store.TryAppend(id, bytes, default, out _));
            expected.Add(id);
        }

        test.RunBatches();
        foreach (ChunkId id in expected.Where((_, i) => i % 7 == 0).ToList())
        {
            test.Store.Drop(id);
            expected.Remove(id);
        }

        var walked = new List<ChunkId>();
        for (ChunkId after = default; test.Store.From(after, 100) is { Count: > 0 } page; after = page[^1])
        {
            walked.AddRange(page);
        }

        Assert.Equal(expected, walked);
    }

    [Fact]
    public void Replicas_asked_for_later_are_kept_and_counted_in_the_digests()
    {
        using var test = new StoreUnderTest();
        ChunkId id = test.Put(1, replicas: 2);
        int row = (int)(id.Digest.A >> 56);
        Assert.Equal((1u, 0u), (test.Store.DigestOf(row, 1).Count, test.Store.DigestOf(row, 2).Count));
        Assert.True(test.Store.TryAddIntent(id, StoreUnderTest.TagOf(1), out _, 5));
        test.RunBatches();
        test.Restart();
        Assert.Equal((1u, 0u), (test.Store.DigestOf(row, 4).Count, test.Store.DigestOf(row, 5).Count));
        Assert.Equal(default(SetDigest).With(id), test.Store.DigestOf(row, 0));
    }

    [Fact]
    public void Many_small_chunks_share_flushes()
    {
        using var test = new StoreUnderTest(options: new ChunkStoreOptions());
        for (int i = 0; i < 5000; i++)
        {
            byte[] bytes = BitConverter.GetBytes(i);
            Assert.True(test.Store.TryAppend(ChunkId.Of(bytes), bytes, StoreUnderTest.TagOf(i), out _));
        }

        int batches = 0;
        while (test.Store.TryBeginBatch(out ChunkBatch batch))
        {
            batch.Write();
            batch.Flush();
            test.Store.Complete(batch, null);
            batches++;
        }

        Assert.Equal(2, batches);
        Assert.Equal(5000, test.Store.Count);
    }

    [Fact]
    public void Queue_refuses_more_than_its_bound()
    {
        using var test = new StoreUnderTest(options: StoreUnderTest.SmallOptions with { MaxQueuedBytes = 16 << 10, MaxIntents = 20 });
        int taken = 0;
        while (test.Store.TryAppend(IdOf(taken), StoreUnderTest.BytesOf(taken, 1000), default, out _))
        {
            taken++;
        }

        Assert.Equal(16, taken);
        Assert.Equal(ChunkStoreHealth.Good, test.Store.Health);
        test.RunBatches();
        int intents = 0;
        while (test.Store.TryAddIntent(IdOf(0), StoreUnderTest.TagOf(intents), out _))
        {
            intents++;
        }

        Assert.Equal(20, intents);
    }

    [Fact]
    public void Full_disk_refuses_chunks_and_keeps_the_rest()
    {
        using var test = new StoreUnderTest(capacity: 500 << 10);
        int taken = 0;
        var ids = new List<ChunkId>();
        while (test.Store.TryAppend(IdOf(taken), StoreUnderTest.BytesOf(taken, 1000), default, out _))
        {
            ids.Add(IdOf(taken++));
            test.RunBatches();
        }

        Assert.Equal(ChunkStoreHealth.Full, test.Store.Health);
        Assert.InRange(taken, 60, 110);
        Assert.True(test.Store.TryAddIntent(ids[0], StoreUnderTest.TagOf(1), out _));
        test.RunBatches();
        for (int i = 0; i < taken; i++)
        {
            test.AssertServes(ids[i], i);
        }

        for (int i = 0; i < taken; i++)
        {
            if (i % 4 != 0)
            {
                test.Store.Drop(ids[i]);
            }
        }

        test.RunBatches(all: true);
        test.Compact();
        Assert.True(test.Store.TryAppend(IdOf(9999), StoreUnderTest.BytesOf(9999, 1000), default, out _));
        Assert.Equal(ChunkStoreHealth.Good, test.Store.Health);
        test.RunBatches();
        test.AssertServes(IdOf(9999), 9999);
        test.AssertServes(ids[4], 4);
    }

    [Fact]
    public void Batch_that_meets_a_full_disk_fails_alone()
    {
        using var test = new StoreUnderTest();
        ChunkId first = test.Put(1, tag: StoreUnderTest.TagOf(1));
        byte[] bytes = StoreUnderTest.BytesOf(2, 1000);
        Assert.True(test.Store.TryAppend(ChunkId.Of(bytes), bytes, StoreUnderTest.TagOf(2), out _));
        Assert.True(test.Store.TryAddIntent(first, StoreUnderTest.TagOf(3), out _));
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        test.Device.Faults.Full = true;
        StorageException failure = Assert.Throws<StorageException>(batch.Write);
        test.Store.Complete(batch, failure);
        Assert.Equal(ChunkStoreHealth.Full, test.Store.Health);
        Assert.False(test.Store.Contains(ChunkId.Of(bytes)));
        test.AssertServes(first, 1);

        Assert.False(test.Store.TakesChunks);
        test.Device.Faults.Full = false;
        Assert.True(test.Store.TakesChunks);
        Assert.Equal(ChunkStoreHealth.Good, test.Store.Health);
        test.RunBatches();
        ChunkId second = test.Put(2, tag: StoreUnderTest.TagOf(2));
        Assert.Equal(ChunkStoreHealth.Good, test.Store.Health);
        test.CutPower(CrashStyle.LoseAll);
        test.AssertServes(first, 1);
        test.AssertServes(second, 2);
        Assert.True(test.Store.HasIntent(first, StoreUnderTest.TagOf(3)));
        Assert.Equal(0, test.Store.DamageCount);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Chunks_that_wait_behind_a_refused_batch_are_not_written_once_their_bytes_may_be_others(bool isReadOnly)
    {
        // Whoever waits is told with the batch, of all tickets, and gives his buffer to the next.
        using var test = new StoreUnderTest();
        byte[] first = StoreUnderTest.BytesOf(1, 1000);
        byte[] second = StoreUnderTest.BytesOf(2, 1000);
        ChunkId id = ChunkId.Of(second);
        Assert.True(test.Store.TryAppend(ChunkId.Of(first), first, StoreUnderTest.TagOf(1), out _));
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        Assert.True(test.Store.TryAppend(id, second, StoreUnderTest.TagOf(2), out _));
        test.Device.Faults.Full = !isReadOnly;
        test.Device.Faults.ReadOnly = isReadOnly;
        test.Store.Complete(batch, Assert.Throws<StorageException>(batch.Write));
        Array.Clear(second);
        test.Device.Faults.Full = test.Device.Faults.ReadOnly = false;
        Assert.False(test.Store.TryAddIntent(id, StoreUnderTest.TagOf(3), out _));
        test.RunBatches(all: true);
        Assert.False(test.Store.Contains(id));
        Assert.Equal(0, test.Store.QueuedBytes);

        // Whether a device is still read-only is tried when somebody asks.
        Assert.Equal(isReadOnly, !test.Store.TryAppend(ChunkId.Of(first), first, default, out _));
        test.RunBatches();
        Assert.Equal(id, test.Put(2, tag: StoreUnderTest.TagOf(2)));
        test.AssertServes(id, 2);
        test.CutPower(CrashStyle.LoseAll);
        test.AssertServes(id, 2);
    }

    [Fact]
    public void Device_that_can_not_tell_its_free_space_is_taken_for_full()
    {
        using var test = new StoreUnderTest();
        ChunkId id = test.Put(1);
        test.Device.Faults.Full = true;
        byte[] bytes = StoreUnderTest.BytesOf(2, 1000);
        Assert.True(test.Store.TryAppend(ChunkId.Of(bytes), bytes, default, out _));
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        test.Store.Complete(batch, Assert.Throws<StorageException>(batch.Write));
        test.Device.Faults.Full = false;
        test.Device.Faults.NoSpaceTold = true;
        Assert.False(test.Store.TryAppend(ChunkId.Of(bytes), bytes, default, out _));
        Assert.True(test.Store.TryAddIntent(id, StoreUnderTest.TagOf(1), out _));
        test.RunBatches();
        test.Device.Faults.NoSpaceTold = false;
        test.Put(2);
    }

    [Fact]
    public void Failed_store_gives_no_ticket_that_never_ends()
    {
        using var test = new StoreUnderTest();
        ChunkId id = test.Put(1);
        Assert.True(test.Store.TryAddIntent(id, StoreUnderTest.TagOf(2), out _));
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        batch.Write();
        test.Device.Faults.FailNextFlushIn = StoreUnderTest.Folder;
        test.Store.Complete(batch, Assert.Throws<StorageException>(batch.Flush));
        Assert.False(test.Store.TryAddIntent(id, StoreUnderTest.TagOf(2), out _));
        Assert.False(test.Store.TryAppend(id, StoreUnderTest.BytesOf(1, 1000), StoreUnderTest.TagOf(2), out _));
    }

    [Fact]
    public void Failed_flush_ends_writing_for_good_and_serves_on()
    {
        using var test = new StoreUnderTest();
        ChunkId first = test.Put(1);
        byte[] bytes = StoreUnderTest.BytesOf(2, 1000);
        Assert.True(test.Store.TryAppend(ChunkId.Of(bytes), bytes, default, out _));
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        batch.Write();
        test.Device.Faults.FailNextFlushIn = StoreUnderTest.Folder;
        test.Store.Complete(batch, Assert.Throws<StorageException>(batch.Flush));
        Assert.Equal(ChunkStoreHealth.Failed, test.Store.Health);
        Assert.False(test.Store.Contains(ChunkId.Of(bytes)));
        Assert.False(test.Store.TryAppend(ChunkId.Of(bytes), bytes, default, out _));
        Assert.False(test.Store.TryAddIntent(first, StoreUnderTest.TagOf(1), out _));
        Assert.False(test.Store.TryBeginBatch(out _, all: true));
        test.AssertServes(first, 1);
    }

    [Fact]
    public void Read_only_disk_is_served_from()
    {
        using var test = new StoreUnderTest();
        ChunkId first = test.Put(1);
        test.Device.Faults.ReadOnly = true;
        test.Restart();
        Assert.Equal(ChunkStoreHealth.ReadOnly, test.Store.Health);
        test.AssertServes(first, 1);
        Assert.False(test.Store.TryAppend(IdOf(2), StoreUnderTest.BytesOf(2, 1000), default, out _));

        Assert.True(test.Store.TryBeginBatch(out ChunkBatch failing));
        test.Store.Complete(failing, Assert.Throws<StorageException>(failing.Write));
        Assert.Equal(ChunkStoreHealth.ReadOnly, test.Store.Health);
        Assert.False(test.Store.TryBeginBatch(out _));

        test.Device.Faults.ReadOnly = false;
        Assert.False(test.Store.TakesChunks);
        test.RunBatches();
        Assert.Equal(ChunkStoreHealth.Good, test.Store.Health);
        ChunkId second = test.Put(2);
        test.CutPower(CrashStyle.LoseAll);
        test.AssertServes(first, 1);
        test.AssertServes(second, 2);
    }

    [Fact]
    public void Newer_format_is_refused_with_its_version()
    {
        using var test = new StoreUnderTest();
        test.Put(1);
        byte[] header = new byte[SegmentFormat.BlockSize];
        using (IStorageFile file = test.Device.Open(StoreUnderTest.Folder, "00000001.chunks"))
        {
            file.Read(0, header);
            header[8] = 9;
            header[32] = 7;
            header[34] = 2;
            BitConverter.TryWriteBytes(header.AsSpan(60), Protocols.Wire.Crc32C.Of(header.AsSpan(0, 60)));
            file.Write(0, header);
        }

        StorageException refusal = Assert.Throws<StorageException>(test.Restart);
        Assert.Contains("format version 9, which release 7.2 and later read", refusal.Message, StringComparison.Ordinal);
        Assert.Contains("00000001.chunks", refusal.Message, StringComparison.Ordinal);
    }

    private static ChunkId IdOf(int number) => ChunkId.Of(StoreUnderTest.BytesOf(number, 1000));

    private static void CutFooters(StoreUnderTest test)
    {
        foreach (string name in test.Device.List(StoreUnderTest.Folder).SkipLast(1))
        {
            using IStorageFile file = test.Device.Open(StoreUnderTest.Folder, name);
            file.SetLength(file.Length - 1);
        }
    }
}
