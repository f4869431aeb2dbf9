using Xunit;

namespace Carillon.Protocols.Tests.Vocabulary;

/// <summary>A seed decides a whole run: a generator that changed would make every recorded seed worthless.</summary>
public sealed class RandomSourceTests
{
    [Fact]
    public void Sequence_of_seed_zero_is_that_of_the_published_generator()
    {
        var random = new RandomSource(0);
        ulong[] drawn = [random.Next(), random.Next(), random.Next(), random.Next()];
        Assert.Equal([11091344671253066420, 13793997310169335082, 1900383378846508768, 7684712102626143532], drawn);
    }

    [Fact]
    public void Same_seed_gives_the_same_and_another_seed_another_sequence()
    {
        Assert.Equal(Draw(new RandomSource(42)), Draw(new RandomSource(42)));
        Assert.NotEqual(Draw(new RandomSource(42)), Draw(new RandomSource(43)));
        Assert.Equal(Draw(new RandomSource(42).Fork()), Draw(new RandomSource(42).Fork()));
        Assert.NotEqual(Draw(new RandomSource(42)), Draw(new RandomSource(42).Fork()));
    }

    [Fact]
    public void Draws_stay_in_their_bounds_and_reach_all_of_them()
    {
        var random = new RandomSource(7);
        int[] counts = new int[6];
        for (int i = 0; i < 6000; i++)
        {
            counts[random.Below(6)]++;
            Assert.InRange(random.Fraction(), 0, 0.999999999999999999);
            Assert.InRange(random.Below(1L << 40), 0, (1L << 40) - 1);
            Assert.Equal(0, random.Below(1));
            Assert.InRange(random.Below(TimeSpan.FromSeconds(1)), TimeSpan.Zero, TimeSpan.FromTicks(TimeSpan.TicksPerSecond - 1));
        }

        Assert.All(counts, count => Assert.InRange(count, 850, 1150));
        Assert.Equal(TimeSpan.Zero, random.Below(TimeSpan.Zero));
        Assert.InRange(Enumerable.Range(0, 10_000).Count(_ => random.Chance(0.25)), 2300, 2700);
    }

    private static ulong[] Draw(RandomSource random) => [.. Enumerable.Range(0, 20).Select(_ => random.Next())];
}
