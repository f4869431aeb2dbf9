using System.Runtime.CompilerServices;
using Carillon.Node.Groups;

namespace Carillon.Runtime.Groups;

/// <summary>All subscribers of a group that wait for more: one task for all of them, so that one that is idle costs its place in that
/// task's list and little else.</summary>
internal sealed class GroupWatch
{
    private readonly Lock _lock = new();
    private readonly GroupFeed _feed;
    private TaskCompletionSource? _changed;

    private GroupWatch(GroupFeed feed) => _feed = feed;

    /// <summary>The one of a feed, which is told when there is more.</summary>
    public static GroupWatch Of(GroupFeed feed, ConditionalWeakTable<GroupFeed, GroupWatch> all)
    {
        // Two that come at once may both make one, of which one is kept: that is the one to be told, whoever made the other.
        GroupWatch kept = all.GetValue(feed, static watched => new GroupWatch(watched));
        feed.Changed = kept.Signal;
        return kept;
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
