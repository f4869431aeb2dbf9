using Carillon.Protocols;
using Carillon.Simulator.World;
using Carillon.Storage;
using Xunit;

namespace Node.Tests.Simulator;

public sealed class SimulatedDiskTests
{
    private const int Page = SimulatedInode.PageSize;
    private readonly SimulatedDisk _disk = new(new RandomSource(1), 1 << 20);

    [Fact]
    public void Read_sees_what_was_written_before_any_flush()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.Write(Page - 2, [1, 2, 3, 4]);
        byte[] read = new byte[8];
        Assert.Equal(4, file.Read(Page - 2, read));
        Assert.Equal([1, 2, 3, 4, 0, 0, 0, 0], read);
        Assert.Equal(Page + 2, file.Length);
    }

    [Theory]
    [InlineData((int)CrashStyle.LoseAll)]
    [InlineData((int)CrashStyle.AnyPages)]
    [InlineData((int)CrashStyle.AnySectors)]
    [InlineData((int)CrashStyle.KeepAll)]
    public void Power_cut_keeps_what_was_flushed(int style)
    {
        using (IStorageFile file = _disk.Open("log", "a"))
        {
            file.Write(0, Filled(3 * Page, 7));
            file.Flush();
            _disk.FlushFolder("log");
        }

        _disk.CutPower((CrashStyle)style);
        using IStorageFile again = _disk.Open("log", "a");
        byte[] read = new byte[3 * Page];
        Assert.Equal(read.Length, again.Read(0, read));
        Assert.All(read, b => Assert.Equal(7, b));
    }

    [Fact]
    public void Power_cut_without_flush_leaves_every_mixture_of_pages()
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int round = 0; round < 200; round++)
        {
            seen.Add(string.Join(',', AfterCut(CrashStyle.AnyPages).Chunk(Page).Select(page => page.Distinct().Single())));
        }

        Assert.Equal(["1,1", "1,2", "2,1", "2,2"], seen.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Power_cut_tears_pages_at_sectors()
    {
        bool torn = false;
        for (int round = 0; round < 50; round++)
        {
            byte[] page = AfterCut(CrashStyle.AnySectors)[..Page];
            Assert.All(page.Chunk(512), sector => Assert.Single(sector.Distinct()));
            torn |= page.Distinct().Count() == 2;
        }

        Assert.True(torn);
    }

    [Fact]
    public void Write_after_a_flush_does_not_reach_the_durable_image()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.Write(0, Filled(Page, 1));
        file.Flush();
        file.Write(100, [9]);
        _disk.FlushFolder("log");
        using IStorageFile copy = _disk.DurableCopy().Open("log", "a");
        byte[] read = new byte[Page];
        copy.Read(0, read);
        Assert.Equal(1, read[100]);
    }

    [Fact]
    public void Shortened_file_is_long_again_or_short_after_a_cut_but_reads_zeros_where_it_grew_anew()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.Write(0, Filled(2 * Page, 5));
        file.SetLength(100);
        file.SetLength(Page);
        byte[] read = new byte[Page];
        Assert.Equal(Page, file.Read(0, read));
        Assert.Equal(5, read[99]);
        Assert.Equal(0, read[100]);
    }

    [Fact]
    public void New_file_is_lost_without_its_folders_flush()
    {
        using (IStorageFile file = _disk.Open("log", "a"))
        {
            file.Write(0, [1]);
            file.Flush();
        }

        _disk.CutPower(CrashStyle.LoseAll);
        Assert.Empty(_disk.List("log"));
    }

    [Fact]
    public void Rename_and_deletion_come_back_without_their_folders_flush()
    {
        _disk.Open("log", "a").Dispose();
        _disk.Open("log", "b").Dispose();
        _disk.FlushFolder("log");
        _disk.Rename("log", "a", "c");
        _disk.Delete("log", "b");
        Assert.Equal(["c"], _disk.List("log"));
        _disk.CutPower(CrashStyle.LoseAll);
        Assert.Equal(["a", "b"], _disk.List("log"));
    }

    [Fact]
    public void Directory_changes_of_one_name_survive_in_order()
    {
        for (int round = 0; round < 100; round++)
        {
            var disk = new SimulatedDisk(new RandomSource((ulong)round), 1 << 20);
            disk.Open("log", "new").Dispose();
            disk.Rename("log", "new", "final");
            disk.CutPower(CrashStyle.AnyPages);
            Assert.True(disk.List("log").Count <= 1);
        }
    }

    [Fact]
    public void Failed_flush_is_followed_by_one_that_lies()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.SetLength(32 * Page);
        file.Flush();
        _disk.FlushFolder("log");
        file.Write(0, Filled(32 * Page, 3));
        _disk.Faults.FailNextFlushIn = "log";
        Assert.Equal(StorageFault.Failed, Assert.Throws<StorageException>(file.Flush).Fault);
        file.Flush();
        _disk.CutPower(CrashStyle.KeepAll);
        byte[] read = new byte[32 * Page];
        using IStorageFile again = _disk.Open("log", "a");
        again.Read(0, read);
        Assert.Contains(read.Chunk(Page), page => page[0] == 0);
    }

    [Fact]
    public void Full_disk_refuses_growth_and_takes_overwrites()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.Write(0, Filled(Page, 1));
        _disk.Faults.Full = true;
        file.Write(0, Filled(Page, 2));
        Assert.Equal(StorageFault.Full, Assert.Throws<StorageException>(() => file.Write(Page, [1])).Fault);
        Assert.Equal(StorageFault.Full, Assert.Throws<StorageException>(() => file.SetLength(2 * Page)).Fault);
    }

    [Fact]
    public void Capacity_is_a_limit()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.SetLength((1 << 20) - 10);
        Assert.Equal(10, _disk.FreeBytes);
        Assert.Throws<StorageException>(() => file.Write((1 << 20) - 10, new byte[11]));
    }

    [Fact]
    public void Read_only_disk_refuses_every_change_and_reads()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.Write(0, [1]);
        _disk.Faults.ReadOnly = true;
        Assert.Throws<StorageException>(() => file.Write(0, [2]));
        Assert.Throws<StorageException>(() => _disk.Open("log", "b"));
        Assert.Throws<StorageException>(() => _disk.Delete("log", "a"));
        byte[] read = new byte[1];
        Assert.Equal(1, file.Read(0, read));
    }

    [Fact]
    public void Misdirected_write_lands_elsewhere_in_the_file()
    {
        using IStorageFile file = _disk.Open("chunks", "a");
        file.Write(0, Filled(8 * Page, 1));
        _disk.Faults.MisdirectNextWriteIn = "chunks";
        file.Write(0, Filled(Page, 2));
        byte[] read = new byte[9 * Page];
        int length = file.Read(0, read);
        Assert.Equal(1, read[0]);
        Assert.Contains((byte)2, read[..length]);
    }

    [Fact]
    public void Rot_strikes_a_settled_page_only()
    {
        using IStorageFile file = _disk.Open("chunks", "a");
        SimulatedInode inode = _disk.Files("chunks").Single().Value;
        file.Write(0, Filled(Page, 1));
        Assert.Equal(-1, inode.PickSettledPage(new RandomSource(1), 0));
        file.Flush();
        Assert.Equal(-1, inode.PickSettledPage(new RandomSource(1), 1));
        file.Write(Page, Filled(Page, 2));
        file.Flush();
        Assert.Equal(0, inode.PickSettledPage(new RandomSource(1), 1));
        inode.Rot(0, 9);
        byte[] read = new byte[Page];
        file.Read(0, read);
        Assert.Equal(1 ^ 2, read[1]);
        Assert.Equal(1, read.Count(b => b != 1));
    }

    [Fact]
    public void File_of_an_ended_process_is_not_used()
    {
        IStorageFile file = _disk.Open("log", "a");
        _disk.CutPower(CrashStyle.KeepAll);
        Assert.Throws<InvariantBrokenException>(() => file.Write(0, [1]));
    }

    [Fact]
    public void Durable_copy_shares_nothing_that_changes()
    {
        using IStorageFile file = _disk.Open("log", "a");
        file.Write(0, Filled(Page, 1));
        file.Flush();
        _disk.FlushFolder("log");
        SimulatedDisk copy = _disk.DurableCopy();
        using IStorageFile copied = copy.Open("log", "a");
        copied.Write(0, [8]);
        byte[] read = new byte[1];
        file.Read(0, read);
        Assert.Equal(1, read[0]);
    }

    private static byte[] Filled(int length, byte value)
    {
        byte[] bytes = new byte[length];
        Array.Fill(bytes, value);
        return bytes;
    }

    // Two pages of 1 are durable; two of 2 were written over them.
    private byte[] AfterCut(CrashStyle style)
    {
        using (IStorageFile file = _disk.Open("log", "a"))
        {
            file.Write(0, Filled(2 * Page, 1));
            file.Flush();
            _disk.FlushFolder("log");
            file.Write(0, Filled(2 * Page, 2));
        }

        _disk.CutPower(style);
        using IStorageFile again = _disk.Open("log", "a");
        byte[] read = new byte[2 * Page];
        again.Read(0, read);
        return read;
    }
}
