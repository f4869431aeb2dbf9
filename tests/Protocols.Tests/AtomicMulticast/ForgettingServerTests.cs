using Carillon.Protocols.AtomicMulticast;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>Servers that have lost what they acknowledged: those of a memory-only group by a restart, those with a new disk.</summary>
public sealed class ForgettingServerTests
{
    private static readonly NodeId S1 = NodeId.Parse("s1");
    private static readonly NodeId S2 = NodeId.Parse("s2");

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Memory_only_server_that_forgot_votes_again_once_it_has_what_was_recovered_and_not_before(bool isKnownToOne)
    {
        var memory = new GroupSettings { Durability = GroupDurability.Memory };
        var lab = new GroupLab(1, 3) { Settings = memory, IsExact = true, Reelects = false };
        Lead(lab);

        // A message that s1 and s2 acknowledged; isKnownToOne: s1 alone knows that it is committed, so that a recovery leaves it below its
        // base.
        lab.Isolate(NodeId.Parse("s3"));
        lab.Drop = (_, to, type) => to == S2 && isKnownToOne && type is GroupMessageType.Gossip;
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.Contains(Message(1, 1), lab.Acknowledged.Keys);
        Forget(lab, S2, leader: "s3");
        Assert.True(lab["s2"].Core.HasForgotten);

        // A second one forgets before the first has it again: two of three would know nothing, so the group says that it is lost.
        LabMember s1 = lab["s1"];
        s1.Crash();
        s1.Start();
        lab.Isolate(NodeId.Parse("s3"));
        lab.Drop = null;
        lab.Elect("s1");
        lab.Run(TimeSpan.FromSeconds(1));
        lab.Publish(S1, Message(2, 1), 0);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Contains(s1.Events, e => e is GroupEvent.CannotLead { IsLost: true });
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void Memory_only_servers_that_forget_one_after_another_lose_nothing()
    {
        var memory = new GroupSettings { Durability = GroupDurability.Memory };
        var lab = new GroupLab(1, 3) { Settings = memory, IsExact = true, Reelects = false };
        Lead(lab);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(100));
        foreach ((NodeId victim, string leader) in new[] { (S2, "s3"), (S1, "s2"), (NodeId.Parse("s3"), "s1") })
        {
            Forget(lab, victim, leader);
            lab.Drop = null;
            lab.Run(TimeSpan.FromSeconds(1));
            Assert.False(lab.Members[victim].Core.HasForgotten);
            Assert.Equal(1UL, lab.Members[victim].Core.Delivered.Value);
        }

        lab.CheckAcknowledged();
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void New_disk_votes_again_under_its_version_once_it_has_durably_what_was_recovered_and_not_before()
    {
        // Seed 341 with changes: what it had delivered, and not on its disk, was lost again, and with it a majority's knowledge.
        var lab = new GroupLab(1, 3) { IsExact = true, Reelects = false };
        Lead(lab);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(500));
        LabMember s2 = lab["s2"];
        ReplaceDisk(lab, s2);

        // The word of who leads under the version before says nothing of what the lost disk acknowledged last.
        Assert.True(lab.RunUntil(() => s2.Core.Delivered.Value == 1, TimeSpan.FromSeconds(2)));
        lab.Run(TimeSpan.FromSeconds(2));
        Assert.True(s2.Core.HasForgotten);
        Assert.Equal(0UL, s2.Core.DurableWanted);

        s2.Crash();
        s2.ReplaceDisk();
        s2.Start();
        s2.Core.ForgetLostDisk();
        TellVersion(lab, "s1", "s3");

        lab.Elect("s3");
        Assert.True(lab.RunUntil(() => s2.Core.DurableWanted == 1, TimeSpan.FromSeconds(2)));
        Assert.True(s2.Store.CommittedDurable.IsNone);
        Assert.True(s2.Core.HasForgotten);
        Assert.True(lab.RunUntil(() => !s2.Core.HasForgotten, TimeSpan.FromSeconds(2)));
        Assert.Equal(1UL, s2.Store.CommittedDurable.Value);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void Memory_only_group_of_which_a_new_disk_and_a_restarted_server_know_nothing_says_that_it_is_lost()
    {
        // The new disk said nothing at all, so that nobody ever knew that there is nothing to wait for.
        var memory = new GroupSettings { Durability = GroupDurability.Memory };
        var lab = new GroupLab(1, 3) { Settings = memory, IsExact = true, Reelects = false };
        Lead(lab);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(100));
        LabMember s1 = lab["s1"];
        LabMember s2 = lab["s2"];
        s1.Crash();
        s2.Crash();
        s2.ReplaceDisk();
        lab.Roles = lab.Roles with { Configuration = 2 };
        s1.Start();
        s2.Start();
        s2.Core.ForgetLostDisk();
        TellVersion(lab, "s3");
        lab.Elect("s3");
        lab.Run(TimeSpan.FromSeconds(2));
        Assert.Contains(lab["s3"].Events, e => e is GroupEvent.CannotLead { IsLost: true });
    }

