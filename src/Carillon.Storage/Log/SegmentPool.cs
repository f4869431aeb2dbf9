using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Carillon.Protocols;

namespace Carillon.Storage.Log;

/// <summary>
/// A log's segments: the live ones in order, the last of which is being filled; free ones that are pre-written; and how much may be
/// accepted so that everything accepted has its place in pre-written blocks, also on a device that is full by now.
/// </summary>
internal sealed class SegmentPool : IDisposable
{
    private const string Suffix = ".segment";

    private readonly IStorageDevice _device;
    private readonly string _folder;
    private readonly SegmentLogOptions _options;
    private readonly List<Segment> _live = [];
    private readonly Queue<Segment> _free = new();
    private readonly List<Segment> _surplus = [];
    private SegmentPreparation? _preparation;
    private long _nextSlot = 1;
    private long _freeBytesWhenFull;
    private bool _wasRefused;
    private bool _isRoomWanted;

    public SegmentPool(IStorageDevice device, string folder, SegmentLogOptions options)
    {
        (_device, _folder, _options) = (device, folder, options);
        ReserveSegments = (options.ReserveBytes + options.SegmentBytes - 1) / options.SegmentBytes;
    }

    public IReadOnlyList<Segment> Live => _live;

    public Segment Tail => _live[^1];

    public bool HasFree => _free.Count > 0;

    /// <summary>A segment is wanted, and the device had no space for one the last time.</summary>
    public bool IsDeviceFull => _wasRefused && _free.Count < Wanted;

    /// <summary>
    /// Bytes of the reserve that non-urgent records leave alone; half, while the device is not known to be full and a segment is only
    /// late.
    /// </summary>
    public long Reserve => (long)ReserveSegments * Usable(_options.SegmentBytes) / (IsDeviceFull ? 1 : 2);

    private int ReserveSegments { get; }

    private int Wanted => ReserveSegments + _options.SpareSegments;

    private bool IsSegmentLate => _free.Count < Math.Max(1, ReserveSegments);

    /// <summary>Opens all segments of the folder; takes away what a crash left unfinished.</summary>
    public IReadOnlyList<Segment> OpenAll()
    {
        var segments = new List<Segment>();
        foreach (string name in _device.List(_folder))
        {
            if (name.EndsWith(Suffix + SegmentPreparation.UnfinishedSuffix, StringComparison.Ordinal))
            {
                _device.Delete(_folder, name);
            }
            else if (TryParseSlot(name, out long slot))
            {
                segments.Add(new Segment(name, _device.Open(_folder, name)));
                _nextSlot = Math.Max(_nextSlot, slot + 1);
            }
        }

        return segments;
    }

    /// <summary>Takes over what recovery sorted.</summary>
    public void Adopt(RecoveredLog recovered)
    {
        _live.AddRange(recovered.Live);
        foreach (Segment segment in recovered.Free)
        {
            GiveBack(segment);
        }
    }

    /// <summary>Makes the first segment, and the reserve or at least one behind it, where they are not there yet.</summary>
    /// <exception cref="StorageException">There is no room even for the first segment, or the device failed.</exception>
    public void Complete()
    {
        int needed = Math.Max(1, ReserveSegments) + (_live.Count == 0 ? 1 : 0);
        while (_free.Count < needed && !IsDeviceFull)
        {
            SegmentPreparation preparation = PlanNew();
            StorageException? failure = null;
            try
            {
                preparation.Write();
                preparation.Flush();
            }
            catch (StorageException e) when (e.Fault == StorageFault.Full && (_live.Count > 0 || HasFree))
            {
                failure = e;
            }

            Complete(preparation, failure);
        }

        if (_live.Count == 0)
        {
            Roll(1);
        }
    }

    /// <summary>
    /// Bytes of batches that are sure to find their place, in order, whatever their sizes: a segment is left for the next one when a
    /// batch does not fit, so each may waste up to the longest batch less one block.
    /// </summary>
    public long Capacity(bool leavesTail) => (leavesTail ? 0 : Usable(Tail.Remaining)) + (_free.Count * Usable(_options.SegmentBytes));

    /// <summary>True if a batch of so many bytes has a place now that leaves a block for a batch that carries a cut.</summary>
    public bool Fits(int bytes) => HasFree || Tail.Remaining >= bytes + BatchHeader.Block;

