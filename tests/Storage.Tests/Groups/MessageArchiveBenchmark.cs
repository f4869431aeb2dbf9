using System.Diagnostics;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Storage;
using Carillon.Storage.Groups;
using Carillon.Storage.Tests.Devices;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>
/// Figures beside the disk's own limit, in one run. Run by hand: <c>--explicit only --filter-class *MessageArchiveBenchmark
/// --show-live-output on</c>.
/// </summary>
public sealed class MessageArchiveBenchmark(ITestOutputHelper output)
{
    private const int Messages = 1_000_000;
    private const int PayloadBytes = 1000;

    [Fact(Explicit = true)]
    public void Messages_of_1_KB_a_second_beside_the_bare_disk()
    {
        using var folder = new TemporaryFolder();
        var device = new FileDevice(folder.Path);
        Bare(device);
        var options = new MessageArchiveOptions();
        using (MessageArchive archive = Open(device, options))
        {
            Append(archive);
            for (int round = 0; round < 2; round++)
            {
                Report($"range read, round {round + 1}", Messages, () => ReadAll(archive));
            }

            Report("range read by 2 readers at once, messages of both", 2 * Messages, () =>
                Task.WaitAll(Task.Run(() => ReadAll(archive)), Task.Run(() => ReadAll(archive))));
            const int Random = 2000;
            var random = new RandomSource(1);
            MessageArchiveReader reader = archive.NewReader();
            Report("random reads", Random, () =>
            {
                for (int i = 0; i < Random; i++)
                {
                    Assert.Equal(ArchiveReadStatus.Ok, reader.Read(new SequenceNumber(1 + (ulong)random.Below(Messages)), out _));
                }
            });
        }

        long start = Stopwatch.GetTimestamp();
        using MessageArchive again = Open(device, options);
        output.WriteLine(
            $"opened {again.Durable.Value:n0} messages in {again.BatchCount:n0} batches in "
            + $"{Stopwatch.GetElapsedTime(start).TotalMilliseconds:n1} ms");
        Assert.Equal((ulong)Messages, again.Durable.Value);
    }

    private void Bare(FileDevice device)
    {
        byte[] block = new byte[1 << 20];
        new Random(1).NextBytes(block);
        using IStorageFile file = device.Open("bare", "file");
        Report("bare: write 1 MiB and flush, blocks", Messages / 1000, () =>
        {
            for (long at = 0; at < Messages / 1000; at++)
            {
                file.Write(at << 20, block);
                file.Flush();
            }
        });
        Report("bare: read 1 MiB, blocks", Messages / 1000, () =>
        {
            for (long at = 0; at < Messages / 1000; at++)
            {
                Assert.Equal(block.Length, file.Read(at << 20, block));
            }
        });
        device.Delete("bare", "file");
    }

    private static MessageArchive Open(FileDevice device, MessageArchiveOptions options) =>
        MessageArchive.Open(device, ArchiveUnderTest.Folder, ArchiveUnderTest.Group, ArchiveUnderTest.Disk, options);

    private void Append(MessageArchive archive)
    {
        byte[] payload = new byte[PayloadBytes];
        new Random(2).NextBytes(payload);
        var message = new CommittedMessage(CommittedKind.Message, ArchiveUnderTest.IdOf(1), Digest.Of(payload), 1, 1, payload);
        Report("append and flush in batches of 1 MiB", Messages, () =>
        {
            while (archive.Durable.Value < Messages)
            {
                while (archive.Appended.Value < Messages && archive.WaitingBytes < 2 << 20)
                {
                    Assert.True(archive.TryAppend(message));
                }

                Assert.True(archive.TryBeginWork(1, out ArchiveWork? work, all: archive.Appended.Value == Messages));
                work.Write();
                work.Flush();
                archive.Complete(work, null);
            }
        });
    }

    private static void ReadAll(MessageArchive archive)
    {
        MessageArchiveReader reader = archive.NewReader();
        long bytes = 0;
        for (ulong next = 1; next <= Messages;)
        {
            Assert.Equal(ArchiveReadStatus.Ok, reader.Read(new SequenceNumber(next), out CommittedRun run));
            for (int i = 0; i < run.Count; i++)
            {
                bytes += run[i].Payload.Length;
            }

            next = run.Last.Value + 1;
        }

        Assert.Equal((long)Messages * PayloadBytes, bytes);
    }

    private void Report(string what, int count, Action run)
    {
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        long start = Stopwatch.GetTimestamp();
        run();
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        double megabytes = (count <= Messages / 1000 ? (long)count << 20 : (long)count * PayloadBytes) / 1e6;
        output.WriteLine($"{what}: {count / seconds:n0}/s, {megabytes / seconds:n0} MB/s, {(double)allocated / count:n1} B allocated each");
    }
}
