using Carillon.Protocols.Cluster;
using Carillon.Protocols.Tests.Membership;
using Xunit;

namespace Carillon.Protocols.Tests.Vocabulary;

/// <summary>VE-42: a simple majority by default. VE-43: settable. VE-67: never so small that two quorums can miss each other.</summary>
public sealed class QuorumTests
{
    [Fact]
    public void Quorum_by_default_is_a_simple_majority_VE42()
    {
        for (int servers = 1; servers <= ClusterConfiguration.MaxServers; servers++)
        {
            Assert.Equal((servers / 2) + 1, MembershipLab.ConfigurationOf(servers, servers).Quorum.Size);
        }
    }

    [Fact]
    public void Any_two_quorums_share_a_server_VE67()
    {
        for (int voters = 1; voters <= 7; voters++)
        {
            for (int size = Quorum.Majority(voters); size <= voters; size++)
            {
                var quorum = new Quorum(voters, size);
                var sets = Enumerable.Range(0, 1 << voters).Select(bits => new VoterSet((ulong)bits));
                VoterSet[] reached = [.. sets.Where(quorum.IsReachedBy)];
                Assert.NotEmpty(reached);
                Assert.All(reached, a => Assert.All(reached, b => Assert.True((a & b).Count > 0)));
            }
        }
    }

    [Fact]
    public void Quorum_outside_of_majority_and_all_is_refused_VE43_VE67()
    {
        for (int voters = 0; voters <= 9; voters++)
        {
            for (int size = 0; size <= voters + 1; size++)
            {
                bool good = size > voters / 2 && size <= voters;
                if (good)
                {
                    Assert.Equal(size, new Quorum(voters, size).Size);
                }
                else
                {
                    Assert.Throws<InvariantBrokenException>(() => new Quorum(voters, size));
                }
            }
        }
    }

    [Fact]
    public void Quorum_is_impossible_exactly_when_all_undecided_together_would_not_reach_it()
    {
        var quorum = new Quorum(5, 3);
        for (ulong yes = 0; yes < 32; yes++)
        {
            for (ulong undecided = 0; undecided < 32; undecided++)
            {
                bool reachable = quorum.IsReachedBy(new VoterSet(yes) | new VoterSet(undecided));
                Assert.Equal(!reachable, quorum.IsImpossible(new VoterSet(yes), new VoterSet(undecided)));
            }
        }
    }

    [Fact]
    public void VoterSet_holds_what_was_added_and_no_more()
    {
        var random = new RandomSource(5);
        for (int round = 0; round < 200; round++)
        {
            var model = new HashSet<int>();
            VoterSet set = default;
            for (int step = 0; step < 50; step++)
            {
                int bit = random.Below(64);
                bool add = random.Chance(0.6);
                set = add ? set.With(bit) : set.Without(bit);
                _ = add ? model.Add(bit) : model.Remove(bit);
                Assert.Equal(model.Count, set.Count);
                Assert.All(Enumerable.Range(0, 64), i => Assert.Equal(model.Contains(i), set.Contains(i)));
            }
        }
    }

    [Fact]
    public void VoterSet_has_no_place_for_a_server_that_does_not_vote()
    {
        Assert.Equal(default, default(VoterSet).With(-1));
        Assert.Equal(new VoterSet(ulong.MaxValue), new VoterSet(ulong.MaxValue).Without(-1));
        Assert.False(new VoterSet(ulong.MaxValue).Contains(-1));
        Assert.False(new VoterSet(ulong.MaxValue).Contains(64));
        Assert.Throws<InvariantBrokenException>(() => default(VoterSet).With(64));
    }

    [Fact]
    public void Configuration_orders_its_servers_and_gives_voters_their_bits()
    {
        ServerRecord Record(string name, bool entry) => new()
        {
            Name = NodeId.Parse(name), Disk = new DiskId(1), Host = "h", HttpPort = 1, TunnelPort = 2, DatagramPort = 3, Entry = entry,
        };
        var configuration = new ClusterConfiguration(
            "c", 1, [Record("s2", true), Record("s10", true), Record("s1", false), Record("a", true)]);

        Assert.Equal(["a", "s1", "s10", "s2"], configuration.Servers.Select(server => server.Name.Name));
        Assert.Equal(["a", "s10", "s2"], configuration.Voters.Select(voter => voter.Name));
        Assert.Equal(1, configuration.BitOf(NodeId.Parse("s10")));
        Assert.True(configuration.BitOf(NodeId.Parse("s1")) < 0);
        Assert.True(configuration.BitOf(NodeId.Parse("zz")) < 0);
        Assert.Null(configuration.Find(NodeId.Parse("zz")));
        Assert.Throws<InvariantBrokenException>(() => new ClusterConfiguration("c", 1, [Record("a", true), Record("a", true)]));
    }
}
