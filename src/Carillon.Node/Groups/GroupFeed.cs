using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Node.Groups;

/// <summary>What other threads may know of a group on this server: how far it is, its messages, and when there are more.</summary>
public sealed class GroupFeed
{
    private readonly Lock _lock = new();
    private readonly Func<GroupReader> _newReader;
    private TaskCompletionSource? _changed;
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

    /// <summary>Ends when there may be more than what was read after it was asked for. One for all that wait: an idle subscriber costs its
    /// place in that list.</summary>
    public Task Changed
    {
        get
        {
            lock (_lock)
            {
                return _isOver ? Task.CompletedTask
                    : (_changed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }
    }

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
    internal void Signal()
    {
        TaskCompletionSource? changed;
        lock (_lock)
        {
            (changed, _changed) = (_changed, null);
        }

        changed?.SetResult();
    }

    internal void End()
    {
        lock (_lock)
        {
            _isOver = true;
        }

        Signal();
    }
}
