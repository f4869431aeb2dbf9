using System.Runtime.CompilerServices;
using Carillon.Node.Groups;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;

namespace Carillon.Runtime.Tests.Groups;

public sealed class GroupWatchTests
{
    [Fact]
    public async Task Subscribers_that_come_first_at_the_same_moment_are_all_told_of_what_comes()
    {
        // Each made a watch, and the one that was told was not the one that was kept: nobody was ever woken again.
        using var start = new Barrier(2);
        for (int round = 0; round < 2000; round++)
        {
            var record = new GroupRecord(1, new GroupSettings());
            var feed = new GroupFeed(GroupName.Parse("g"), record, () => throw new InvalidOperationException()) { Figures = new() };
            ConditionalWeakTable<GroupFeed, GroupWatch> all = [];
            var changed = new Task[2];
            await Task.WhenAll(Enumerable.Range(0, 2).Select(i => Task.Run(() =>
            {
                start.SignalAndWait(Wait.Bound);
                changed[i] = GroupWatch.Of(feed, all).Changed;
            })));
            feed.Changed!();
            Assert.All(changed, task => Assert.True(task.IsCompleted));
        }
    }
}
