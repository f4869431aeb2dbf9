using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Carillon.Storage.Log;

namespace Carillon.Storage.Groups;

/// <summary>
/// Something that an archive has to do on its disk. Its owner has <see cref="Write"/> and then <see cref="Flush"/> run on one other
/// thread, and gives it back by <see cref="MessageArchive.Complete"/>.
/// </summary>
public abstract class ArchiveWork
{
    private protected ArchiveWork()
    {
    }

    /// <summary>Bytes that it writes, about.</summary>
    public abstract long Bytes { get; }

    /// <summary>Writes; nothing is durable yet.</summary>
    /// <exception cref="StorageException">The device refused; give it to <c>Complete</c>.</exception>
    public abstract void Write();

    /// <summary>Makes it durable.</summary>
    /// <exception cref="StorageException">The device refused; give it to <c>Complete</c>.</exception>
    public abstract void Flush();
}

/// <summary>Where an archive is on a device, for its works.</summary>
internal sealed record ArchivePlace(IStorageDevice Device, string Folder, DiskId Disk, ArchiveIndex Index, long ReserveBytes)
{
    public void WithFile(ArchiveFile file, Action<IStorageFile> use)
    {
        IStorageFile open = Index.Acquire(file);
        try
        {
            use(open);
        }
        finally
        {
            Index.Release(file);
        }
    }
}

/// <summary>One batch of messages: the next ones of a segment, or a patch.</summary>
internal sealed class BatchWork(
    ArchivePlace place, ulong generation, ulong first, CommittedMessage[] messages, ArchiveFile file, long time, byte[]? buffer)
    : ArchiveWork
{
    private ArchiveHeader _header = new(
        place.Disk, generation, file.Number, first, time, (uint)file.End, messages.Length, messages.Sum(message => message.Payload.Length),
        0, 0);

    public override long Bytes => _header.AlignedBytes;

    public ulong Generation => generation;

    public ArchiveFile File => file;

    public int Count => messages.Length;

    /// <summary>Where it will be found.</summary>
    public BatchPlace Place => BatchPlace.Of(_header, file);

    /// <summary>The segment before, if this batch begins a new one: it gets its footer.</summary>
    public (ArchiveFile File, IReadOnlyList<BatchPlace> Places)? Closing { get; init; }

    /// <summary>To be used again by the next batch.</summary>
    public byte[]? Buffer { get; private set; } = buffer;

    public override void Write()
    {
        if (place.Device.FreeBytes < Bytes + place.ReserveBytes)
        {
            throw new StorageException(StorageFault.Full, "The disk is full up to the reserve.");
        }

        if (Closing is { } closing)
        {
            WriteFooter(closing.File, closing.Places);
        }

        int length = _header.AlignedBytes;
        Buffer = Buffer?.Length >= length ? Buffer : GC.AllocateUninitializedArray<byte>(length);
        Span<byte> batch = Buffer.AsSpan(0, length);
        Span<byte> whole = batch[..(ArchiveHeader.Size + _header.BodyBytes)];
        batch[whole.Length..].Clear();
        Span<byte> body = whole[ArchiveHeader.Size..];
        BatchBody.Write(body, messages);
        uint mask = BlockMask.Choose(whole, ArchiveHeader.Magic);
        if (mask != 0)
        {
            BlockMask.Apply(whole, mask);
        }

        _header = _header with { BodyChecksum = Crc32C.Of(body), Mask = mask };
        _header.Write(whole);
        place.WithFile(file, open =>
        {
            // What an earlier attempt, or a footer of one, left there.
            if (open.Length > _header.Offset)
            {
                open.SetLength(_header.Offset);
            }

            open.Write(_header.Offset, Buffer.AsSpan(0, length));
        });
    }

    public override void Flush()
    {
        place.WithFile(file, open =>
        {
            open.Flush();

            // The newest messages are in the process's own memory, and who is far behind reads in large pieces: a second copy of all
            // that comes would push out what is read more often, and new pages for it cost as much as to write them.
            open.Forget(_header.Offset, _header.AlignedBytes);
        });
        if (!file.IsCreated)
        {
            place.Device.FlushFolder(place.Folder);
        }

        if (Closing is { } closing)
        {
            place.WithFile(closing.File, open => open.Flush());
        }
    }

    // A footer saves time at the next start, nothing else: where there is no room for it, the segment will be scanned.
    private void WriteFooter(ArchiveFile segment, IReadOnlyList<BatchPlace> places) => place.WithFile(segment, open =>
    {
        try
        {
            open.Write(segment.End, ArchiveFooter.Encode(place.Disk, generation, segment, places));
        }
        catch (StorageException refusal) when (refusal.Fault == StorageFault.Full)
        {
            open.SetLength(segment.End);
        }
    });
}

/// <summary>A new record: under another name, flushed, and renamed over the old one.</summary>
internal sealed class RecordWork(ArchivePlace place, ArchiveNames names, ArchiveRecord record) : ArchiveWork
{
    public ArchiveRecord Record => record;

    public override long Bytes => 2L * record.Sessions.Length;

    public override void Write()
    {
        using IStorageFile file = place.Device.Open(place.Folder, names.UnfinishedRecord);
        file.SetLength(0);
        file.Write(0, record.Encode(place.Disk));
    }

    public override void Flush()
    {
        using (IStorageFile file = place.Device.Open(place.Folder, names.UnfinishedRecord))
        {
            file.Flush();
        }

        place.Device.Rename(place.Folder, names.UnfinishedRecord, names.Record);
        place.Device.FlushFolder(place.Folder);
    }
}

/// <summary>Files that are not needed any more.</summary>
internal sealed class RemovalWork(IStorageDevice device, string folder, Func<IReadOnlyList<string>> names) : ArchiveWork
{
    public override long Bytes => 0;

    public override void Write()
    {
        foreach (string name in names())
        {
            device.Delete(folder, name);
        }
    }

    public override void Flush() => device.FlushFolder(folder);
}
