using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>Seed 002, figures 4, 6 and 7.</summary>
public sealed class SelectionTests
{
    [Theory]
    [InlineData(1, false)]
    [InlineData(2, false)]
    [InlineData(3, false)]
    [InlineData(4, false)]
    [InlineData(5, false)]
    [InlineData(2, true)]
    [InlineData(3, true)]
    [InlineData(4, true)]
    [InlineData(5, true)]
    public void Selection_in_every_interleaving_leaves_exactly_one_whom_all_name_RMM23(int nodes, bool worstOrder)
    {
        var explorer = new SelectionExplorer(nodes, crashing: null, worstOrder);

        Assert.Null(explorer.Explore());
        Assert.InRange(explorer.States, nodes * nodes, 100_000);
        if (!worstOrder)
        {
            // RMM-56: each of the others calls the best and is outranked; the best calls all of them.
            Assert.Equal(2 * (nodes - 1), explorer.MostCalls);
        }
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(3, 1)]
    [InlineData(3, 0)]
    [InlineData(4, 3)]
    [InlineData(4, 1)]
    [InlineData(5, 4)]
    [InlineData(5, 3)]
    [InlineData(5, 0)]
    public void Selection_with_a_crash_at_any_moment_leaves_exactly_one_of_the_others(int nodes, int crashing) =>
        Assert.Null(new SelectionExplorer(nodes, crashing, worstOrder: false).Explore());
}
