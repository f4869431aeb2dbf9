using Carillon.Protocols;
using Carillon.Protocols.Replicast;

namespace Carillon.Storage.Chunks;

/// <content>Start: the segments are read in their order, and what was left open is closed.</content>
public sealed partial class ChunkStore
{
    private const int WriteAgainBytes = 1 << 20;

    /// <summary>
    /// Opens the chunks of a disk; blocks. What is bad is reported in <see cref="Damage"/>; the rest is served. A segment that was open is
    /// verified record by record, made durable and given its footer; the others' footers are read.
    /// </summary>
    /// <exception cref="StorageException">A newer release wrote a segment; the message says which reads it.</exception>
    public static ChunkStore Open(IStorageDevice device, string folder, DiskId disk, ChunkStoreOptions options)
    {
        var store = new ChunkStore(device, folder, disk, options);
        store.Load();
        return store;
    }

    private void Load()
    {
        var reader = new SegmentReader(_disk);
        var records = new List<RecordHeader>();
        foreach (string name in _device.List(_folder))
        {
            if (ChunkSegment.TryParseName(name, out uint number))
            {
                _nextSegment = Math.Max(_nextSegment, number + 1);
                records.Clear();
                LoadSegment(reader, new ChunkSegment(number) { IsCreated = true }, records);
            }
        }

        _freeBytes = _device.FreeBytes;
        _mayCompact = true;
    }

    private void LoadSegment(SegmentReader reader, ChunkSegment segment, List<RecordHeader> records)
    {
        var damage = new List<ChunkDamage>();
        bool isEmpty = false;
        string? newer = null;
        try
        {
            using IStorageFile file = _device.Open(_folder, segment.FileName);
            SegmentFindings findings = reader.Read(file, segment.Number, records, damage);
            newer = findings.NewerFormat;
            segment.End = findings.End;
            segment.NeedsRewrite = findings.IsDamaged;
            isEmpty = records.Count == 0 && damage.Count == 0 && newer is null;
            if (!findings.HasFooter && records.Count > 0 && newer is null)
            {
                Seal(file, segment, records);
            }

            if (records.Count > 0)
            {
                _segments.Add(segment.Number, segment);
                records.ForEach(record => Replay(record, file, segment, damage));
            }
        }
        catch (StorageException refusal) when (refusal.Fault == StorageFault.Failed)
        {
            damage.Add(new ChunkDamage(segment.Number, 0, null, $"the segment can't be read: {refusal.Message}"));
        }

        if (newer is not null)
        {
            throw new StorageException(
                StorageFault.Failed, $"{_folder}/{segment.FileName} has {newer}; this release reads up to {RecordHeader.FormatVersion}.");
        }

        if (isEmpty)
        {
            TryDelete(segment);
        }

        foreach (ChunkDamage finding in damage)
        {
            ReportDamage(finding);
        }
    }

    // First made durable: what was just read may still be only in the cache of a process that died, and the name in its folder too.
    // Then the footer can't vouch for what a power cut would take away.
    private void Seal(IStorageFile file, ChunkSegment segment, List<RecordHeader> records)
    {
        Sometimes.Reached("chunk-segment-sealed-at-start");
        try
        {
            WriteAgain(file, segment, records);
            file.Flush();
            _device.FlushFolder(_folder);
            var footer = new FooterBuilder();
            records.ForEach(record => footer.Add(record));
            file.Write(segment.End, footer.Encode(segment.Number, segment.End, RecordHeader.SeedOf(_disk)));
            file.Flush();
        }
        catch (StorageException refusal) when (refusal.Fault is StorageFault.Full or StorageFault.ReadOnly)
        {
            // Scanned again at the next start.
            Health = refusal.Fault == StorageFault.Full ? ChunkStoreHealth.Full : ChunkStoreHealth.ReadOnly;
            Trouble = refusal.Message;
        }
        catch (StorageException refusal)
        {
            Health = ChunkStoreHealth.Failed;
            Trouble = refusal.Message;
        }
    }

    // A flush alone is not enough: after one that failed the pages of the last batch count as clean, and the next one leaves them out.
    private static void WriteAgain(IStorageFile file, ChunkSegment segment, List<RecordHeader> records)
    {
        int last = records.FindLastIndex(record => record.IsFirstOfBatch);
        long at = last < 0 || records[last].Offset == SegmentFormat.RecordsAt ? 0 : records[last].Offset;
        byte[] piece = new byte[Math.Min(WriteAgainBytes, segment.End - at)];
        while (at < segment.End)
        {
            int count = file.Read(at, piece.AsSpan(0, (int)Math.Min(piece.Length, segment.End - at)));
            if (count == 0)
            {
                break;
            }

            file.Write(at, piece.AsSpan(0, count));
            at += count;
        }
    }

    private void Replay(in RecordHeader record, IStorageFile file, ChunkSegment segment, List<ChunkDamage> damage)
    {
        switch (record.Kind)
        {
            case RecordKind.Chunk:
                ReplayChunk(record, segment);
                break;
            case RecordKind.Intents:
                ReplayIntents(record, file, segment, damage);
                break;
            case RecordKind.EndIntents:
                if (_intents.End(record.Tag) is { } ended)
                {
                    ReleaseNeeds(ended);
                }

                NoteNeed(record.Detail, segment);
                break;
            case RecordKind.Drop:
                if (TryLocate(record.Id, out _))
                {
                    Unindex(_index.Find(record.Id));
                }

                NoteNeed(record.Detail, segment);
                break;
            default:
                break;
        }
    }

    private void ReplayChunk(in RecordHeader record, ChunkSegment segment)
    {
        byte replicas = Math.Clamp(record.Replicas, (byte)1, (byte)IChunkInventory.MaxReplicas);
        if (TryDescribe(record.Id, out _, out int earlier))
        {
            // Compaction copied it and did not come to the end: the later copy counts.
            replicas = Math.Max(replicas, (byte)earlier);
            Unindex(_index.Find(record.Id));
        }

        Index(record.Id, record.Length, replicas, segment, record.Offset);
        Remember(record.Tag, record.Id, 0);
        NoteIntent(record.Tag, segment, 0);
    }

    private void ReplayIntents(in RecordHeader record, IStorageFile file, ChunkSegment segment, List<ChunkDamage> damage)
    {
        if (SegmentReader.ReadIntents(file, record) is not { } ids)
        {
            damage.Add(new ChunkDamage(segment.Number, record.Offset, null, $"put-intents of {record.Tag} are damaged"));
            segment.NeedsRewrite = true;
            return;
        }

        foreach (ChunkId id in ids)
        {
            Remember(record.Tag, id, 0);
            if (TryDescribe(id, out _, out int replicas) && record.Replicas > replicas && record.Replicas <= IChunkInventory.MaxReplicas)
            {
                ref IndexEntry entry = ref _index.Find(id);
                Tally(entry, removed: true);
                entry.Replicas = record.Replicas;
                Tally(entry, removed: false);
            }
        }

        NoteIntent(record.Tag, segment, record.Extent);
    }

    private void TryDelete(ChunkSegment segment)
    {
        try
        {
            _device.Delete(_folder, segment.FileName);
        }
        catch (StorageException refusal)
        {
            // Its records never counted; it is met again at the next start.
            Trouble = refusal.Message;
        }
    }
}
