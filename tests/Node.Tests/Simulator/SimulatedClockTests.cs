using Carillon.Protocols;
using Carillon.Simulator.World;
using Xunit;

namespace Node.Tests.Simulator;

public sealed class SimulatedClockTests
{
    [Theory]
    [InlineData(0)]
    [InlineData(50_000)]
    [InlineData(-50_000)]
    [InlineData(333)]
    public void Deadline_is_reached_at_its_true_time_and_not_before(int partsPerMillion)
    {
        var clock = new SimulatedClock();
        clock.Boot(new Instant(0), new Instant(77));
        clock.SetDrift(new Instant(1000), partsPerMillion);
        var random = new RandomSource(3);
        for (int i = 0; i < 1000; i++)
        {
            var deadline = new Instant(2000 + random.Below(10_000_000_000L));
            Instant due = clock.TrueTimeOf(deadline);
            Assert.True(clock.At(due).Now >= deadline);
            Assert.True(clock.At(new Instant(due.Ticks - 1)).Now < deadline);
        }
    }

    [Fact]
    public void Drift_moves_both_clocks_and_a_jump_only_the_wall()
    {
        var clock = new SimulatedClock();
        clock.SetDrift(new Instant(0), 50_000);
        Moment before = clock.At(Seconds(100));
        Assert.Equal(105 * TimeSpan.TicksPerSecond, before.Now.Ticks);
        clock.Jump(TimeSpan.FromSeconds(-288));
        Moment after = clock.At(Seconds(100));
        Assert.Equal(before.Now, after.Now);
        Assert.Equal(TimeSpan.FromSeconds(-288), after.Wall - before.Wall);
        clock.Correct(Seconds(100));
        Assert.Equal(TimeSpan.Zero, clock.Offset(Seconds(100)));
    }

    [Fact]
    public void Boot_begins_the_monotonic_clock_anew_and_keeps_the_wall()
    {
        var clock = new SimulatedClock();
        clock.Jump(TimeSpan.FromSeconds(5));
        WallTime wall = clock.At(Seconds(50)).Wall;
        clock.Boot(Seconds(50), new Instant(3));
        Assert.Equal(new Moment(new Instant(3), wall), clock.At(Seconds(50)));
    }

    [Fact]
    public void Never_stays_never() => Assert.Equal(Instant.Never, new SimulatedClock().TrueTimeOf(Instant.Never));

    private static Instant Seconds(int seconds) => new(seconds * TimeSpan.TicksPerSecond);
}
