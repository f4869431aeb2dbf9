using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Globalization;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Simulator.World;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>An archive on a simulated disk, and the messages that tests put into it: what stands at a number depends on that
/// alone.</summary>
internal sealed class ArchiveUnderTest : IDisposable
{
    public const string Folder = "groups";

    private static readonly ConcurrentDictionary<ulong, CommittedMessage> Known = new();

    public static readonly DiskId Disk = new(7);
    public static readonly GroupName Group = GroupName.Parse("orders.eu-1");

    public ArchiveUnderTest(ulong seed = 1, long capacity = 1L << 30, MessageArchiveOptions? options = null)
    {
        Random = new RandomSource(seed);
        Device = new SimulatedDisk(Random.Fork(), capacity);
        Options = options ?? SmallOptions;
        Assert.Empty(Options.Validate());
        Archive = MessageArchive.Open(Device, Folder, Group, Disk, Options);
    }

    /// <summary>Batches of 8 KiB at most and segments of 32 KiB, so that a test sees many.</summary>
    public static MessageArchiveOptions SmallOptions { get; } = new()
    {
        SegmentBytes = 32 << 10, BatchBytes = 8 << 10, MaxBatchMessages = 16, MaxWaitingBytes = 128 << 10, MaxWaitingMessages = 256,
        ReserveBytes = 0, MaxOpenFiles = 2, RetryAfter = TimeSpan.Zero,
    };

    public RandomSource Random { get; }

    public SimulatedDisk Device { get; }

    public MessageArchiveOptions Options { get; }

    public MessageArchive Archive { get; private set; }

    public long Now { get; set; } = 1_000_000;

    /// <summary>The first number of each segment file.</summary>
    public IReadOnlyList<ulong> SegmentStarts =>
        [.. FilesOf(".messages").Select(name => ulong.Parse(name.AsSpan(name.Length - 25, 16), NumberStyles.AllowHexSpecifier, null))];

    public ulong First => Archive.First.Value;

    public ulong Durable => Archive.Durable.Value;

    /// <summary>What stands at a number.</summary>
    public static CommittedMessage At(ulong number) => Known.GetOrAdd(number, Make);

    private static CommittedMessage Make(ulong number)
    {
        var random = new RandomSource(number);
        byte[] payload = new byte[random.Below(20) == 0 ? random.Below(12_000) : random.Below(900)];
        for (int i = 0; i < payload.Length; i++)
        {
            payload[i] = (byte)random.Next();
        }

        return (number % 7) switch
        {
            0 => CommittedMessage.NoOp,
            1 => new CommittedMessage(CommittedKind.Duplicate, IdOf(number), Digest.Of(payload), number, number - 1, default),
            _ => new CommittedMessage(CommittedKind.Message, IdOf(number), Digest.Of(payload), number / 2, number - 1, payload),
        };
    }

    public static MessageId IdOf(ulong number) => new(new SessionId(number * 3, number * 5), number);

    public static CommittedMessage[] Messages(ulong first, ulong last) =>
        [.. Enumerable.Range(0, (int)(last - first + 1)).Select(i => At(first + (ulong)i))];

    /// <summary>The state of the sessions before a number.</summary>
    public static byte[] SessionsBefore(ulong number)
    {
        byte[] bytes = new byte[8 + (int)(number % 50 * 200)];
        bytes.AsSpan().Fill((byte)number);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, number);
        return bytes;
    }

    public static void AssertSame(CommittedMessage expected, CommittedMessage actual)
    {
        Assert.Equal(expected with { Payload = default }, actual with { Payload = default });
        Assert.True(expected.Payload.Span.SequenceEqual(actual.Payload.Span));
    }

    /// <summary>Appends up to a number and makes it durable, in batches of so many messages.</summary>
    public void Fill(ulong last, int perBatch = 8)
    {
        while (Archive.Appended.Value < last)
        {
            for (int i = 0; i < perBatch && Archive.Appended.Value < last; i++)
            {
                Assert.True(Archive.TryAppend(At(Archive.Appended.Value + 1)));
            }

            RunWorks();
        }
    }

    /// <summary>Runs all works, until none is left.</summary>
    public void RunWorks()
    {
        while (Archive.TryBeginWork(Now, out ArchiveWork? work, all: true))
        {
            work.Write();
            work.Flush();
            Archive.Complete(work, null);
        }
    }

    /// <summary>Runs the next work, and tells the archive of a refusal.</summary>
    public StorageException? RunOne()
    {
        Assert.True(Archive.TryBeginWork(Now, out ArchiveWork? work, all: true));
        StorageException? failure = null;
        try
        {
            work.Write();
            work.Flush();
        }
        catch (StorageException e)
        {
            failure = e;
        }

        Archive.Complete(work, failure);
        return failure;
    }

    public void Trim(ulong first) => Assert.True(Archive.Trim(new SequenceNumber(first), SessionsBefore(first)));

    public void StartAt(ulong first) => Assert.True(Archive.StartAt(new SequenceNumber(first), SessionsBefore(first)));

    public ArchiveReadStatus Read(ulong number) => Archive.NewReader().Read(new SequenceNumber(number), out _);

    /// <summary>Reads all that is kept, and compares it.</summary>
    public void AssertServesAll()
    {
        Assert.Empty(Archive.Damage());
        AssertServes(First, Durable);
        Assert.Equal(ArchiveReadStatus.Trimmed, Read(First - 1));
        Assert.Equal(ArchiveReadStatus.Absent, Read(Durable + 1));
        Assert.Equal(First == 1 ? [] : SessionsBefore(First), Archive.Sessions.ToArray());
    }

    public void AssertServes(ulong first, ulong last)
    {
        MessageArchiveReader reader = Archive.NewReader();
        for (ulong number = first; number <= last;)
        {
            Assert.Equal(ArchiveReadStatus.Ok, reader.Read(new SequenceNumber(number), out CommittedRun run));
            Assert.Equal(number, run.First.Value);
            for (int i = 0; i < run.Count; i++)
            {
                AssertSame(At(number + (ulong)i), run[i]);
            }

            number += (ulong)run.Count;
        }
    }

    /// <summary>A new process on the same disk.</summary>
    public void Restart()
    {
        Archive.Dispose();
        Device.CloseAll();
        Archive = MessageArchive.Open(Device, Folder, Group, Disk, Options);
    }

    /// <summary>A new process after a power cut.</summary>
    public void CutPower(CrashStyle style)
    {
        Device.CutPower(style);
        Archive = MessageArchive.Open(Device, Folder, Group, Disk, Options);
    }

    public IReadOnlyList<string> FilesOf(string suffix) =>
        [.. Device.List(Folder).Where(name => name.EndsWith(suffix, StringComparison.Ordinal))];

    /// <summary>Changes a file as rot would: durably, behind everybody's back.</summary>
    public void Spoil(string name, Action<byte[]> change)
    {
        using IStorageFile file = Device.Open(Folder, name);
        byte[] bytes = new byte[file.Length];
        file.Read(0, bytes);
        change(bytes);
        file.Write(0, bytes);
        file.Flush();
    }

    public void Cut(string name, long length)
    {
        using IStorageFile file = Device.Open(Folder, name);
        file.SetLength(length);
        file.Flush();
    }

    public void Dispose() => Archive.Dispose();
}
