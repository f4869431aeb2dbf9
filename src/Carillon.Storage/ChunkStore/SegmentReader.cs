using System.Security.Cryptography;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Storage.Chunks;

/// <summary>What reading a segment file found, besides its records.</summary>
internal struct SegmentFindings
{
    /// <summary>True if a footer listed the records; otherwise the file was scanned and every record verified.</summary>
    public bool HasFooter;

    /// <summary>True if a footer is there and can't be used, or a durable record is bad.</summary>
    public bool IsDamaged;

    /// <summary>Where records end: the footer's place, now or later.</summary>
    public long End;

    /// <summary>The format found and the release that reads it, if this one can't; null otherwise.</summary>
    public string? NewerFormat;
}

/// <summary>
/// Reads what a segment file holds: by its footer, or else by looking at every record. A scan skips what is bad and goes on at
/// the next record, so that one bad place costs one record.
/// </summary>
/// <remarks>
/// A batch is written only after the one before was flushed. So what is bad with the beginning of a later batch behind it was
/// durable once: damage. What is bad with nothing such behind it is the torn end of a write that nobody was told of.
/// </remarks>
internal sealed class SegmentReader(DiskId disk)
{
    private const int WindowBytes = 1 << 20;

    /// <summary>The most ids in one record of intents.</summary>
    public const int MaxIntentsPerRecord = 1024;

    private readonly uint _seed = RecordHeader.SeedOf(disk);
    private readonly byte[] _block = new byte[SegmentFormat.BlockSize];
    private byte[] _window = [];
    private long _windowStart;
    private int _windowLength;

    /// <summary>Reads a segment; adds its good records in their order, and damage where it is certain.</summary>
    /// <exception cref="StorageException">The device failed.</exception>
    public SegmentFindings Read(IStorageFile file, uint segment, List<RecordHeader> records, List<ChunkDamage> damage)
    {
        _windowLength = 0;
        var findings = new SegmentFindings { End = Math.Max(SegmentFormat.RecordsAt, RecordHeader.AlignToBatch(file.Length)) };
        if (!CheckHeader(file, segment, damage, ref findings))
        {
            return findings;
        }

        if (!TryReadFooter(file, segment, records, damage, ref findings) && findings.NewerFormat is null)
        {
            Scan(file, segment, records, damage, ref findings);
        }

        return findings;
    }

    /// <summary>The ids that a record of intents lists; null if they are not what was written.</summary>
    public static ChunkId[]? ReadIntents(IStorageFile file, in RecordHeader record)
    {
        if (record.Length % ChunkId.Size != 0 || record.Length > MaxIntentsPerRecord * ChunkId.Size)
        {
            return null;
        }

        byte[] payload = new byte[record.Length];
        if (file.Read(record.Offset + RecordHeader.Size, payload) != payload.Length || Crc32C.Of(payload) != record.Detail)
        {
            return null;
        }

        var reader = new WireReader(payload);
        ChunkId[] ids = new ChunkId[payload.Length / ChunkId.Size];
        for (int i = 0; i < ids.Length; i++)
        {
            ids[i] = reader.Chunk();
        }

        return ids;
    }

    private bool CheckHeader(IStorageFile file, uint segment, List<ChunkDamage> damage, ref SegmentFindings findings)
    {
        if (SegmentFormat.TryReadHeader(Block(file, 0), out string? newer, out uint number, out DiskId owner))
        {
            if (newer is not null)
            {
                findings.NewerFormat = newer;
                return false;
            }

            if (number != segment || owner != disk)
            {
                damage.Add(new ChunkDamage(segment, 0, null, $"the segment belongs to segment {number} of disk {owner}"));
                findings.IsDamaged = true;
                return false;
            }
        }

        // A header that is not there yet was never flushed, nor was any record; a scan finds out.
        return true;
    }

