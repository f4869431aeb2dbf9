using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Groups;
using Carillon.Storage.Log;

namespace Carillon.Node.Works;

/// <summary>The groups' log is opened: it is not there before the first group is.</summary>
internal sealed class GroupLogOpenWork(
    IStorageDevice device, DiskId disk, SegmentLogOptions options, Action<SegmentLog?, StorageException?> done) : StorageWork
{
    private SegmentLog? _log;

    public override StorageLane Lane => StorageLane.Groups;

    public override int Bytes => options.SegmentBytes;

    public override void Write() => _log = SegmentLog.Open(device, Groups.GroupSet.LogFolder, disk, options, (_, _) => { });

    public override void Flush()
    {
        // What opening makes is durable when it returns.
    }

    protected internal override void Complete(StorageException? failure) => done(_log, failure);
}

/// <summary>A group's archive is opened, or made.</summary>
internal sealed class ArchiveOpenWork(
    IStorageDevice device, DiskId disk, GroupName group, MessageArchiveOptions options, Action<MessageArchive?, StorageException?> done)
    : StorageWork
{
    private MessageArchive? _archive;

    public override StorageLane Lane => StorageLane.Archive;

    public override int Bytes => 4096;

    public override void Write() => _archive = MessageArchive.Open(device, Groups.GroupSet.ArchiveFolder, group, disk, options);

    public override void Flush()
    {
        // What opening makes is durable when it returns.
    }

    protected internal override void Complete(StorageException? failure) => done(_archive, failure);
}

/// <summary>Something that an archive has to do.</summary>
internal sealed class ArchiveStorageWork(ArchiveWork work, Action<ArchiveWork, StorageException?> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Archive;

    public override int Bytes => (int)Math.Min(work.Bytes, int.MaxValue);

    public override void Write() => work.Write();

    public override void Flush() => work.Flush();

    protected internal override void Complete(StorageException? failure) => done(work, failure);
}

/// <summary>A batch of an archive is read for the loop.</summary>
internal sealed class ArchiveLoadWork(LoadWork work, Action<LoadWork> done) : StorageWork
{
    public override StorageLane Lane => StorageLane.Background;

    public override int Bytes => 1 << 20;

    public override void Write() => work.Run();

    public override void Flush()
    {
        // Nothing was written.
    }

    protected internal override void Complete(StorageException? failure) => done(work);
}
