using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>Which rules of epochs and leases are needed: every state of a small cluster is visited with them and without.</summary>
public sealed class LeaseRulesTests
{
    [Theory]
    [InlineData(3, false)]
    [InlineData(5, true)]
    public void No_two_nodes_act_in_any_state_if_all_rules_hold(int voters, bool isLate)
    {
        var explorer = new LeaseExplorer(voters, LeaseRules.All, isLate);
        Assert.Null(explorer.Explore());
        Assert.InRange(explorer.States, 100_000, 1_000_000);
    }

    [Theory]
    [InlineData((int)LeaseRules.BitIsLease)]
    [InlineData((int)LeaseRules.AbovePromises)]
    [InlineData((int)LeaseRules.OwnBitObeys)]
    [InlineData((int)LeaseRules.RefusalsDoNotCount)]
    [InlineData((int)LeaseRules.QuietAfterRestart)]
    public void Two_nodes_act_in_some_state_without_this_rule(int rule) =>
        Assert.NotNull(new LeaseExplorer(3, LeaseRules.All & ~(LeaseRules)rule).Explore());

    /// <summary>
    /// The own renewal's rule and the rule that who bids or holds gives its bit to nobody else cover each other: either may go, not both.
    /// So the deliberate bug <c>own-renewal-unchecked</c> leaves both out.
    /// </summary>
    [Theory]
    [InlineData((int)LeaseRules.OwnRenewalObeys, true)]
    [InlineData((int)LeaseRules.HolderGivesNoBit, true)]
    [InlineData((int)(LeaseRules.OwnRenewalObeys | LeaseRules.HolderGivesNoBit), false)]
    public void Own_renewal_and_the_bit_of_a_holder_cover_each_other_among_five(int without, bool isSafe)
    {
        string? fault = new LeaseExplorer(5, LeaseRules.All & ~(LeaseRules)without, isLate: true).Explore();
        Assert.True(fault is null == isSafe, fault ?? "no state breaks a rule");
    }
}
