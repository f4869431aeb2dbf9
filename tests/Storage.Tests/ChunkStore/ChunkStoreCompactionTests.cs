using Carillon.Protocols;
using Carillon.Storage.Chunks;
using Xunit;

namespace Carillon.Storage.Tests.Chunks;

public sealed class ChunkStoreCompactionTests
{
    [Fact]
    public void Compaction_frees_space_and_keeps_chunks_intents_and_replicas()
    {
        using var test = new StoreUnderTest();
        List<ChunkId> ids = [.. Enumerable.Range(0, 300).Select(i => test.Put(i, tag: StoreUnderTest.TagOf(i), replicas: 4))];
        DropMost(test, ids);
        long before = test.Store.FileBytes;
        int segments = test.Store.SegmentCount;
        test.Compact();
        Assert.InRange(test.Store.FileBytes, 1, before / 2);
        Assert.Equal(test.Store.SegmentCount, test.Device.List(StoreUnderTest.Folder).Count);
        Assert.InRange(test.Store.SegmentCount, 1, segments / 2);
        CheckKept(test, ids);
        test.Restart();
        CheckKept(test, ids);
        Assert.Equal(0, test.Store.DamageCount);
    }

    [Fact]
    public void Location_found_before_compaction_is_forwarded_after_it()
    {
        using var test = new StoreUnderTest();
        List<ChunkId> ids = [.. Enumerable.Range(0, 300).Select(i => test.Put(i))];
        Assert.True(test.Store.TryLocate(ids[10], out ChunkLocation kept));
        Assert.True(test.Store.TryLocate(ids[11], out ChunkLocation dropped));
        DropMost(test, ids);
        test.Compact();
        Assert.True(test.Store.TryLocate(ids[10], out ChunkLocation now));
        Assert.NotEqual(kept, now);
        byte[] bytes = new byte[1000];
        Assert.Equal(ChunkRead.Ok, test.Store.Read(kept, bytes));
        Assert.Equal(StoreUnderTest.BytesOf(10, 1000), bytes);
        Assert.Equal(ChunkRead.Gone, test.Store.Read(dropped, bytes));
    }

    [Fact]
    public void Segment_in_use_is_removed_only_after_its_readers()
    {
        using var test = new StoreUnderTest();
        List<ChunkId> ids = [.. Enumerable.Range(0, 300).Select(i => test.Put(i))];
        Assert.True(test.Store.TryLocate(ids[10], out ChunkLocation location));
        using var reading = new PausedReader(test, location);
        DropMost(test, ids);
        test.Compact();
        Assert.Contains(location.Segment.FileName, test.Device.List(StoreUnderTest.Folder));
        reading.Finish();
        test.RunBatches();
        Assert.DoesNotContain(location.Segment.FileName, test.Device.List(StoreUnderTest.Folder));
        test.AssertServes(ids[10], 10);
    }

    [Fact]
    public void Chunk_dropped_while_it_is_moved_stays_dropped()
    {
        using var test = new StoreUnderTest();
        List<ChunkId> ids = [.. Enumerable.Range(0, 60).Select(i => test.Put(i))];
        DropMost(test, ids);
        Assert.True(test.Store.TryBeginCompaction(out ChunkCompaction listing));
        listing.Run();
        test.Store.Complete(listing, null);
        Assert.True(test.Store.TryBeginCompaction(out ChunkCompaction moving));
        moving.Run();
        test.Store.Complete(moving, null);
        List<ChunkId> underWay = [.. ids.Where((_, i) => i % 5 == 0 && i < 20)];
        Assert.True(test.Store.TryBeginBatch(out ChunkBatch batch));
        underWay.ForEach(test.Store.Drop);
        batch.Write();
        batch.Flush();
        test.Store.Complete(batch, null);
        test.RunBatches(all: true);
        test.Compact();
        Assert.All(underWay, id => Assert.False(test.Store.Contains(id)));
        test.AssertServes(ids[40], 40);
        test.Restart();
        Assert.All(underWay, id => Assert.False(test.Store.Contains(id)));
        test.AssertServes(ids[40], 40);
    }

    [Fact]
    public void Corrupt_chunk_met_by_compaction_is_dropped_and_reported()
    {
        using var test = new StoreUnderTest();
        List<ChunkId> ids = [.. Enumerable.Range(0, 100).Select(i => test.Put(i))];
        DropMost(test, ids);
        Assert.True(test.Store.TryLocate(ids[5], out ChunkLocation bad));
        using (IStorageFile file = test.Device.Open(StoreUnderTest.Folder, bad.Segment.FileName))
        {
            file.Write(bad.Offset + RecordHeader.Size + 500, [1, 2, 3]);
        }

        test.Compact();
        Assert.False(test.Store.Contains(ids[5]));
        Assert.True(test.Store.TryTakeLost(out ChunkDamage lost));
        Assert.Equal(ids[5], lost.Id);
        Assert.False(test.Store.TryTakeLost(out _));
        test.AssertServes(ids[0], 0);
        test.AssertServes(ids[10], 10);
    }

    [Fact]
    public void Small_segments_of_many_restarts_are_merged()
    {
        using var test = new StoreUnderTest();
        var ids = new List<ChunkId>();
        for (int i = 0; i < 40; i++)
        {
            ids.Add(test.Put(i));
            test.Restart();
            test.Compact();
        }

        Assert.InRange(test.Store.SegmentCount, 1, StoreUnderTest.SmallOptions.MaxSmallSegments + 3);
        for (int i = 0; i < 40; i++)
        {
            test.AssertServes(ids[i], i);
        }
    }

    private static void DropMost(StoreUnderTest test, List<ChunkId> ids)
    {
        for (int i = 0; i < ids.Count; i++)
        {
            if (i % 5 != 0)
            {
                test.Store.Drop(ids[i]);
                test.Store.EndIntents(StoreUnderTest.TagOf(i));
            }
        }

        test.RunBatches(all: true);
    }

    private static void CheckKept(StoreUnderTest test, List<ChunkId> ids)
    {
        for (int i = 0; i < ids.Count; i++)
        {
            Assert.Equal(i % 5 == 0, test.Store.Contains(ids[i]));
            if (i % 5 == 0)
            {
                test.AssertServes(ids[i], i);
                Assert.True(test.Store.HasIntent(ids[i], StoreUnderTest.TagOf(i)));
                Assert.True(test.Store.TryDescribe(ids[i], out _, out int replicas));
                Assert.Equal(4, replicas);
            }
        }
    }

    /// <summary>Holds a segment's file as a reader in the middle of its read does.</summary>
    private sealed class PausedReader : IDisposable
    {
        private readonly SegmentFiles _files;
        private readonly ChunkLocation _location;
        private bool _finished;

        public PausedReader(StoreUnderTest test, ChunkLocation location)
        {
            _files = test.Store.Files;
            _location = location;
            Assert.True(_files.TryAcquire(location.Segment, out _));
        }

        public void Finish()
        {
            if (!_finished)
            {
                _finished = true;
                _files.Release(_location.Segment);
            }
        }

        public void Dispose() => Finish();
    }
}
