using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>What a read of a number found.</summary>
public enum ArchiveReadStatus
{
    /// <summary>The messages from it on.</summary>
    Ok,

    /// <summary>It is not here yet.</summary>
    Absent,

    /// <summary>It is below the first number kept.</summary>
    Trimmed,

    /// <summary>It was here, and is damaged: the archive names the range until it is repaired.</summary>
    Damaged,

    /// <summary>The device failed to open a file, or the archive is closed.</summary>
    Failed,
}

/// <summary>
/// Reads committed messages from an archive, a whole batch at a time, verified each time that it is read from the disk: forward from any
/// number, or one by one, while the archive is written. Blocks; for any thread, one at a time. Its memory is one batch.
/// </summary>
public sealed class MessageArchiveReader
{
    // A longer message's buffer is not kept.
    private const int KeptBytes = 4 << 20;

    private readonly ArchiveIndex _index;
    private readonly DiskId _disk;
    private byte[] _buffer = [];
    private BatchPlace _place;
    private ReadOnlyMemory<byte> _body;

    internal MessageArchiveReader(ArchiveIndex index, DiskId disk) => (_index, _disk) = (index, disk);

    /// <summary>
    /// The messages from a number on: as many as the batch has that holds it. They are slices of this reader's buffer, and good until its
    /// next read.
    /// </summary>
    public ArchiveReadStatus Read(SequenceNumber from, out CommittedRun run)
    {
        run = default;
        ArchiveReadStatus status;
        BatchPlace place;
        try
        {
            status = _index.Find(from.Value, out place, out IStorageFile? file);
            if (status != ArchiveReadStatus.Ok)
            {
                return status;
            }

            try
            {
                if (place != _place && !TryRead(file!, place))
                {
                    _index.MarkDamaged(place);
                    return ArchiveReadStatus.Damaged;
                }
            }
            finally
            {
                _index.Release(place.File!);
            }
        }
        catch (StorageException)
        {
            return ArchiveReadStatus.Failed;
        }

        run = new CommittedRun(_body, (int)(place.Last - place.First + 1), (int)(from.Value - place.First), from.Value);
        return ArchiveReadStatus.Ok;
    }

    /// <summary>What was read last stays good: the next read takes a new buffer.</summary>
    public void LeaveBuffer() => (_buffer, _place, _body) = ([], default, default);

    private bool TryRead(IStorageFile file, in BatchPlace place)
    {
        _place = default;
        int length = (int)place.Bytes;
        if (_buffer.Length < length || (_buffer.Length > KeptBytes && length <= KeptBytes))
        {
            _buffer = GC.AllocateUninitializedArray<byte>(length);
        }

        Memory<byte> batch = _buffer.AsMemory(0, length);
        if (!TryFill(file, place.Offset, batch.Span)
            || ArchiveHeader.Read(batch.Span, _disk, out ArchiveHeader header, out _) != ArchiveHeaderKind.Right
            || header.File != place.File!.Number || header.Offset != place.Offset || header.First != place.First
            || header.Last != place.Last || header.AlignedBytes != length || ArchiveScanner.Verified(batch, header) is not { } body)
        {
            return false;
        }

        (_place, _body) = (place, body);
        return true;
    }

    // A sector that can't be read is as damaged as one that reads wrong.
    private static bool TryFill(IStorageFile file, long offset, Span<byte> into)
    {
        try
        {
            return file.Read(offset, into) == into.Length;
        }
        catch (StorageException)
        {
            return false;
        }
    }
}
