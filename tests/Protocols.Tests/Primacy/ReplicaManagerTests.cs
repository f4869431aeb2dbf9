using Carillon.Protocols.Primacy;
using Xunit;

namespace Carillon.Protocols.Tests.Primacy;

/// <summary>The replica manager (seed 002, figure 3; RMM-34 to RMM-45, RMM-58, RMM-60).</summary>
public sealed class ReplicaManagerTests
{
    [Fact]
    public void Table_of_figure_3_is_kept_and_rebuilt_by_the_next_replica_manager_RMM34_RMM45()
    {
        var lab = new ManagerLab("n102", "n103", "n104", "n105");
        lab.Add("s202", "n103,n104,n105", secondaries: 2);
        lab.Add("s203", "n104,n103,n105", secondaries: 2);
        lab.Add("s204", "n102,n104,n105", secondaries: 2);
        lab.Add("s205", "n103,n102,n104,n105", secondaries: 3);
        foreach ((string service, string primary) in new[] { ("s202", "n103"), ("s203", "n104"), ("s204", "n102"), ("s205", "n103") })
        {
            lab.BecomesPrimary(service, primary, 1);
            foreach (NodeId node in lab[service].Definition.Providers)
            {
                lab.Reports(node.Name, service);
            }
        }

        lab.Run(3);
        AssertFigure3();
        lab.Restart(2);
        Assert.Equal(ManagerPhase.Active, lab.Core.Phase);
        lab.Run(1);
        AssertFigure3();

        void AssertFigure3()
        {
            Assert.Equal("n103 n104 n105", Row("s202"));
            Assert.Equal("n104 n103 n105", Row("s203"));
            Assert.Equal("n102 n104 n105", Row("s204"));
            Assert.Equal("n103 n102 n104 n105", Row("s205"));
        }

        string Row(string service) => string.Join(' ', lab[service].Secondaries.Select(s => s.Name).Prepend(lab[service].Primary.Name));
    }

    [Fact]
    public void Cycle_of_dependencies_is_refused_with_its_path_RMM58()
    {
        var lab = new ManagerLab("a", "b");
        lab.Add("x", "a,b");
        lab.Add("y", "a,b", with: "x");
        lab.Add("z", "a,b", with: "y");

        ServiceAnswer? answer = lab.Ask(new ServiceRequest.Add(ManagerLab.Definition("x", "a,b", with: "z"), Replace: true));

        Assert.Equal(new ServiceAnswer(ServiceResult.Refused, "a service can't depend on itself: x → z → y → x"), answer);
        Assert.True(lab["x"].Definition.With.IsNone);
    }

    [Theory]
    [InlineData("p", "a,b", "q", 0, "", "no server may provide all that must be on one node: p (a, b), q (c)")]
    [InlineData("p", "a,b", "nothing", 0, "", "there is no service 'nothing' that 'p' could be with")]
    [InlineData("p", "a,d", "", 0, "", "there is no server 'd' in the configuration")]
    [InlineData("p", "a,b", "", 2, "", "2 secondaries and a primary need 3 providers, there are 2")]
    [InlineData("p", "a,b", "", 0, "c", "the preferred server 'c' is not among the providers")]
    [InlineData("p", "a", "p", 0, "", "a service can't depend on itself: p → p")]
    [InlineData("replica-manager", "a", "", 0, "", "'replica-manager' is a service of the servers themselves")]
    public void Definition_that_cannot_be_satisfied_is_refused_and_nothing_is_done(
        string name, string providers, string with, int secondaries, string preferred, string why)
    {
        var lab = new ManagerLab("a", "b", "c");
        lab.Add("q", "c");

        ServiceAnswer? answer = lab.Add(name, providers, with, secondaries, preferred);

        Assert.Equal(new ServiceAnswer(ServiceResult.Refused, why), answer);
        Assert.Single(lab.Stored.Entries);
    }

    [Fact]
    public void Companions_may_be_where_all_of_their_tree_may_RMM43()
    {
        var lab = new ManagerLab("a", "b", "c");
        lab.Add("x", "a,b,c");
        lab.Add("y", "b,c", with: "x");

        Assert.Equal(["b", "c"], lab["x"].Eligible.Select(n => n.Name).Order());
        Assert.Equal(["b", "c"], lab["y"].Eligible.Select(n => n.Name).Order());
        Assert.Equal(ServiceResult.Refused, lab.Ask(new ServiceRequest.Remove(ServiceName.Parse("x")))!.Value.Result);
        Assert.Equal(ServiceResult.Done, lab.Ask(new ServiceRequest.Remove(ServiceName.Parse("y")))!.Value.Result);
        Assert.Equal(3, lab["x"].Eligible.Length);
        Assert.Equal(ServiceResult.NotFound, lab.Ask(new ServiceRequest.Remove(ServiceName.Parse("y")))!.Value.Result);
    }

    [Fact]
    public void Services_without_a_preference_are_spread_RMM54()
    {
        var lab = new ManagerLab("a", "b", "c");
        lab.Add("x", "a,b,c");
        lab.Add("y", "a,b,c");
        lab.Add("z", "a,b,c");
        lab.Add("w", "a,b,c", preferred: "a");

        Assert.Equal(["w a", "x a", "y b", "z c"], lab.Stored.Entries.Select(e => $"{e.Definition.Name} {e.Eligible[0]}"));
    }

