using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Groups;

namespace Carillon.Node.Groups;

/// <summary>What a subscriber's read found.</summary>
public enum GroupRead
{
    /// <summary>Messages from the number on.</summary>
    Ok,

    /// <summary>It is not committed here yet.</summary>
    Absent,

    /// <summary>It is no longer kept.</summary>
    Trimmed,

    /// <summary>It can't be read here, or the group is gone; another server may have it.</summary>
    Failed,
}

/// <summary>Reads a group's committed messages forward. Blocks where they come from the disk; for any thread, one at a time. A reader that
/// was not used has no buffer.</summary>
public abstract class GroupReader
{
    private protected GroupReader()
    {
    }

    /// <summary>Copies messages from a number on, as many as are at hand and find room. Their payloads are good until the next
    /// read.</summary>
    public abstract GroupRead Read(SequenceNumber from, Span<CommittedMessage> into, out int count);

    /// <summary>Gives back what memory it holds: nothing is read for a while.</summary>
    public abstract void Rest();
}

internal sealed class MemoryReader(RecentMessages recent) : GroupReader
{
    public override GroupRead Read(SequenceNumber from, Span<CommittedMessage> into, out int count)
    {
        count = recent.CopyRange(from, into);
        return count > 0 ? GroupRead.Ok : from < recent.First ? GroupRead.Trimmed : GroupRead.Absent;
    }

    public override void Rest()
    {
    }
}

internal sealed class DiskReader(CommittedReader reader) : GroupReader
{
    public override GroupRead Read(SequenceNumber from, Span<CommittedMessage> into, out int count) =>
        reader.Read(from, into, out count) switch
        {
            ArchiveReadStatus.Ok => GroupRead.Ok,
            ArchiveReadStatus.Absent => GroupRead.Absent,
            ArchiveReadStatus.Trimmed => GroupRead.Trimmed,
            _ => GroupRead.Failed,
        };

    public override void Rest() => reader.LeaveBuffer();
}
