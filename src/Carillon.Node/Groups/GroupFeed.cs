using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Node.Groups;

/// <summary>What other threads may know of a group on this server: how far it is, its messages, and when there are more.</summary>
public sealed class GroupFeed
{
    private readonly Lock _lock = new();
    private readonly Func<GroupReader> _newReader;
    private Action? _changed;
    private (SequenceNumber Committed, SequenceNumber First, NodeId Sequencer, ulong Epoch) _state;
    private bool _isOver;

    internal GroupFeed(GroupName name, GroupRecord record, Func<GroupReader> newReader) =>
        (Name, Record, _newReader) = (name, record, newReader);

    /// <summary>Its name.</summary>
    public GroupName Name { get; }

    /// <summary>As it was created.</summary>
    public GroupRecord Record { get; }

    /// <summary>Its state, as this server knows it.</summary>
    public (SequenceNumber Committed, SequenceNumber First, NodeId Sequencer, ulong Epoch) State
    {
        get
        {
            lock (_lock)
            {
                return _state;
            }
        }
    }

    /// <summary>True once the group is no longer here.</summary>
    public bool IsOver => Volatile.Read(ref _isOver);

    /// <summary>Called, on the loop, when there may be more to read, and when the group is gone: one listener for all
    /// subscribers.</summary>
    public Action? Changed
    {
        get => Volatile.Read(ref _changed);
        set => Volatile.Write(ref _changed, value);
    }

    /// <summary>Counters.</summary>
    public required GroupFigures Figures { get; init; }

    /// <summary>A reader for one subscriber.</summary>
    public GroupReader NewReader() => _newReader();

    internal void Update(SequenceNumber committed, SequenceNumber first, NodeId sequencer, ulong epoch)
    {
        lock (_lock)
        {
            _state = (committed, first, sequencer, epoch);
        }
    }

    /// <summary>There is more to read.</summary>
    internal void Signal() => Changed?.Invoke();

    internal void End()
    {
        Volatile.Write(ref _isOver, true);
        Signal();
    }
}