    [Fact]
    public void Secondary_that_is_away_is_replaced_by_a_spare_after_its_time_RMM32()
    {
        var lab = new ManagerLab("a", "b", "c");
        lab.Add("x", "a,b,c", secondaries: 1, preferred: "a");
        lab.BecomesPrimary("x", "a", 1);
        lab.Reports("b", "x", role: ServiceRole.Secondary);
        lab.Run(1);
        lab.Reports("b", "x", role: ServiceRole.Secondary);
        lab.Reports("c", "x");
        Assert.Equal("b", Assert.Single(lab["x"].Secondaries).Name);

        lab.Connected.Remove(NodeId.Parse("b"));
        lab.Run(10);
        Assert.Equal("b", Assert.Single(lab["x"].Secondaries).Name);
        lab.Run(10);
        Assert.Equal("c", Assert.Single(lab["x"].Secondaries).Name);
    }

    [Fact]
    public void Promotion_that_fails_is_not_tried_again_at_once_RMM60()
    {
        var lab = new ManagerLab("a", "b", "c");
        lab.Add("x", "a,b,c", secondaries: 1, preferred: "a");
        lab.BecomesPrimary("x", "a", 1);
        lab.Reports("b", "x");
        lab.Run(1);
        Assert.Equal("b", Assert.Single(lab["x"].Secondaries).Name);
        lab.Reports("c", "x");
        lab.Run(40);
        Assert.Equal("c", Assert.Single(lab["x"].Secondaries).Name);
        lab.Run(40);
        Assert.Equal("c", Assert.Single(lab["x"].Secondaries).Name);
    }

    [Fact]
    public void Move_asks_the_primary_to_yield_and_refuses_targets_that_can_not_take_over_RMM35()
    {
        var lab = new ManagerLab("a", "b", "c");
        lab.Add("x", "a,b");
        var service = ServiceName.Parse("x");
        Assert.Contains("no primary", Detail(NodeId.Parse("b")), StringComparison.Ordinal);
        lab.BecomesPrimary("x", "a", 4);
        Assert.Contains("c does not provide x", Detail(NodeId.Parse("c")), StringComparison.Ordinal);
        Assert.Contains("is not up", Detail(NodeId.Parse("b")), StringComparison.Ordinal);
        lab.Reports("b", "x");

        Assert.Equal(ServiceResult.Done, lab.Ask(new ServiceRequest.Move(service, default))!.Value.Result);

        Assert.Equal(new YieldMessage(service, new Epoch(4), NodeId.Parse("b"), new Epoch(1)), Assert.Single(lab.Yields));
        lab.BecomesPrimary("x", "b", 5, gap: 0.2);
        Assert.Equal("moved by request", lab["x"].History[0].Reason);
        Assert.Equal(TimeSpan.FromSeconds(0.2), lab["x"].History[0].Gap);
        Assert.Equal("the first", lab["x"].History[1].Reason);

        string Detail(NodeId target) => lab.Ask(new ServiceRequest.Move(service, target))!.Value.Detail;
    }

    [Fact]
    public void Request_is_answered_only_once_a_quorum_has_the_table()
    {
        var lab = new ManagerLab("a", "b") { WriteEnds = TableWrite.Failed };
        ServiceAnswer? answer = null;
        lab.Core.Handle(new ServiceRequest.Add(ManagerLab.Definition("x", "a"), Replace: false), lab.Now, told => answer = told);
        Assert.Null(answer);

        lab.WriteEnds = TableWrite.Done;
        lab.Run(1);

        Assert.Equal(ServiceResult.Done, answer!.Value.Result);
        Assert.Single(lab.Stored.Entries);
    }

    [Fact]
    public void Replica_manager_whose_write_is_fenced_ends()
    {
        var lab = new ManagerLab("a", "b") { WriteEnds = TableWrite.Fenced };
        ServiceAnswer? answer = lab.Add("x", "a");

        Assert.Equal(ManagerPhase.Idle, lab.Core.Phase);
        Assert.Equal(ServiceResult.Unavailable, answer!.Value.Result);
        Assert.Empty(lab.Stored.Entries);
    }

    [Fact]
    public void Provider_is_registered_and_unregistered_RMM38_RMM39()
    {
        var lab = new ManagerLab("a", "b");
        lab.Add("x", "a");
        var service = ServiceName.Parse("x");

        Assert.Equal(ServiceResult.Done, lab.Ask(new ServiceRequest.Register(service, NodeId.Parse("b")))!.Value.Result);
        Assert.Equal(2, lab["x"].Eligible.Length);
        Assert.Equal(ServiceResult.Done, lab.Ask(new ServiceRequest.Unregister(service, NodeId.Parse("a")))!.Value.Result);
        Assert.Equal("b", Assert.Single(lab["x"].Eligible).Name);
        Assert.Equal(ServiceResult.Refused, lab.Ask(new ServiceRequest.Unregister(service, NodeId.Parse("b")))!.Value.Result);
    }

    [Fact]
    public void Tree_moves_where_the_provider_of_a_companion_stays_down_RMM40()
    {
        var lab = new ManagerLab("a", "b");
        lab.Add("x", "a,b");
        lab.Add("y", "a,b", with: "x");
        lab.BecomesPrimary("x", "a", 1);
        lab.Reports("b", "x");
        lab.Reports("b", "y");
        lab.Run(11);
        lab.Reports("a", "y", isUp: false, detail: "it crashed");
        lab.Run(5);
        Assert.Empty(lab.Yields);
        lab.Run(10);
        Assert.Equal(NodeId.Parse("b"), Assert.Single(lab.Yields).Successor);
    }
}
