using Carillon.Protocols;

namespace Carillon.Storage.Groups;

/// <summary>What a start found, besides what it put into the index.</summary>
internal sealed class RecoveredArchive
{
    /// <summary>What counts; null where segments are there and no record: it is lost.</summary>
    public ArchiveRecord? Record { get; set; }

    /// <summary>The segment that is written on, or none.</summary>
    public ArchiveFile? Tail { get; set; }

    /// <summary>Its batches.</summary>
    public List<BatchPlace> TailPlaces { get; set; } = [];

    /// <summary>Files that hold nothing that is needed.</summary>
    public List<string> Removable { get; } = [];

    /// <summary>The greatest generation of any file.</summary>
    public ulong Generation { get; set; }

    /// <summary>The next patch's serial number.</summary>
    public ulong NextSerial { get; set; } = 1;
}

/// <summary>
/// Finds out what an archive's files hold: closed segments by their footers, the last by a scan. The rules are in
/// docs/formats/message-archive.md.
/// </summary>
internal sealed class ArchiveRecovery(IStorageDevice device, string folder, ArchiveNames names, DiskId disk, ArchiveIndex index)
{
    private readonly RecoveredArchive _recovered = new();
    private readonly List<ArchiveFile> _segments = [];
    private readonly List<(ArchiveFile File, ulong First)> _patches = [];
    private ArchiveScanner _scanner = null!;
    private ulong _generation;

    public RecoveredArchive Run()
    {
        string[] owned = [.. device.List(folder).Where(names.Owns)];
        if (owned.Length > 0)
        {
            // What the last process saw under these names is relied upon from now on.
            device.FlushFolder(folder);
        }

        ReadRecord(owned);
        SortNames(owned);
        if (_recovered.Record is { } record)
        {
            _scanner = new ArchiveScanner(disk, _generation);
            index.Reset(record.First);
            ReadSegments(record.First);
            ReadPatches();
        }

        return _recovered;
    }

    private void ReadRecord(string[] owned)
    {
        if (owned.Contains(names.Record))
        {
            using IStorageFile file = device.Open(folder, names.Record);
            _recovered.Record = ArchiveRecord.Read(file, names.Record, disk);
        }

        _generation = _recovered.Record?.Generation ?? 0;
    }

    private void SortNames(string[] owned)
    {
        foreach (string name in owned)
        {
            bool isSegment = names.TryParseSegment(name, out ulong generation, out ulong first);
            ulong serial = 0;
            if (!isSegment && !names.TryParsePatch(name, out generation, out first, out serial))
            {
                if (name == names.UnfinishedRecord)
                {
                    _recovered.Removable.Add(name);
                }

                continue;
            }

            _recovered.Generation = Math.Max(_recovered.Generation, generation);
            if (generation > _generation)
            {
                // Written only once the record of their generation was durable: so that is lost.
                _recovered.Record = null;
            }
            else if (generation < _generation)
            {
                _recovered.Removable.Add(name);
            }
            else if (isSegment)
            {
                _segments.Add(new ArchiveFile(name, first) { IsCreated = true, Last = first - 1 });
            }
            else
            {
                _patches.Add((new ArchiveFile(name, serial | ArchiveHeader.PatchBit) { IsCreated = true }, first));
                _recovered.NextSerial = Math.Max(_recovered.NextSerial, serial + 1);
            }
        }

        if (_recovered.Record is null)
        {
            _recovered.Removable.Clear();
            _recovered.Removable.AddRange(owned.Where(name => name != names.Record));
        }

        _segments.Sort((a, b) => a.Number.CompareTo(b.Number));
        _patches.Sort((a, b) => a.File.Number.CompareTo(b.File.Number));
    }

    private void ReadSegments(ulong first)
    {
        for (int i = 0; i < _segments.Count; i++)
        {
            ArchiveFile segment = _segments[i];
            ulong? next = i + 1 < _segments.Count ? _segments[i + 1].Number : null;
            if (next <= first)
            {
                _recovered.Removable.Add(segment.Name);
                continue;
            }

            using IStorageFile file = device.Open(folder, segment.Name);
            _scanner.CheckStart(file, segment);
            if (ArchiveFooter.Read(file, disk, _generation, segment) is { } places)
            {
                ulong expected = places.Count > 0 ? places[^1].Last + 1 : segment.Number;
                Adopt(segment, places, next ?? expected, isTail: false);
                continue;
            }

            ArchiveScanner.Findings found = _scanner.Scan(file, segment, segment.Number);
            segment.End = found.End;
            if (next is null)
            {
                RepairTail(file, found);
                Adopt(segment, found.Good, found.Expected, isTail: true);
            }
            else
            {
                Close(file, segment, found.Good);
                Adopt(segment, found.Good, next.Value, isTail: false);
            }
        }
    }

    private void Adopt(ArchiveFile segment, List<BatchPlace> places, ulong expected, bool isTail)
    {
        if (expected <= index.First && segment.Number < index.First)
        {
            _recovered.Removable.Add(segment.Name);
            return;
        }

        index.Add(segment);
        AddHole(segment.Number);
        foreach (BatchPlace place in places.Where(place => place.Last > index.Durable && place.Last < expected))
        {
            AddHole(place.First);
            index.Append(place);
        }

        AddHole(expected);
        segment.Last = expected - 1;
        if (isTail)
        {
            (_recovered.Tail, _recovered.TailPlaces) = (segment, places);
        }
    }

    private void AddHole(ulong next)
    {
        ulong durable = index.Durable;
        if (next > durable + 1)
        {
            index.Append(BatchPlace.Hole(durable + 1, next - 1));
        }
    }

    // What is torn goes; the last batch that counts may be only in a dead process's cache.
    private void RepairTail(IStorageFile file, in ArchiveScanner.Findings found)
    {
        if (file.Length > found.End)
        {
            file.SetLength(found.End);
        }

        if (found.Good.Count > 0)
        {
            _scanner.WriteAgain(file, found.Good[^1]);
        }
    }

    // A footer saves time at the next start, nothing else.
    private void Close(IStorageFile file, ArchiveFile segment, List<BatchPlace> places)
    {
        try
        {
            file.SetLength(segment.End);
            file.Write(segment.End, ArchiveFooter.Encode(disk, _generation, segment, places));
            file.Flush();
        }
        catch (StorageException refusal) when (refusal.Fault == StorageFault.Full)
        {
            file.SetLength(segment.End);
        }
    }

    private void ReadPatches()
    {
        foreach ((ArchiveFile patch, ulong first) in _patches)
        {
            using IStorageFile file = device.Open(folder, patch.Name);
            List<BatchPlace> good = _scanner.Scan(file, patch, first).Good;
            if (good.Count == 1 && good[0].First == first && good[0].Offset == 0 && index.Spans(good[0]))
            {
                index.Add(patch);
                index.Replace(good[0]);
            }
            else
            {
                _recovered.Removable.Add(patch.Name);
            }
        }

        _recovered.Removable.AddRange(index.TakeReplacedPatches());
    }
}
