namespace Carillon.Storage.Chunks;

/// <summary>
/// The open segment files. The only part of the store that several threads share: readers, the flusher and compaction take a
/// file for the time of one use; a file is closed or removed only while nobody uses it.
/// </summary>
internal sealed class SegmentFiles(IStorageDevice device, string folder, int maxOpen)
{
    private readonly Lock _lock = new();
    private readonly List<ChunkSegment> _open = [];
    private ulong _uses;

    /// <summary>Takes a segment's file; false if the segment was retired. Every success is followed by <see cref="Release"/>.</summary>
    /// <exception cref="StorageException">The device could not open it.</exception>
    public bool TryAcquire(ChunkSegment segment, out IStorageFile file)
    {
        lock (_lock)
        {
            file = null!;
            if (segment.IsRetired)
            {
                return false;
            }

            if (segment.File is null)
            {
                CloseLeastUsed();
                segment.File = device.Open(folder, segment.FileName);
                _open.Add(segment);
            }

            file = segment.File;
            segment.Users++;
            segment.LastUse = ++_uses;
            return true;
        }
    }

    public void Release(ChunkSegment segment)
    {
        lock (_lock)
        {
            segment.Users--;
        }
    }

    /// <summary>Closes a segment for good, if nobody uses it; the caller then removes the file.</summary>
    public bool TryRetire(ChunkSegment segment)
    {
        lock (_lock)
        {
            if (segment.Users > 0)
            {
                return false;
            }

            segment.IsRetired = true;
            if (segment.File is not null)
            {
                segment.File.Dispose();
                segment.File = null;
                _open.Remove(segment);
            }

            return true;
        }
    }

    public void CloseAll()
    {
        lock (_lock)
        {
            foreach (ChunkSegment segment in _open)
            {
                segment.File?.Dispose();
                segment.File = null;
            }

            _open.Clear();
        }
    }

    // Over the limit only while more files than that are in use at this very moment: one per thread.
    private void CloseLeastUsed()
    {
        if (_open.Count < maxOpen)
        {
            return;
        }

        ChunkSegment? oldest = null;
        foreach (ChunkSegment segment in _open)
        {
            if (segment.Users == 0 && (oldest is null || segment.LastUse < oldest.LastUse))
            {
                oldest = segment;
            }
        }

        if (oldest is not null)
        {
            oldest.File!.Dispose();
            oldest.File = null;
            _open.Remove(oldest);
        }
    }
}
