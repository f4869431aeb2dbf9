using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Carillon.Storage.Log;

namespace Carillon.Storage.Groups;

/// <summary>Reads files of an archive batch by batch and verifies each, where no footer tells what is in them.</summary>
internal sealed class ArchiveScanner(DiskId disk, ulong generation)
{
    private byte[] _buffer = new byte[1 << 20];
    private long _start;
    private int _filled;

    /// <summary>What a scan found.</summary>
    /// <param name="Good">The batches that are whole.</param>
    /// <param name="End">Where batches end that were durable, or are whole.</param>
    /// <param name="Expected">The number after the last one up to there.</param>
    internal readonly record struct Findings(List<BatchPlace> Good, long End, ulong Expected);

    /// <summary>The release that wrote a file, or its disk, is looked at even where its footer says all else.</summary>
    /// <exception cref="StorageException">It is not for this program on this disk.</exception>
    public void CheckStart(IStorageFile file, ArchiveFile of)
    {
        _filled = 0;
        HeaderAt(file, of, 0, out _);
    }

    /// <summary>
    /// All batches of a file. A right header proves that what stands before it was durable, since it was written after the flush of that;
    /// so what is bad behind the last right header, or under it, is the torn end of a write that nobody was told of, if nothing
    /// else proves more.
    /// </summary>
    public Findings Scan(IStorageFile file, ArchiveFile of, ulong first)
    {
        _filled = 0;
        var found = new Findings([], 0, first);
        long length = file.Length;
        for (long at = 0; at + ArchiveHeader.Size <= length;)
        {
            if (!HeaderAt(file, of, at, out ArchiveHeader header) || header.First < found.Expected)
            {
                at += ArchiveHeader.Block;
                continue;
            }

            if (Body(file, at, header) is not null)
            {
                found.Good.Add(BatchPlace.Of(header, of));
                found = found with { End = at + header.AlignedBytes, Expected = header.Last + 1 };
            }
            else
            {
                found = found with { End = at, Expected = header.First };
            }

            at += header.AlignedBytes;
        }

        return found;
    }

    /// <summary>Writes a whole batch again, and flushes it: it may be whole only in the cache of a process that is no more.</summary>
    public void WriteAgain(IStorageFile file, in BatchPlace place)
    {
        byte[] batch = new byte[place.Bytes];
        int read = file.Read(place.Offset, batch);
        Invariant.That(read == batch.Length);
        file.Write(place.Offset, batch);
        file.Flush();
    }

    private bool HeaderAt(IStorageFile file, ArchiveFile of, long at, out ArchiveHeader header)
    {
        switch (ArchiveHeader.Read(Window(file, at, ArchiveHeader.Size), disk, out header, out string newerFormat))
        {
            case ArchiveHeaderKind.Foreign:
                throw new StorageException(StorageFault.Failed, $"The message archive's file {of.Name} belongs to another disk.");
            case ArchiveHeaderKind.Newer:
                throw new StorageException(
                    StorageFault.Failed, $"The file {of.Name} has {newerFormat}; this release reads up to {ArchiveHeader.Version}.");
            default:
                return header.First > 0 && header.Generation == generation && header.File == of.Number && header.Offset == at;
        }
    }

    private ReadOnlyMemory<byte>? Body(IStorageFile file, long at, in ArchiveHeader header)
    {
        if (at + header.AlignedBytes > file.Length)
        {
            return null;
        }

        Span<byte> batch = Window(file, at, header.AlignedBytes);
        bool isWhole = batch.Length == header.AlignedBytes;
        ReadOnlyMemory<byte>? body = isWhole ? Verified(_buffer.AsMemory((int)(at - _start), header.AlignedBytes), header) : null;

        // Where a mask was taken away the window no longer holds what the file does.
        _filled = header.Mask != 0 ? 0 : _filled;
        return body;
    }

    /// <summary>A batch's body, unmasked, if it is what was written; null otherwise.</summary>
    public static ReadOnlyMemory<byte>? Verified(Memory<byte> batch, in ArchiveHeader header)
    {
        Memory<byte> whole = batch[..(ArchiveHeader.Size + header.BodyBytes)];
        Memory<byte> body = whole[ArchiveHeader.Size..];
        if (Crc32C.Of(body.Span) != header.BodyChecksum)
        {
            return null;
        }

        if (header.Mask != 0)
        {
            BlockMask.Apply(whole.Span, header.Mask);
        }

        return BatchBody.IsWellFormed(body.Span, header.Count, header.PayloadBytes) ? body : null;
    }

    private Span<byte> Window(IStorageFile file, long at, int length)
    {
        if (_filled == 0 || at < _start || at + length > _start + _filled)
        {
            if (_buffer.Length < length)
            {
                _buffer = new byte[length];
            }

            _start = at;
            _filled = file.Read(at, _buffer);
        }

        int skip = (int)(at - _start);
        return _buffer.AsSpan(skip, Math.Min(length, _filled - skip));
    }
}
