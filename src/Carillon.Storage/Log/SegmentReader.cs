using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Log;

/// <summary>Reads segments through one window, so that recovery's memory does not depend on what the files say or hold.</summary>
internal sealed class SegmentReader(DiskId disk)
{
    // Grows to the longest batch met, which the format bounds.
    private byte[] _window = new byte[1 << 18];
    private Segment? _segment;
    private long _start;
    private int _filled;

    /// <summary>What may be a header at a place.</summary>
    /// <exception cref="StorageException">A newer release wrote it, or it could not be read.</exception>
    public HeaderKind HeaderAt(Segment segment, long offset, out BatchHeader header)
    {
        HeaderKind kind = BatchHeader.Read(At(segment, offset, BatchHeader.Size), disk, out header, out string newerFormat);
        if (kind == HeaderKind.Newer)
        {
            throw new StorageException(
                StorageFault.Failed, $"The log file {segment.Name} has {newerFormat}; this release reads up to {BatchHeader.Version}.");
        }

        return kind;
    }

    /// <summary>The payload that a header announces; false if it is not what was written.</summary>
    public bool TryReadPayload(Segment segment, long offset, scoped in BatchHeader header, out ReadOnlySpan<byte> payload)
    {
        payload = default;
        if (offset + header.AlignedBytes > segment.Length)
        {
            return false;
        }

        Span<byte> batch = At(segment, offset, BatchHeader.Size + header.PayloadBytes);
        payload = batch.Length < BatchHeader.Size ? default : batch[BatchHeader.Size..];
        if (payload.Length != header.PayloadBytes || Crc32C.Of(payload) != header.PayloadChecksum)
        {
            return false;
        }

        if (header.Mask != 0)
        {
            BlockMask.Apply(batch, header.Mask);
            _segment = null; // the window no longer holds what the file does
        }

        return BatchPayload.IsWellFormed(payload);
    }

    /// <summary>Finds the first right header of a generation (0: of any) at or behind a place, and no further in than asked.</summary>
    public bool TryFind(Segment segment, long generation, ref long offset, out BatchHeader header, long upTo = long.MaxValue)
    {
        for (; offset <= upTo && offset + BatchHeader.Block <= segment.Length; offset += BatchHeader.Block)
        {
            if (HeaderAt(segment, offset, out header) == HeaderKind.Right && (generation == 0 || header.Generation == generation))
            {
                return true;
            }
        }

        header = default;
        return false;
    }

    /// <summary>Bytes of a segment in the window: fewer at its end, and good until the next call.</summary>
    public Span<byte> At(Segment segment, long offset, int length)
    {
        if (segment != _segment || offset < _start || offset + length > _start + _filled)
        {
            if (_window.Length < length)
            {
                _window = new byte[BatchHeader.Align(length)];
            }

            (_segment, _start) = (segment, offset);
            _filled = segment.File.Read(offset, _window);
        }

        int skip = (int)(offset - _start);
        return _window.AsSpan(skip, Math.Min(length, _filled - skip));
    }
}
