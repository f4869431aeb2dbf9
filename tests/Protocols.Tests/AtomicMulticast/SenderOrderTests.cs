using Carillon.Protocols.AtomicMulticast;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>Groups that keep each sender's order (SAM-83): docs/protocols/atomic-multicast.md, "Senders' order".</summary>
public sealed class SenderOrderTests
{
    private static readonly NodeId S1 = NodeId.Parse("s1");
    private static readonly NodeId S2 = NodeId.Parse("s2");

    [Fact]
    public void Message_that_comes_before_an_earlier_one_of_its_sender_waits_for_it_SAM_83()
    {
        GroupLab lab = Led();

        // The first one is lost on all its ways, and is repeated after a while.
        lab.Drop = (from, _, type) => from == S2 && type is GroupMessageType.Data or GroupMessageType.Request;
        lab.Publish(S2, Message(1), 0);
        lab.Run(TimeSpan.FromMilliseconds(20));
        lab.Drop = null;
        for (ulong counter = 2; counter <= 5; counter++)
        {
            lab.Publish(S2, Message(counter), 0);
        }

        MessageId other = new(new SessionId(7, 2), 1);
        lab.Publish(S1, other, 0);
        lab.Run(TimeSpan.FromMilliseconds(60));
        Assert.Equal(other, Assert.Single(lab.Acknowledged).Key);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 6, TimeSpan.FromSeconds(2)));
        Assert.Equal([2UL, 3, 4, 5, 6], Enumerable.Range(1, 5).Select(c => lab.Acknowledged[Message((ulong)c)]));
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Message_that_never_comes_is_passed_over_after_a_while_and_is_overtaken_when_it_comes_all_the_same_SAM_83()
    {
        GroupLab lab = Led();
        lab.Publish(S2, Message(2), 0);
        lab.Publish(S2, Message(3), 0);
        lab.Publish(S2, Message(6), 0);
        lab.Run(lab.Options.FifoPatience - TimeSpan.FromMilliseconds(100));
        Assert.Empty(lab.Acknowledged);
        lab.Run(TimeSpan.FromMilliseconds(400));
        Assert.Equal([Message(2), Message(3)], lab.Acknowledged.OrderBy(a => a.Value).Select(a => a.Key));

        // What its sender says about the others lets the last one go on at once.
        lab.Publish(S2, Message(7), 5);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 4, TimeSpan.FromSeconds(1)));
        Assert.Equal((3UL, 4UL), (lab.Acknowledged[Message(6)], lab.Acknowledged[Message(7)]));
        Assert.Equal(PublishAnswer.Numbered, lab.Publish(S1, Message(1), 0));
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Overtaken_message_is_told_to_its_sender_wherever_it_comes_SAM_83()
    {
        GroupLab lab = Led();
        lab.Publish(S1, Message(2), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 1, TimeSpan.FromSeconds(8)));
        Assert.Equal(PublishAnswer.Overtaken, lab.Publish(S1, Message(1), 0));

        // At a server that does not know of the later one yet, a data server's word or its own table tells it.
        lab.Isolate(S2);
        lab.Publish(S1, Message(4), 3);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 2, TimeSpan.FromSeconds(2)));
        lab.Cut.Clear();
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S2, Message(3), 0));
        Assert.True(lab.RunUntil(() => lab.Ended.ContainsKey(Message(3)), TimeSpan.FromSeconds(2)));
        Assert.NotEqual(SendVerdict.Expired, lab.Ended[Message(3)]);
        Assert.DoesNotContain(Message(3), lab.Acknowledged.Keys);
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void New_sequencer_goes_on_in_each_senders_order_SAM_83()
    {
        GroupLab lab = Led();
        lab.Publish(S2, Message(1), 0);
        lab.Publish(S2, Message(2), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 2, TimeSpan.FromSeconds(1)));
        lab.Publish(S2, Message(4), 0);
        lab.Run(TimeSpan.FromMilliseconds(50));
        lab["s1"].Crash();
        lab.Elect("s3");
        lab.Run(TimeSpan.FromMilliseconds(300));
        Assert.Equal(SequencerState.Leading, lab["s3"].Core.SequencerState);
        Assert.Equal(2, lab.Acknowledged.Count);
        lab.Publish(S2, Message(3), 0);
        Assert.True(lab.RunUntil(() => lab.Acknowledged.Count == 4, TimeSpan.FromSeconds(1)));
        Assert.Equal((3UL, 4UL), (lab.Acknowledged[Message(3)], lab.Acknowledged[Message(4)]));
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Session_table_of_an_ordered_group_lets_a_message_do_nothing_behind_a_later_one_SAM_83()
    {
        var table = new SessionTable(10, isFifo: true);
        Assert.True(table.Apply(Value(1, 2, 0)));
        Assert.Equal(SessionVerdict.Overtaken, table.Judge(Message(1), 5, out _));
        Assert.False(table.IsFirst(Value(1, 1, 0)));
        Assert.False(table.Apply(Value(1, 1, 0)));
        Assert.Equal((2UL, 0UL), (table.LastOf(new SessionId(7, 1)), table.LastOf(new SessionId(7, 9))));
        Assert.True(table.Apply(Value(1, 4, 3)));
        Assert.Equal(SessionVerdict.Numbered, table.Judge(Message(3), 5, out _));

        // The same from its bytes; and in a group that keeps no order both count.
        Assert.True(SessionTable.TryRead(table.Serialize(), 10, out SessionTable read, isFifo: true));
        Assert.False(read.Copy().Apply(Value(1, 3, 0)));
        var other = new SessionTable(10);
        Assert.True(other.Apply(Value(1, 2, 0)));
        Assert.True(other.Apply(Value(1, 1, 0)));

        // One as old as a lifetime may have had a number before its session was retired.
        for (ulong counter = 1; counter <= 20; counter++)
        {
            table.Apply(Value(2, counter, counter - 1));
        }

        Assert.True(table.Apply(Value(1, 8, 6)));
        Assert.Equal(SessionVerdict.Expired, table.Judge(Message(7), 2, out _));
        Assert.Equal(SessionVerdict.Overtaken, table.Judge(Message(7), 20, out _));
    }

    private static GroupLab Led()
    {
        var lab = new GroupLab(1, 3) { Reelects = false, IsExact = true, Settings = new GroupSettings { Fifo = true } };
        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(50));
        Assert.Equal(SequencerState.Leading, lab["s1"].Core.SequencerState);
        return lab;
    }

    private static MessageId Message(ulong counter) => new(new SessionId(7, 1), counter);

    private static Assignment Value(ulong session, ulong counter, ulong settled) =>
        new(new MessageId(new SessionId(7, session), counter), default, settled);
}