    private bool TryReadFooter(
        IStorageFile file, uint segment, List<RecordHeader> records, List<ChunkDamage> damage, ref SegmentFindings findings)
    {
        long at = file.Length - SegmentFormat.BlockSize;
        if (at < SegmentFormat.RecordsAt
            || !SegmentFormat.TryReadTrailer(Block(file, at), _seed, out SegmentFormat.Trailer trailer)
            || trailer.Segment != segment)
        {
            return false;
        }

        int before = records.Count;
        if (trailer.Offset + (long)trailer.Length == at)
        {
            byte[] footer = new byte[trailer.Length];
            if (file.Read(trailer.Offset, footer) == footer.Length && Crc32C.Of(footer) == trailer.Crc
                && FooterBuilder.TryRead(footer, segment, records))
            {
                findings.HasFooter = true;
                findings.End = trailer.Offset;
                return true;
            }
        }

        records.RemoveRange(before, records.Count - before);
        damage.Add(new ChunkDamage(segment, trailer.Offset, null, "the segment's footer is damaged"));
        findings.IsDamaged = true;
        return false;
    }

    private void Scan(IStorageFile file, uint segment, List<RecordHeader> records, List<ChunkDamage> damage, ref SegmentFindings findings)
    {
        _window = _window.Length == 0 ? new byte[WindowBytes] : _window;
        var suspects = new List<ChunkDamage>();
        long length = file.Length;
        long gap = -1;
        bool isBetweenBatches = true;
        for (long at = SegmentFormat.RecordsAt; at + RecordHeader.Size <= length;)
        {
            if (!RecordHeader.TryRead(Window(file, at, RecordHeader.Size), _seed, segment, at, out RecordHeader record, out bool isNewer))
            {
                if (isNewer)
                {
                    findings.NewerFormat = "a record of a newer format version";
                    return;
                }

                bool isPadding = isBetweenBatches && at % RecordHeader.BatchAlignment != 0;
                isBetweenBatches = isPadding;
                gap = isPadding || gap >= 0 ? gap : at;
                at += RecordHeader.Alignment;
                continue;
            }

            isBetweenBatches = record.IsLastOfBatch;

            if (gap >= 0)
            {
                suspects.Add(new ChunkDamage(segment, (uint)gap, null, $"{at - gap} bytes are no record"));
                gap = -1;
            }

            if (IsWhole(file, record, at, length))
            {
                if (record.IsFirstOfBatch && suspects.Count > 0)
                {
                    damage.AddRange(suspects);
                    suspects.Clear();
                    findings.IsDamaged = true;
                }

                records.Add(record);
            }
            else
            {
                ChunkId? id = record.Kind == RecordKind.Chunk ? record.Id : null;
                suspects.Add(new ChunkDamage(segment, record.Offset, id, "a record's bytes are bad"));
            }

            at += record.Extent;
        }
    }

    private bool IsWhole(IStorageFile file, in RecordHeader record, long at, long length)
    {
        if (at + RecordHeader.Size + record.Length > length)
        {
            return false;
        }

        return record.Kind switch
        {
            RecordKind.Chunk => HashOf(file, at + RecordHeader.Size, record.Length) == record.Id.Digest,
            RecordKind.Intents => ReadIntents(file, record) is not null,
            _ => record.Length == 0,
        };
    }

    private Digest HashOf(IStorageFile file, long at, long length)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        while (length > 0)
        {
            ReadOnlySpan<byte> piece = Window(file, at, 1);
            if (piece.IsEmpty)
            {
                break;
            }

            piece = piece[..(int)Math.Min(piece.Length, length)];
            hash.AppendData(piece);
            at += piece.Length;
            length -= piece.Length;
        }

        Span<byte> digest = stackalloc byte[Digest.Size];
        hash.GetHashAndReset(digest);
        return Digest.Read(digest);
    }

    private ReadOnlySpan<byte> Block(IStorageFile file, long at) => _block.AsSpan(0, file.Read(at, _block));

    /// <summary>
    /// At least <paramref name="least"/> bytes from a place on, and all more that are at hand; fewer only at the end of the file.
    /// </summary>
    private ReadOnlySpan<byte> Window(IStorageFile file, long at, int least)
    {
        if (at < _windowStart || at + least > _windowStart + _windowLength)
        {
            _windowStart = at;
            _windowLength = file.Read(at, _window);
        }

        return _window.AsSpan((int)(at - _windowStart), (int)(_windowStart + _windowLength - at));
    }
}
