using Carillon.Node.Groups;

namespace Carillon.Runtime.Groups;

/// <summary>All subscribers of a group that wait for more: one task for all of them, so that one that is idle costs its place in that
/// task's list and little else.</summary>
internal sealed class GroupWatch
{
    private readonly Lock _lock = new();
    private readonly GroupFeed _feed;
    private TaskCompletionSource? _changed;

    public GroupWatch(GroupFeed feed)
    {
        _feed = feed;
        feed.Changed = Signal;
    }

    /// <summary>Ends when there may be more than what is read after this was asked for.</summary>
    public Task Changed
    {
        get
        {
            lock (_lock)
            {
                return _feed.IsOver ? Task.CompletedTask
                    : (_changed ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
            }
        }
    }

    private void Signal()
    {
        TaskCompletionSource? changed;
        lock (_lock)
        {
            (changed, _changed) = (_changed, null);
        }

        changed?.SetResult();
    }
}