    [Fact]
    public void New_disk_of_two_voters_votes_at_once_since_no_sequencer_recovers_without_it()
    {
        // It waited for one that had recovered, which waited for its promise. What was committed is at the other one.
        var lab = new GroupLab(1, 2) { IsExact = true, Reelects = false };
        Lead(lab);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(500));
        LabMember s1 = lab["s1"];
        LabMember s2 = lab["s2"];
        ReplaceDisk(lab, s2);
        TellVersion(lab, "s1");
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.Equal(SequencerState.Leading, s1.Core.SequencerState);
        lab.Publish(S1, Message(1, 2), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.ContainsKey(Message(1, 2)), TimeSpan.FromSeconds(1)));
        Assert.True(lab.RunUntil(() => !s2.Core.HasForgotten, TimeSpan.FromSeconds(2)));
        Assert.Equal(2UL, s2.Core.Delivered.Value);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void New_disk_of_a_memory_only_group_that_voted_and_was_restarted_waits_for_an_epoch_that_rests_on_nothing_of_it()
    {
        var memory = new GroupSettings { Durability = GroupDurability.Memory };
        var lab = new GroupLab(1, 3) { Settings = memory, IsExact = true, Reelects = false };
        Lead(lab);
        LabMember s2 = lab["s2"];
        ReplaceDisk(lab, s2);
        TellVersion(lab, "s1", "s3");

        lab.Elect("s1");
        Assert.True(lab.RunUntil(() => !s2.Core.HasForgotten, TimeSpan.FromSeconds(2)));
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.False(s2.Core.Promised.IsNone);

        s2.Crash();
        s2.Start();
        s2.Core.ForgetLostDisk();
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.True(s2.Core.HasForgotten);
        Assert.Contains(lab["s1"].Events, e => e is GroupEvent.Deposed);
        lab.Elect("s3");
        Assert.True(lab.RunUntil(() => !s2.Core.HasForgotten, TimeSpan.FromSeconds(2)));
        Assert.Equal(1UL, s2.Core.Delivered.Value);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    // It forgets, and hears of the next sequencer nothing but that it leads.
    private static void Forget(GroupLab lab, NodeId victim, string leader)
    {
        lab.Members[victim].Crash();
        lab.Members[victim].Start();
        lab.Cut.Clear();
        lab.Drop = (_, to, type) => to == victim && type is not GroupMessageType.Gossip;
        lab.Elect(leader);
        lab.Run(TimeSpan.FromMilliseconds(500));
        Assert.Equal(SequencerState.Leading, lab[leader].Core.SequencerState);
    }

    /// <summary>A server starts under version 2 with an empty disk; the others have not heard of that version.</summary>
    private static void ReplaceDisk(GroupLab lab, LabMember server)
    {
        server.Crash();
        server.ReplaceDisk();
        lab.Roles = lab.Roles with { Configuration = 2 };
        server.Start();
        server.Core.ForgetLostDisk();
    }

    private static void TellVersion(GroupLab lab, params string[] servers)
    {
        foreach (string name in servers)
        {
            lab[name].Input(now => lab[name].Core.SetRoles(lab.Roles, now));
        }
    }

    private static void Lead(GroupLab lab)
    {
        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(50));
        Assert.Equal(SequencerState.Leading, lab["s1"].Core.SequencerState);
    }

    private static MessageId Message(ulong session, ulong counter) => new(new SessionId(7, session), counter);
}
