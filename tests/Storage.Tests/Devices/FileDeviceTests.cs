using Carillon.Protocols;
using Carillon.Runtime.Storage;
using Xunit;

namespace Carillon.Storage.Tests.Devices;

public sealed class FileDeviceTests
{
    [Fact]
    public void File_keeps_what_was_written_where_it_was_written()
    {
        using var folder = new TemporaryFolder();
        var device = new FileDevice(folder.Path);
        using (IStorageFile file = device.Open("store", "a"))
        {
            Assert.Equal(0, file.Length);
            file.Write(10, [1, 2, 3]);
            file.Write(0, [9]);
            file.Flush();
            Assert.Equal(13, file.Length);
        }

        device.FlushFolder("store");
        using IStorageFile again = device.Open("store", "a");
        byte[] bytes = new byte[20];
        Assert.Equal(13, again.Read(0, bytes));
        Assert.Equal([9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3], bytes[..13]);
        Assert.Equal(2, again.Read(11, bytes));
        Assert.Equal(0, again.Read(13, bytes));
        Assert.Equal(0, again.Read(1000, bytes));
        again.SetLength(11);
        Assert.Equal(11, again.Length);
        again.SetLength(4096);
        Assert.Equal(1, again.Read(4095, bytes));
        Assert.Equal(0, bytes[0]);
    }

    [Fact]
    public void Folder_lists_its_files_in_ordinal_order()
    {
        using var folder = new TemporaryFolder();
        var device = new FileDevice(folder.Path);
        Assert.Empty(device.List("store"));
        foreach (string name in (string[])["b", "B", "a10", "a9"])
        {
            device.Open("store", name).Dispose();
        }

        Directory.CreateDirectory(folder.At("store/folder"));
        Assert.Equal(["B", "a10", "a9", "b"], device.List("store"));
        device.Delete("store", "a9");
        device.Delete("store", "a9");
        device.Delete("nowhere", "a9");
        device.Rename("store", "B", "b");
        Assert.Equal(["a10", "b"], device.List("store"));
    }

    [Fact]
    public void File_renamed_or_deleted_while_open_goes_on()
    {
        using var folder = new TemporaryFolder();
        var device = new FileDevice(folder.Path);
        using IStorageFile file = device.Open("store", "a");
        file.Write(0, [1]);
        device.Rename("store", "a", "b");
        file.Write(1, [2]);
        file.Flush();
        Assert.Equal([1, 2], File.ReadAllBytes(folder.At("store/b")));
        using IStorageFile second = device.Open("store", "b");
        device.Delete("store", "b");
        byte[] bytes = new byte[2];
        Assert.Equal(2, second.Read(0, bytes));
    }

    [Fact]
    public void Name_that_leaves_the_folder_is_a_bug_of_the_caller()
    {
        using var folder = new TemporaryFolder();
        var device = new FileDevice(folder.Path);
        foreach (string name in (string[])["..", ".", "", "a/b", "/etc", "a\0"])
        {
            Assert.Throws<InvariantBrokenException>(() => device.Open("store", name));
            Assert.Throws<InvariantBrokenException>(() => device.Open(name, "a"));
        }
    }

    [Fact]
    public void Free_bytes_are_those_of_the_file_system()
    {
        using var folder = new TemporaryFolder();
        Assert.InRange(new FileDevice(folder.Path).FreeBytes, 1, long.MaxValue);
    }

    [Fact]
    public void Errors_of_the_system_come_out_as_faults()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Uses /dev/full and /proc, which Linux has.");
        using IStorageFile full = new FileDevice("/").Open("dev", "full");
        var refused = Assert.Throws<StorageException>(() => full.Write(0, [1]));
        Assert.Equal(StorageFault.Full, refused.Fault);
        Assert.Contains("/dev/full", refused.Message, StringComparison.Ordinal);

        // Reading the first page of a process's own memory, which is not there, is an input/output error (EIO).
        using IStorageFile memory = new FileDevice("/proc").Open("self", "mem");
        Assert.Equal(StorageFault.Failed, Assert.Throws<StorageException>(() => memory.Read(0, new byte[1])).Fault);

        // A pipe or device of the kernel that cannot be flushed (EINVAL) is a failure, never a success.
        using IStorageFile nothing = new FileDevice("/").Open("dev", "null");
        Assert.Equal(StorageFault.Failed, Assert.Throws<StorageException>(nothing.Flush).Fault);
        Assert.Equal(StorageFault.Failed, Assert.Throws<StorageException>(() => new FileDevice("/proc").FlushFolder("nowhere")).Fault);
        Assert.Throws<StorageException>(() => new FileDevice("/proc/nowhere"));
    }

    [Fact]
    public void Full_and_read_only_file_systems_are_told_apart()
    {
        using var folder = new TemporaryFolder();
        using Mount mount = Mount.OfMemory(folder.At("small"), "size=64k");
        var device = new FileDevice(mount.Point);
        Assert.InRange(device.FreeBytes, 1, 64 << 10);
        using (IStorageFile file = device.Open("store", "a"))
        {
            Assert.Equal(StorageFault.Full, Assert.Throws<StorageException>(() => file.Write(0, new byte[128 << 10])).Fault);
            file.SetLength(0);
            file.Write(0, [1]);
        }

        mount.Remount("ro");
        Assert.Equal(StorageFault.ReadOnly, Assert.Throws<StorageException>(() => device.Open("store", "b")).Fault);
        Assert.Equal(StorageFault.ReadOnly, Assert.Throws<StorageException>(() => device.Delete("store", "a")).Fault);
        Assert.Equal(StorageFault.ReadOnly, Assert.Throws<StorageException>(() => device.Rename("store", "a", "b")).Fault);
    }
}
