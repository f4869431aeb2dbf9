using Carillon.Protocols;
using Carillon.Simulator.World;
using Carillon.Storage.Chunks;
using Xunit;

namespace Carillon.Storage.Tests.Chunks;

/// <summary>A chunk store on a simulated disk, and the chunks and tags that tests put into it.</summary>
internal sealed class StoreUnderTest : IDisposable
{
    public const string Folder = "chunks";

    public static readonly DiskId Disk = new(7);

    private readonly ChunkStoreOptions _options;

    public StoreUnderTest(ulong seed = 1, long capacity = 1L << 30, ChunkStoreOptions? options = null)
    {
        Random = new RandomSource(seed);
        Device = new SimulatedDisk(Random.Fork(), capacity);
        _options = options ?? SmallOptions;
        Assert.Empty(_options.Validate());
        Store = ChunkStore.Open(Device, Folder, Disk, _options);
    }

    /// <summary>Segments of 32 KiB, so that a test sees many.</summary>
    public static ChunkStoreOptions SmallOptions { get; } = new()
    {
        SegmentBytes = 32 << 10, MaxBatchBytes = 16 << 10, MaxQueuedBytes = 1 << 20, ReserveBytes = 64 << 10, MaxOpenFiles = 4,
        CompactionStepBytes = 8 << 10, MaxLazyRecords = 4,
    };

    public RandomSource Random { get; }

    public SimulatedDisk Device { get; }

    public ChunkStore Store { get; private set; }

    public static Tag TagOf(int number) => new(new Uid(new Timestamp((ulong)number + 1), NodeId.Parse("s1")), (ulong)number);

    /// <summary>Bytes that no other number has.</summary>
    public static byte[] BytesOf(int number, int length)
    {
        byte[] bytes = new byte[Math.Max(4, length)];
        var random = new RandomSource((ulong)number);
        for (int i = 0; i < bytes.Length; i++)
        {
            bytes[i] = (byte)random.Next();
        }

        BitConverter.TryWriteBytes(bytes, number);
        return bytes;
    }

    /// <summary>Appends a chunk and makes it durable.</summary>
    public ChunkId Put(int number, int length = 1000, Tag tag = default, int replicas = 3)
    {
        byte[] bytes = BytesOf(number, length);
        ChunkId id = ChunkId.Of(bytes);
        Assert.True(Store.TryAppend(id, bytes, tag, out ChunkTicket _, replicas));
        RunBatches();
        Assert.True(Store.Contains(id));
        return id;
    }

    /// <summary>Runs batches until none is left.</summary>
    public void RunBatches(bool all = false)
    {
        while (Store.TryBeginBatch(out ChunkBatch batch, all))
        {
            batch.Write();
            batch.Flush();
            Store.Complete(batch, null);
        }
    }

    /// <summary>Compacts until nothing is left to compact.</summary>
    public void Compact()
    {
        for (int idle = 0; idle < 3;)
        {
            idle++;
            if (Store.TryBeginCompaction(out ChunkCompaction work))
            {
                idle = 0;
                work.Run();
                Store.Complete(work, null);
            }

            RunBatches();
        }
    }

    public ChunkRead Read(ChunkId id, out byte[] bytes)
    {
        Assert.True(Store.TryLocate(id, out ChunkLocation location));
        bytes = new byte[location.Length];
        return Store.Read(location, bytes);
    }

    public void AssertServes(ChunkId id, int number, int length = 1000)
    {
        Assert.Equal(ChunkRead.Ok, Read(id, out byte[] bytes));
        Assert.Equal(BytesOf(number, length), bytes);
    }

    /// <summary>A new process on the same disk.</summary>
    public void Restart()
    {
        Store.Dispose();
        Device.CloseAll();
        Store = ChunkStore.Open(Device, Folder, Disk, _options);
    }

    /// <summary>A new process after a power cut.</summary>
    public void CutPower(CrashStyle style)
    {
        Device.CutPower(style);
        Store = ChunkStore.Open(Device, Folder, Disk, _options);
    }

    public void Dispose() => Store.Dispose();
}
