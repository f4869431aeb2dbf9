using System.Buffers.Binary;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;
using Carillon.Storage.Groups;
using Xunit;

namespace Carillon.Storage.Tests.Groups;

/// <summary>Torn, rotten, foreign and missing files.</summary>
public sealed class MessageArchiveRecoveryTests
{
    [Fact]
    public void Tail_torn_at_any_length_loses_only_the_batches_that_are_not_whole()
    {
        using var whole = new ArchiveUnderTest();
        whole.Fill(20, perBatch: 5);
        string name = Assert.Single(whole.FilesOf(".messages"));
        long length;
        using (IStorageFile file = whole.Device.Open(ArchiveUnderTest.Folder, name))
        {
            length = file.Length;
        }

        var numbers = new SortedSet<ulong>();
        for (long cut = 0; cut < length; cut += 509)
        {
            using var test = new ArchiveUnderTest();
            test.Fill(20, perBatch: 5);
            test.Cut(name, cut);
            test.Restart();
            Assert.Equal((1UL, 0UL), (test.First, test.Durable % 5));
            Assert.True(numbers.Add(test.Durable) || numbers.Max == test.Durable);
            test.AssertServesAll();
            test.Fill(30);
            test.Restart();
            Assert.Equal(30UL, test.Durable);
            test.AssertServesAll();
        }

        Assert.Equal([0, 5, 10, 15], numbers);
    }

    [Fact]
    public void Flipped_byte_anywhere_is_never_served_and_is_reported_unless_it_is_at_the_end()
    {
        using var lengths = new ArchiveUnderTest();
        lengths.Fill(120);
        ulong damaged = 0;
        foreach (string name in lengths.FilesOf(".messages"))
        {
            long length;
            using (IStorageFile file = lengths.Device.Open(ArchiveUnderTest.Folder, name))
            {
                length = file.Length;
            }

            for (long at = 0; at < length; at += 331)
            {
                damaged += FlipAndRead(name, at, isTail: name == lengths.FilesOf(".messages")[^1]);
            }
        }

        Assert.True(damaged > 1000);
    }

    // Whatever stands at a number afterwards is right, is said to be damaged, or was the end of the tail.
    private static ulong FlipAndRead(string name, long at, bool isTail)
    {
        using var test = new ArchiveUnderTest();
        test.Fill(120);
        test.Spoil(name, bytes => bytes[at] ^= 0x10);
        test.Restart();
        Assert.True(test.Durable == 120 || (isTail && test.Durable is >= 104 and < 120));
        ulong damaged = 0;
        for (ulong number = 1; number <= test.Durable; number++)
        {
            if (test.Archive.NewReader().Read(new SequenceNumber(number), out CommittedRun run) == ArchiveReadStatus.Ok)
            {
                ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(number), run[0]);
            }
            else
            {
                Assert.Contains(test.Archive.Damage(), range => range.First.Value <= number && number <= range.Last.Value);
                damaged++;
            }
        }

        Assert.InRange(damaged, 0UL, 8UL);
        foreach (DamagedRange range in test.Archive.Damage())
        {
            Assert.True(test.Archive.TryReplace(range.First, ArchiveUnderTest.Messages(range.First.Value, range.Last.Value)));
        }

