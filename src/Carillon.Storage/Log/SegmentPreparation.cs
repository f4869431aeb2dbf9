namespace Carillon.Storage.Log;

/// <summary>
/// Work on segments that no batch waits for: writes one ahead with zeros, so that batches only ever overwrite blocks that the file system
/// has given out already (one flush of data, no metadata), or removes those that are too many. Runs on any other thread than the owner's;
/// given back by <see cref="SegmentLog.Complete(SegmentPreparation, StorageException)"/>.
/// </summary>
public sealed class SegmentPreparation
{
    /// <summary>Follows the name of a segment that is not wholly written yet.</summary>
    internal const string UnfinishedSuffix = ".new";

    private const int PieceBytes = 256 << 10;
    private static readonly byte[] Zeros = new byte[PieceBytes];

    private readonly IStorageDevice _device;
    private readonly string _folder;
    private readonly string? _name;
    private readonly int _segmentBytes;

    private SegmentPreparation(IStorageDevice device, string folder, string? name, int segmentBytes, IReadOnlyList<Segment> surplus)
    {
        (_device, _folder, _name, _segmentBytes) = (device, folder, name, segmentBytes);
        Surplus = surplus;
    }

    /// <summary>Bytes that <see cref="Write"/> writes.</summary>
    public int Bytes => _name is null ? 0 : _segmentBytes;

    /// <summary>The segment made, once <see cref="Flush"/> returned.</summary>
    internal Segment? Made { get; private set; }

    /// <summary>Segments to remove.</summary>
    internal IReadOnlyList<Segment> Surplus { get; }

    internal static SegmentPreparation OfNew(IStorageDevice device, string folder, string name, int segmentBytes) =>
        new(device, folder, name, segmentBytes, []);

    internal static SegmentPreparation OfRemoval(IStorageDevice device, string folder, IReadOnlyList<Segment> surplus) =>
        new(device, folder, null, 0, surplus);

    /// <summary>Writes, or removes.</summary>
    /// <exception cref="StorageException">The device refused; a file that is not whole is taken away again.</exception>
    public void Write()
    {
        foreach (Segment segment in Surplus)
        {
            segment.File.Dispose();
            _device.Delete(_folder, segment.Name);
        }

        if (_name is null)
        {
            return;
        }

        try
        {
            using IStorageFile file = _device.Open(_folder, _name + UnfinishedSuffix);
            for (int offset = 0; offset < _segmentBytes; offset += PieceBytes)
            {
                file.Write(offset, Zeros.AsSpan(0, Math.Min(PieceBytes, _segmentBytes - offset)));
            }

            file.Flush();
        }
        catch (StorageException)
        {
            _device.Delete(_folder, _name + UnfinishedSuffix);
            throw;
        }
    }

    /// <summary>Makes it durable: only now has the segment the name under which recovery finds it.</summary>
    /// <exception cref="StorageException">The device refused.</exception>
    public void Flush()
    {
        if (_name is not null)
        {
            _device.Rename(_folder, _name + UnfinishedSuffix, _name);
        }

        _device.FlushFolder(_folder);
        if (_name is not null)
        {
            Made = new Segment(_name, _device.Open(_folder, _name));
        }
    }
}
