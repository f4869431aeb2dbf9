using Carillon.Protocols.AtomicMulticast;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>What a sequencer tells a reader, and when it does not (SAM-86): docs/protocols/atomic-multicast.md, "Reads".</summary>
public sealed class ReadNumberTests
{
    private static readonly NodeId S1 = NodeId.Parse("s1");
    private static readonly NodeId S2 = NodeId.Parse("s2");

    [Fact]
    public void Sequencer_tells_what_was_acknowledged_to_anybody_before_it_was_asked_SAM_86()
    {
        GroupLab lab = Led();
        for (ulong counter = 1; counter <= 20; counter++)
        {
            lab.Publish(S1, Message(counter), counter - 1);
            Assert.True(lab.RunUntil(() => lab.Acknowledged.ContainsKey(Message(counter)), TimeSpan.FromSeconds(1)));
            Assert.True(lab["s2"].Ask(counter));
            Assert.True(lab.RunUntil(() => lab["s2"].Told.Count == (int)counter, TimeSpan.FromSeconds(1)));
            Assert.Equal((counter, new SequenceNumber(lab.Acknowledged[Message(counter)])), lab["s2"].Told[^1]);
        }
    }

    [Fact]
    public void Sequencer_whose_lease_has_ended_tells_nobody_how_far_it_has_committed_SAM_86()
    {
        GroupLab lab = Led();
        lab["s1"].EndLease(TimeSpan.FromMilliseconds(20));

        // It is cut off and believes that it leads; the others elect another one, which commits more.
        lab.Run(TimeSpan.FromMilliseconds(30));
        lab.Isolate(S1);
        lab.Elect("s2");
        lab.Run(TimeSpan.FromMilliseconds(100));
        lab.Publish(S2, Message(1), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 1, TimeSpan.FromSeconds(1)));
        Assert.Equal(SequencerState.Leading, lab["s1"].Core.SequencerState);
        lab["s1"].Ask(1);
        Assert.Equal((1UL, (SequenceNumber?)null), Assert.Single(lab["s1"].Told));

        // Its voters that come back meanwhile are told the same.
        lab.Cut.Clear();
        lab.Drop = (from, to, type) => to == NodeId.Parse("s3") && type != GroupMessageType.NumberAnswer;
        byte[] question = GroupCodec.Encode(GroupName.Parse("g"), new NumberQueryMessage(7));
        lab["s1"].Input(now => lab["s1"].Core.Receive(NodeId.Parse("s3"), question, now));
        lab.Run(TimeSpan.FromMilliseconds(5));
        Assert.Equal((7UL, (SequenceNumber?)null), Assert.Single(lab["s3"].Told));
    }

    [Fact]
    public void New_sequencer_tells_nothing_before_all_that_it_recovered_is_committed_in_its_epoch_SAM_86()
    {
        GroupLab lab = Led();

        // Committed and acknowledged; the others have it, and do not know that it is committed.
        lab.Drop = (from, to, type) => type is GroupMessageType.Gossip;
        lab.Publish(S1, Message(1), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 1, TimeSpan.FromSeconds(1)));
        Assert.Equal(0UL, lab["s2"].Core.Committed.Value);
        lab["s1"].Crash();
        lab.Drop = (from, to, type) => type == GroupMessageType.Ack;
        lab.Elect("s2");
        Assert.True(lab.RunUntil(() => lab["s2"].Core.SequencerState == SequencerState.Leading, TimeSpan.FromSeconds(1)));
        lab["s2"].Ask(1);
        Assert.Equal((1UL, (SequenceNumber?)null), lab["s2"].Told[^1]);
        lab.Drop = null;
        Assert.True(lab.RunUntil(() => lab["s2"].Core.Committed.Value == 1, TimeSpan.FromSeconds(1)));
        lab["s2"].Ask(2);
        Assert.Equal((2UL, new SequenceNumber(1)), lab["s2"].Told[^1]);
    }

    [Fact]
    public void Sequencer_with_a_change_of_the_configuration_under_way_tells_nothing_SAM_86()
    {
        GroupLab lab = Led();
        lab.Changes.Add(Message(2));
        lab.Publish(S1, Message(1), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 1, TimeSpan.FromSeconds(1)));

        // Under the version that it makes others may commit without any voter of this one.
        lab.Drop = (from, to, type) => type == GroupMessageType.Ack;
        lab.Publish(S1, Message(2), 1);
        lab.Run(TimeSpan.FromMilliseconds(20));
        lab["s1"].Ask(1);
        Assert.Equal((1UL, (SequenceNumber?)null), lab["s1"].Told[^1]);

        // It is delivered, and made no other version: another one was ahead of it.
        lab.Drop = null;
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 2, TimeSpan.FromSeconds(1)));
        lab["s1"].Ask(2);
        Assert.Equal((2UL, new SequenceNumber(2)), lab["s1"].Told[^1]);
    }

    [Fact]
    public void Member_that_knows_no_sequencer_asks_nobody()
    {
        var lab = new GroupLab(1, 3);
        lab.StartAll();
        Assert.False(lab["s2"].Ask(1));
    }

    private static GroupLab Led()
    {
        var lab = new GroupLab(1, 3) { Reelects = false, IsExact = true };
        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(50));
        Assert.Equal(SequencerState.Leading, lab["s1"].Core.SequencerState);
        return lab;
    }

    private static MessageId Message(ulong counter) => new(new SessionId(7, 1), counter);
}
