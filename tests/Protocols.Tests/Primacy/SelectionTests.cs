using Carillon.Protocols.Primacy;
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

    [Fact]
    public void Rank_that_was_told_rises_where_the_primary_was_heard_again_and_never_falls()
    {
        // Services' seed 177: a secondary ranked as the spare that it was when it had once taken the primary for lost, and a real spare
        // disqualified it.
        NodeId self = NodeId.Parse("s1"), primary = NodeId.Parse("s3");
        var spare = new Rank(RankClass.Spare, default, 3, self);
        Rank secondary = spare with { Class = RankClass.Secondary };
        var selection = new Selection(self);
        selection.Begin(spare, [NodeId.Parse("s2")]);
        Assert.True(selection.PrimaryHeard(primary, selection.Run));
        selection.PrimaryLost();
        selection.Begin(secondary, [NodeId.Parse("s2")]);
        Assert.Equal(secondary, selection.OwnRank);
        selection.StandAnyway(secondary with { Preference = 9 });
        Assert.Equal(secondary, selection.OwnRank);
        Assert.True(selection.PrimaryHeard(primary, selection.Run));
        selection.PrimaryLost();
        selection.Begin(spare, []);
        Assert.Equal(secondary, selection.OwnRank);
    }

    [Fact]
    public void Node_that_another_ones_word_stopped_asks_again()
    {
        // Services' seed 177: s2 was a moment slower to miss the primary, and then outranked by s1, so that both waited for the other.
        NodeId self = NodeId.Parse("s1"), other = NodeId.Parse("s2");
        var rank = new Rank(RankClass.Secondary, default, 3, self);
        var selection = new Selection(self);
        selection.Begin(rank, [other]);
        var primary = new Rank(RankClass.Primary, default, 0, NodeId.Parse("s3"));
        selection.Answered(other, new CallAnswer(CallVerdict.PrimaryExists, default, primary));
        Assert.True(selection.IsStoppedByHearsay);
        selection.AskAgain();
        selection.Begin(rank, [other]);
        Assert.Equal(other, selection.Called);
        selection.Answered(other, new CallAnswer(CallVerdict.Ranked, default, new Rank(RankClass.Spare, default, 2, other)));
        Assert.Equal(SelectionPhase.Standing, selection.Phase);
        Assert.False(selection.IsStoppedByHearsay);
    }
}
