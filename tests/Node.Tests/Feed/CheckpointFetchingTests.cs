using Carillon.Node.Feeds;
using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Catalogs;
using Carillon.Simulator.World;
using Xunit;

namespace Carillon.Node.Tests.Feed;

public sealed class CheckpointFetchingTests
{
    private static readonly CatalogCheckpoint List =
        new(new SequenceNumber(7), [.. Enumerable.Range(0, 3).Select(i => new CheckpointBlock(ChunkId.Of([(byte)i]), 1))]);

    private readonly SimulatedDisk _disk = new(new RandomSource(1), 1 << 20);
    private readonly RecordedFile _file = new();
    private readonly CheckpointFetching _fetching =
        new(new CheckpointMark(List.Number, (ulong)List.Size, List.Digest));

    [Fact]
    public void File_stays_open_for_blocks_that_wait_when_the_fetch_is_given_up_and_they_are_not_stored()
    {
        // The disk was full at the first block; the file was closed then, and the second block ended the lane, and with it the server.
        CheckpointStoreWork[] works = Begin();
        _file.IsFull = true;
        Assert.Throws<StorageException>(works[0].Write);
        works[0].Complete(new StorageException(StorageFault.Full, "full"));
        _fetching.GiveUp();
        _file.IsFull = false;
        Assert.False(_file.IsClosed);
        foreach (CheckpointStoreWork work in works[1..])
        {
            work.Write();
            work.Flush();
            work.Complete(null);
        }

        Assert.Equal(0, _file.Written);
        Assert.True(_file.IsClosed);
        Assert.Null(new CheckpointFiles(_disk).Find(List.Number));
    }

    [Fact]
    public void Checkpoint_whose_block_was_refused_is_not_finished_by_the_last_one_before_anybody_knows()
    {
        CheckpointStoreWork[] works = Begin();
        _file.IsFull = true;
        Assert.Throws<StorageException>(works[0].Write);
        _file.IsFull = false;
        works[1].Write();
        works[2].Write();
        works[2].Flush();
        Assert.Equal(0, _file.Written);
        Assert.Null(new CheckpointFiles(_disk).Find(List.Number));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData(3)]
    public void Block_that_the_list_does_not_have_is_not_taken(int index)
    {
        _fetching.Begin(List, _file);
        Assert.False(_fetching.Take(index, [0]));
    }

    private CheckpointStoreWork[] Begin()
    {
        _fetching.Begin(List, _file);
        var files = new CheckpointFiles(_disk);
        return
        [
            .. Enumerable.Range(0, 3).Select(i =>
            {
                byte[] bytes = [(byte)i];
                Assert.True(_fetching.Take(i, bytes));
                return new CheckpointStoreWork(files, _fetching, i, bytes, _fetching.IsComplete, _ => _fetching.Stored());
            }),
        ];
    }

    private sealed class RecordedFile : IStorageFile
    {
        public bool IsFull { get; set; }

        public bool IsClosed { get; private set; }

        public int Written { get; private set; }

        public long Length => 0;

        public int Read(long offset, Span<byte> into) => 0;

        public void Write(long offset, ReadOnlySpan<byte> bytes)
        {
            ObjectDisposedException.ThrowIf(IsClosed, this);
            Written += IsFull ? throw new StorageException(StorageFault.Full, "full") : 1;
        }

        public void SetLength(long length)
        {
        }

        public void Flush() => ObjectDisposedException.ThrowIf(IsClosed, this);

        public void Dispose() => IsClosed = true;
    }
}
