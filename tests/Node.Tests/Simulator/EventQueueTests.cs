using Carillon.Protocols;
using Carillon.Simulator.World;
using Xunit;

namespace Node.Tests.Simulator;

public sealed class EventQueueTests
{
    [Fact]
    public void Events_happen_by_time_then_in_the_order_in_which_they_were_scheduled()
    {
        var queue = new EventQueue();
        var random = new RandomSource(5);
        var happened = new List<(long At, int Number)>();
        for (int i = 0; i < 5000; i++)
        {
            int number = i;
            var at = new Instant(random.Below(300));
            queue.At(at, () =>
            {
                Assert.Equal(at, queue.Now);
                happened.Add((at.Ticks, number));
            });
        }

        while (queue.RunNext(Instant.Never))
        {
        }

        Assert.Equal(5000, happened.Count);
        Assert.Equal(happened.Order(), happened);
    }

    [Fact]
    public void Limit_stops_before_later_events_and_time_passes()
    {
        var queue = new EventQueue();
        bool happened = false;
        queue.After(TimeSpan.FromSeconds(2), () => happened = true);
        Assert.False(queue.RunNext(new Instant(TimeSpan.TicksPerSecond)));
        Assert.Equal(new Instant(TimeSpan.TicksPerSecond), queue.Now);
        Assert.False(happened);
        Assert.True(queue.RunNext(Instant.Never));
        Assert.True(happened);
    }

    [Fact]
    public void Event_in_the_past_happens_now()
    {
        var queue = new EventQueue();
        queue.After(TimeSpan.FromSeconds(1), () =>
            queue.At(new Instant(5), () => Assert.Equal(new Instant(TimeSpan.TicksPerSecond), queue.Now)));
        while (queue.RunNext(new Instant(2 * TimeSpan.TicksPerSecond)))
        {
        }

        Assert.Equal(2, queue.Happened);
    }

    [Fact]
    public void Digest_depends_on_order()
    {
        var a = new TraceDigest();
        a.Add(1L);
        a.Add("two");
        var b = new TraceDigest();
        b.Add("two");
        b.Add(1L);
        Assert.NotEqual(a.Value, b.Value);
    }
}
