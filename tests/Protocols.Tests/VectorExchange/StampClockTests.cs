using Carillon.Protocols.VectorExchange;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>No stamp twice, whatever clocks, crashes and other servers do.</summary>
public sealed class StampClockTests
{
    private static readonly TimeSpan Block = TimeSpan.FromSeconds(2);

    [Fact]
    public void Stamps_grow_over_restarts_and_clocks_set_back()
    {
        for (ulong seed = 0; seed < 200; seed++)
        {
            var random = new RandomSource(seed);
            var clock = new StampClock(Block);
            Timestamp durable = default;
            Timestamp last = default;
            long wall = 1_700_000_000_000;
            for (int i = 0; i < 300; i++)
            {
                wall += random.Below(2_000) - (random.Chance(0.1) ? 10_000 : 0);
                if (random.Chance(0.1))
                {
                    clock = new StampClock(Block);
                    clock.Restore(durable);
                }

                Timestamp known = random.Chance(0.3) ? new Timestamp(last.Value + (ulong)random.Below(1 << 20)) : default;
                if (!clock.TryTake(new WallTime(wall), known, out Timestamp stamp))
                {
                    // A crash may come before the reservation is durable, or after it and before its use.
                    Timestamp upTo = clock.Ask(new WallTime(wall), known);
                    if (random.Chance(0.2))
                    {
                        continue;
                    }

                    durable = Timestamp.Max(durable, upTo);
                    clock.Extend(upTo);
                    Assert.True(clock.TryTake(new WallTime(wall), known, out stamp));
                }

                Assert.True(stamp > last && stamp > known && stamp >= Timestamp.At(new WallTime(wall)) && stamp <= durable);
                last = stamp;
            }
        }
    }

    [Fact]
    public void Nothing_is_taken_that_was_not_reserved()
    {
        var clock = new StampClock(Block);
        Assert.False(clock.TryTake(new WallTime(1_000), default, out _));
        clock.Extend(clock.Ask(new WallTime(1_000), default));
        Assert.True(clock.TryTake(new WallTime(3_000), default, out _));
        Assert.False(clock.TryTake(new WallTime(3_001), default, out _));
    }

    [Fact]
    public void Next_block_is_due_when_half_of_one_is_left()
    {
        var clock = new StampClock(Block);
        clock.Extend(clock.Ask(new WallTime(1_000), default));
        Assert.False(clock.RunsLow(new WallTime(1_900)));
        Assert.True(clock.RunsLow(new WallTime(2_100)));
    }
}
