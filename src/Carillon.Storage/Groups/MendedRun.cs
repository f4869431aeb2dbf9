using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>
/// Gathers what comes, number after number, in place of damaged messages, so that one patch holds many: a damaged batch comes back in about
/// as many flushes as it took to write it.
/// </summary>
internal sealed class MendedRun(MessageArchive archive)
{
    private const int MostMessages = 8192;
    private const long MostBytes = 1 << 20;

    private readonly List<CommittedMessage> _messages = [];
    private ulong _first;
    private long _bytes;
    private bool _isWhole;

    /// <summary>Takes what stands at a number. False: too much waits for the disk.</summary>
    public bool TryAdd(SequenceNumber number, in CommittedMessage message)
    {
        if (archive.Health is ArchiveHealth.Failed or ArchiveHealth.RecordLost)
        {
            // Nothing is written any more; who asked goes on all the same.
            return true;
        }

        long size = BatchBody.SizeOf(message);
        bool goesOn = number.Value == _first + (ulong)_messages.Count && _messages.Count < MostMessages && _bytes + size <= MostBytes;
        _isWhole |= !goesOn;
        Flush();
        if (_isWhole && _messages.Count > 0)
        {
            return false;
        }

        _first = _messages.Count == 0 ? number.Value : _first;
        _messages.Add(message);
        _bytes += size;
        _isWhole = !archive.IsDamagedAt(number.Next);
        Flush();
        return true;
    }

    /// <summary>Hands a run to the archive that does not go on, once there is room.</summary>
    public void Flush()
    {
        if (_isWhole && _messages.Count > 0 && archive.HasRoomToReplace)
        {
            // What the archive does not take is not damaged any more, or not kept: nothing is to be put back then.
            archive.TryReplace(new SequenceNumber(_first), _messages.ToArray());
            Clear();
        }
    }

    /// <summary>Drops what was gathered.</summary>
    public void Clear()
    {
        _messages.Clear();
        (_bytes, _isWhole) = (0, false);
    }
}