        test.RunWorks();
        test.AssertServesAll();
        test.Restart();
        test.AssertServesAll();
        test.Fill(140);
        test.AssertServesAll();
        return damaged;
    }

    [Fact]
    public void Rotten_batches_in_the_middle_of_the_tail_are_damage_since_later_ones_prove_them_durable()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(20, perBatch: 5);
        test.Spoil(Assert.Single(test.FilesOf(".messages")), bytes => bytes.AsSpan(0, 4096).Clear());
        test.Restart();
        Assert.Equal(20UL, test.Durable);
        Assert.Equal([new DamagedRange(new SequenceNumber(1), new SequenceNumber(5))], test.Archive.Damage());
        Assert.Equal(ArchiveReadStatus.Damaged, test.Read(3));
        test.AssertServes(6, 20);
    }

    [Fact]
    public void Torn_batch_with_a_right_header_proves_that_the_rotten_one_before_it_was_durable()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(20, perBatch: 5);
        test.Spoil(Assert.Single(test.FilesOf(".messages")), bytes =>
        {
            int[] starts = [.. Enumerable.Range(0, bytes.Length / ArchiveHeader.Block).Select(block => block * ArchiveHeader.Block)
                .Where(at => BitConverter.ToUInt32(bytes, at) == ArchiveHeader.Magic)];
            Assert.Equal(4, starts.Length);
            bytes[starts[2] + 200] ^= 1;
            bytes[starts[3] + 200] ^= 1;
        });
        test.Restart();
        Assert.Equal(15UL, test.Durable);
        var damage = new DamagedRange(new SequenceNumber(11), new SequenceNumber(15));
        Assert.Equal([damage], test.Archive.Damage());
        test.AssertServes(1, 10);
        test.Fill(40);
        test.Restart();
        Assert.Equal(40UL, test.Durable);
        Assert.Equal([damage], test.Archive.Damage());
        test.AssertServes(16, 40);
    }

    [Fact]
    public void Missing_segment_is_damage_that_may_be_repaired_piece_by_piece()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(200);
        ulong[] starts = [.. test.SegmentStarts];
        (ulong first, ulong last) = (starts[1], starts[2] - 1);
        test.Device.Delete(ArchiveUnderTest.Folder, test.FilesOf(".messages")[1]);
        test.Restart();
        Assert.Equal([new DamagedRange(new SequenceNumber(first), new SequenceNumber(last))], test.Archive.Damage());
        Assert.False(test.Archive.TryReplace(new SequenceNumber(first - 1), ArchiveUnderTest.Messages(first - 1, first)));
        Assert.False(test.Archive.TryReplace(new SequenceNumber(last), ArchiveUnderTest.Messages(last, last + 1)));
        ulong middle = (first + last) / 2;
        Assert.True(test.Archive.TryReplace(new SequenceNumber(middle), ArchiveUnderTest.Messages(middle, middle + 3)));
        test.RunWorks();
        Assert.Equal(
            [
                new DamagedRange(new SequenceNumber(first), new SequenceNumber(middle - 1)),
                new DamagedRange(new SequenceNumber(middle + 4), new SequenceNumber(last)),
            ],
            test.Archive.Damage());
        test.AssertServes(middle, middle + 3);
        test.Restart();
        Assert.Equal(2, test.Archive.Damage().Count);
        foreach (DamagedRange range in test.Archive.Damage())
        {
            Assert.True(test.Archive.TryReplace(range.First, ArchiveUnderTest.Messages(range.First.Value, range.Last.Value)));
        }

        test.RunWorks();
        test.AssertServesAll();
        Assert.Equal(3, test.FilesOf(".patch").Count);
        test.Restart();
        test.AssertServesAll();

        test.Trim(last + 1);
        test.RunWorks();
        Assert.Empty(test.FilesOf(".patch"));
    }

    [Fact]
    public void Rotten_patch_is_damage_again_and_is_replaced_by_the_next_one()
    {
        using var test = new ArchiveUnderTest();
        test.Fill(100);
        string segment = test.FilesOf(".messages")[0];
        test.Spoil(segment, bytes => bytes[200] ^= 1);
        for (int round = 0; round < 3; round++)
        {
            Assert.Equal(ArchiveReadStatus.Damaged, test.Read(1));
            DamagedRange range = Assert.Single(test.Archive.Damage());
            Assert.True(test.Archive.TryReplace(range.First, ArchiveUnderTest.Messages(range.First.Value, range.Last.Value)));
            test.RunWorks();
            test.AssertServesAll();
            test.Spoil(Assert.Single(test.FilesOf(".patch")), bytes => bytes[round == 1 ? 10 : 300] ^= 1);
            if (round == 1)
            {
                // A patch that is rotten at a start goes; the batch that it replaced is found to be bad when it is read.
                test.Restart();
            }
        }
    }

    [Fact]
    public void Repair_cut_off_at_any_step_leaves_the_damage_or_none()
    {
        for (int steps = 0; steps < 3; steps++)
        {
            foreach (Simulator.World.CrashStyle style in Enum.GetValues<Simulator.World.CrashStyle>())
            {
                using var test = new ArchiveUnderTest((ulong)steps + 3);
                test.Fill(100);
                string segment = test.FilesOf(".messages")[1];
                test.Device.Delete(ArchiveUnderTest.Folder, segment);
                test.Restart();
                DamagedRange range = Assert.Single(test.Archive.Damage());
                Assert.True(test.Archive.TryReplace(range.First, ArchiveUnderTest.Messages(range.First.Value, range.Last.Value)));
                Assert.True(test.Archive.TryBeginWork(test.Now, out ArchiveWork? work));
                if (steps > 0)
                {
                    work.Write();
                }

                if (steps > 1)
                {
                    work.Flush();
                }

                test.CutPower(style);
                Assert.True(!test.Archive.IsDamaged || (steps < 2 && Assert.Single(test.Archive.Damage()) == range));
                Assert.Equal(100UL, test.Durable);
            }
        }
    }

    [Fact]
    public void Lost_record_is_said_and_only_a_checkpoint_helps()
    {
        foreach (bool rots in (bool[])[true, false])
        {
            using var test = new ArchiveUnderTest();
            test.Fill(100);
            test.Trim(40);
            test.RunWorks();
            string record = Assert.Single(test.FilesOf(".archive"));
            if (rots)
            {
                test.Spoil(record, bytes => bytes.AsSpan().Fill(1));
            }
            else
            {
                test.Device.Delete(ArchiveUnderTest.Folder, record);
            }

            test.Restart();
            Assert.Equal((ArchiveHealth.RecordLost, 1UL, 0UL), (test.Archive.Health, test.First, test.Durable));
            Assert.False(test.Archive.TryAppend(ArchiveUnderTest.At(1)));
            Assert.False(test.Archive.Trim(new SequenceNumber(1), default));
            Assert.False(test.Archive.TryBeginWork(test.Now, out _, all: true));
            test.StartAt(70);
            test.Fill(90);
            Assert.Equal((ArchiveHealth.Good, 70UL), (test.Archive.Health, test.First));
            test.AssertServesAll();
            Assert.Equal([70], test.SegmentStarts);
            test.Restart();
            test.AssertServesAll();
        }
    }

    [Fact]
    public void Record_survives_rot_in_either_copy()
    {
        using var lengths = new ArchiveUnderTest();
        for (int at = 0; at < 9000; at += 97)
        {
            using var test = new ArchiveUnderTest();
            test.Fill(100);
            test.Trim(20);
            test.RunWorks();
            test.Spoil(Assert.Single(test.FilesOf(".archive")), bytes => bytes[Math.Min(at, bytes.Length - 1)] ^= 1);
            test.Restart();
            Assert.Equal(20UL, test.First);
            test.AssertServesAll();
        }
    }

    [Fact]
    public void Files_of_another_disk_are_refused()
    {
        foreach (bool keepsRecord in (bool[])[true, false])
        {
            using var test = new ArchiveUnderTest();
            test.Fill(100);
            byte[] own = new byte[8192];
            string record = Assert.Single(test.FilesOf(".archive"));
            if (!keepsRecord)
            {
                // The record is this disk's, the segments are another's.
                test.Device.Delete(ArchiveUnderTest.Folder, record);
                var fresh = new ArchiveUnderTest();
                using IStorageFile from = fresh.Device.Open(ArchiveUnderTest.Folder, record);
                int length = from.Read(0, own);
                BinaryPrimitives.WriteUInt128LittleEndian(own.AsSpan(16), 8);
                BinaryPrimitives.WriteUInt32LittleEndian(own.AsSpan(60), Crc32C.Of(own.AsSpan(0, 60)));
                using IStorageFile into = test.Device.Open(ArchiveUnderTest.Folder, record);
                into.Write(0, own.AsSpan(0, length));
            }

            test.Archive.Dispose();
            StorageException refused = Assert.Throws<StorageException>(() => MessageArchive.Open(
                test.Device, ArchiveUnderTest.Folder, ArchiveUnderTest.Group, new DiskId(8), test.Options));
            Assert.Contains("another disk", refused.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData(".messages", 92)]
    [InlineData(".archive", 60)]
    public void Files_of_a_newer_format_are_refused_and_name_the_release(string suffix, int checksumAt)
    {
        using var test = new ArchiveUnderTest();
        test.Fill(100);
        test.Spoil(test.FilesOf(suffix)[0], bytes =>
        {
            bytes[4] = 9;
            bytes[8] = 3;
            bytes[10] = 4;
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(checksumAt), Crc32C.Of(bytes.AsSpan(0, checksumAt)));
        });
        StorageException refused = Assert.Throws<StorageException>(test.Restart);
        Assert.Contains("format 9", refused.Message, StringComparison.Ordinal);
        Assert.Contains("Carillon 3.4", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Any_bytes_in_any_file_never_throw()
    {
        for (ulong seed = 1; seed <= 150; seed++)
        {
            using var test = new ArchiveUnderTest(seed);
            test.Fill(100);
            test.Trim(30);
            test.RunWorks();
            for (int i = test.Random.Below(4); i >= 0; i--)
            {
                IReadOnlyList<string> names = test.Device.List(ArchiveUnderTest.Folder);
                test.Spoil(names[test.Random.Below(names.Count)], bytes =>
                {
                    int at = test.Random.Below(bytes.Length);
                    int length = Math.Min(bytes.Length - at, 1 + test.Random.Below(20_000));
                    foreach (ref byte b in bytes.AsSpan(at, length))
                    {
                        b = (byte)test.Random.Next();
                    }
                });
            }

            test.Restart();
            if (test.Archive.Health == ArchiveHealth.RecordLost)
            {
                continue;
            }

            Assert.Equal(30UL, test.First);
            MessageArchiveReader reader = test.Archive.NewReader();
            for (ulong number = test.First; number <= test.Durable; number++)
            {
                if (reader.Read(new SequenceNumber(number), out CommittedRun run) == ArchiveReadStatus.Ok)
                {
                    ArchiveUnderTest.AssertSame(ArchiveUnderTest.At(number), run[0]);
                }
            }
        }
    }
}
