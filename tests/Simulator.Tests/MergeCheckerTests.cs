using Carillon.Protocols;
using Carillon.Simulator.Checkers;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>Servers that say that they merged with a peer: one that knows all that the peer kept, and one that does not.</summary>
public sealed class MergeCheckerTests
{
    private static readonly Tag[] Kept = [HandMade.TagOf(5), HandMade.TagOf(6)];

    [Fact]
    public void Merge_that_brought_all_passes() => MergeChecker.Check(HandMade.S1, HandMade.S2, Kept, Kept.Contains);

    [Fact]
    public void Merge_that_left_a_tag_out_is_found() =>
        HandMade.Breaks("merge", () => MergeChecker.Check(HandMade.S1, HandMade.S2, Kept, tag => tag == Kept[0]));
}