    /// <summary>True if that block is there.</summary>
    public bool FitsCut => HasFree || Tail.Remaining >= BatchHeader.Block;

    /// <summary>Makes a free segment the tail.</summary>
    public void Roll(long generation)
    {
        Invariant.That(HasFree);
        Segment segment = _free.Dequeue();
        (segment.Generation, segment.Offset, segment.LastTouching) = (generation, 0, 0);
        _live.Add(segment);
    }

    /// <summary>Frees segments older than a generation. Called once that is durable: until then a restart would look for them.</summary>
    public void Release(long oldest)
    {
        int count = 0;
        while (count < _live.Count - 1 && _live[count].Generation < oldest)
        {
            GiveBack(_live[count++]);
        }

        _live.RemoveRange(0, count);
    }

    /// <summary>
    /// Work to be done on segments, if there is any and none is under way: for the free ones to be as many as wanted, and enough for
    /// what waits.
    /// </summary>
    public bool TryPlan(long waitingBytes, [NotNullWhen(true)] out SegmentPreparation? preparation)
    {
        preparation = null;
        if (_preparation is not null)
        {
            return false;
        }

        if (_surplus.Count > 0)
        {
            preparation = SegmentPreparation.OfRemoval(_device, _folder, [.. _surplus]);
            _surplus.Clear();
        }
        else if ((_free.Count < Wanted || waitingBytes > Capacity(leavesTail: true)) && MayTry())
        {
            preparation = PlanNew();
        }

        _preparation = preparation;
        return preparation is not null;
    }

    /// <summary>The same, only where batches would soon have to wait for it.</summary>
    public SegmentPreparation? PlanIfLate(long waitingBytes) =>
        IsSegmentLate && _surplus.Count == 0 && TryPlan(waitingBytes, out SegmentPreparation? preparation) ? preparation : null;

    /// <summary>Takes a preparation back. False if the device can't be trusted any more.</summary>
    public bool Complete(SegmentPreparation preparation, StorageException? failure)
    {
        Invariant.That(_preparation is null || preparation == _preparation);
        _preparation = null;
        if (failure is not null)
        {
            (_wasRefused, _freeBytesWhenFull, _isRoomWanted) = (true, _device.FreeBytesOrNone(), false);
            return failure.Fault != StorageFault.Failed;
        }

        if (preparation.Made is { } made)
        {
            _free.Enqueue(made);
            _wasRefused = false;
        }

        return true;
    }

    public void Dispose()
    {
        foreach (Segment segment in _live.Concat(_free).Concat(_surplus))
        {
            segment.File.Dispose();
        }

        _live.Clear();
        _free.Clear();
        _surplus.Clear();
    }

    private SegmentPreparation PlanNew()
    {
        string name = _nextSlot++.ToString("d8", CultureInfo.InvariantCulture) + Suffix;
        return SegmentPreparation.OfNew(_device, _folder, name, _options.SegmentBytes);
    }

    /// <summary>A record found no room: a device that refused for another reason than its space (it was read-only, or a quota) is tried
    /// again.</summary>
    public void WantRoom() => _isRoomWanted = true;

    // Without a clock: tried again once the device has room for a segment more than when it refused; where it had room enough all the
    // time, whenever somebody asks for some.
    private bool MayTry() => !_wasRefused || _device.FreeBytesOrNone() >= _freeBytesWhenFull + _options.SegmentBytes
        || (_isRoomWanted && _freeBytesWhenFull >= _options.SegmentBytes);

    private void GiveBack(Segment segment)
    {
        int kept = _wasRefused || Buggify.Here("log-keeps-few-segments", 0.5) ? Wanted : Math.Max(Wanted, _options.MaxFreeSegments);
        if (segment.Length == _options.SegmentBytes && _free.Count < kept)
        {
            _free.Enqueue(segment);
        }
        else
        {
            _surplus.Add(segment);
        }
    }

    private long Usable(long bytes) => Math.Max(0, bytes - (_options.MaxBatchBytes - BatchHeader.Block));

    private static bool TryParseSlot(string name, out long slot)
    {
        slot = 0;
        return name.EndsWith(Suffix, StringComparison.Ordinal)
            && long.TryParse(name.AsSpan(0, name.Length - Suffix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out slot);
    }
}
