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
    private (string Trouble, bool IsLost) _trouble = ("", false);
    private bool _isOver;
    private bool _isStuck;

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

    /// <summary>Why its messages can't be numbered now, as far as is known here, or are not delivered here, or empty; and whether they
    /// never can be again.</summary>
    public (string Why, bool IsLost) Trouble
    {
        get
        {
            lock (_lock)
            {
                return _trouble;
            }
        }
    }

    /// <summary>True once the group is no longer here.</summary>
    public bool IsOver => Volatile.Read(ref _isOver);

    /// <summary>True while deliveries wait here for a message that is damaged on this disk: others have more.</summary>
    public bool IsStuck => Volatile.Read(ref _isStuck);

    /// <summary>Called, on the loop, when there may be more to read, and when the group is gone: one listener for all
    /// subscribers.</summary>
    public Action? Changed
    {
        get => Volatile.Read(ref _changed);
        set => Volatile.Write(ref _changed, value);
    }

    /// <summary>What is kept of a memory-only group at most; null for others.</summary>
    public (int Messages, long Bytes)? Memory { get; init; }

    /// <summary>Counters.</summary>
    public required GroupFigures Figures { get; init; }

    /// <summary>A reader for one subscriber.</summary>
    public GroupReader NewReader() => _newReader();

    internal void Update(
        SequenceNumber committed, SequenceNumber first, NodeId sequencer, ulong epoch, string trouble, bool isLost, bool isStuck)
    {
        Volatile.Write(ref _isStuck, isStuck);
        lock (_lock)
        {
            _state = (committed, first, sequencer, epoch);
            _trouble = (trouble, isLost);
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
