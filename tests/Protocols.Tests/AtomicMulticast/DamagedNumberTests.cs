using Carillon.Protocols.AtomicMulticast;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>A member whose disk can't read some committed numbers any more, when it delivers them again after a restart.</summary>
public sealed class DamagedNumberTests
{
    private static readonly NodeId S1 = NodeId.Parse("s1");

    [Theory]
    [InlineData(0)]
    [InlineData(0.3)]
    public void Damaged_number_is_fetched_delivered_and_put_back(double loss)
    {
        // It stood still for ever: the store said that nothing was there, and nobody was asked.
        GroupLab lab = Led();
        Publish(lab, 1, 600);
        LabMember s3 = Restarted(lab, [3, .. Enumerable.Range(100, 300).Select(n => (ulong)n), 600]);
        lab.Loss = loss;
        Publish(lab, 601, 5);
        Assert.True(lab.RunUntil(() => s3.LastDelivered == 605, TimeSpan.FromSeconds(30)));
        Assert.Empty(s3.Damaged);
        Assert.True(s3.Core.DamagedAt.IsNone);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void Damaged_number_that_no_server_has_is_named_and_holds_up_no_sender()
    {
        GroupLab lab = Led();
        Publish(lab, 1, 5);
        lab["s1"].Damaged.Add(3);
        lab["s2"].Damaged.Add(3);
        LabMember s3 = Restarted(lab, [3]);
        Assert.True(lab.RunUntil(() => s3.Core.DamagedAt.Value == 3, TimeSpan.FromSeconds(1)));

        // It has no room left, as far as it is; the others give numbers without it, and nobody is told to wait.
        s3.IsFull = true;
        int refused = lab.Counted.GetValueOrDefault(GroupMessageType.SendAnswer);
        Publish(lab, 6, 20);
        lab.Run(TimeSpan.FromSeconds(5));
        int asked = Queries(lab);
        lab.Run(TimeSpan.FromSeconds(20));
        Assert.Equal(refused, lab.Counted.GetValueOrDefault(GroupMessageType.SendAnswer));
        Assert.Equal((2UL, 3UL), (s3.LastDelivered, s3.Core.DamagedAt.Value));
        Assert.InRange(Queries(lab) - asked, 4, 10);

        lab["s2"].Damaged.Clear();
        Assert.True(lab.RunUntil(() => s3.LastDelivered == 25, TimeSpan.FromSeconds(10)));
        Assert.Empty(s3.Damaged);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void Damaged_number_that_others_have_collected_is_passed_over_with_a_checkpoint()
    {
        GroupLab lab = Led(new GroupSettings { RetainBytes = 1 });
        Publish(lab, 1, 8);
        Assert.True(lab.RunUntil(() => lab["s3"].Store.CommittedDurable.Value == 8, TimeSpan.FromSeconds(5)));
        lab["s3"].Crash();
        Publish(lab, 9, 200);
        lab.Run(TimeSpan.FromSeconds(20));
        Assert.True(lab["s1"].Core.First.Value > 10);
        lab["s3"].Damaged.Add(3);
        lab["s3"].Start();
        Assert.True(lab.RunUntil(() => lab["s3"].LastDelivered == 208, TimeSpan.FromSeconds(10)));
        Assert.Contains(lab["s3"].Events, e => e is GroupEvent.Skipped { From.Value: 3 });
        Assert.True(lab["s3"].Core.DamagedAt.IsNone);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    [Fact]
    public void Damaged_duplicate_is_not_taken_for_its_message()
    {
        // Others keep no payload of a duplicate: the two answers have the same id and hash.
        var lab = new GroupLab(1, 3) { IsExact = true, Reelects = false };
        Assignment first = Message(1, out byte[] payload);
        Assignment second = Message(2, out byte[] other);
        lab.Published.Add(first.Id, payload);
        lab.Published.Add(second.Id, other);
        lab.IsSettled = id => id == first.Id;
        foreach (LabMember member in lab.Members.Values)
        {
            member.Hold(new LabSegments(0, [(first, payload), (first, default), (second, other)], 0));
        }

        lab["s3"].Damaged.UnionWith([1, 2, 3]);
        lab.StartAll();
        Assert.True(lab.RunUntil(() => lab["s3"].LastDelivered == 3, TimeSpan.FromSeconds(2)));
        Assert.Empty(lab["s3"].Damaged);
        Assert.True(lab.Faults.Count == 0, string.Join("; ", lab.Faults));
    }

    private static int Queries(GroupLab lab) =>
        lab.Counted.GetValueOrDefault(GroupMessageType.CommitQuery) + lab.Counted.GetValueOrDefault(GroupMessageType.DataQuery);

    private static Assignment Message(ulong counter, out byte[] payload)
    {
        payload = [7, (byte)counter];
        return new Assignment(Id(counter), Digest.Of(payload), 0);
    }

    private static LabMember Restarted(GroupLab lab, ulong[] damaged)
    {
        Assert.True(lab.RunUntil(() => lab["s3"].Store.CommittedDurable == lab["s1"].Core.Committed, TimeSpan.FromSeconds(5)));
        LabMember s3 = lab["s3"];
        s3.Crash();
        s3.CutLog();
        s3.Damaged.UnionWith(damaged);
        s3.Start();
        return s3;
    }

    private static void Publish(GroupLab lab, ulong first, int count)
    {
        for (ulong counter = first; counter < first + (ulong)count; counter++)
        {
            lab.Publish(S1, Id(counter), counter - 1);
            Assert.True(lab.RunUntil(() => lab.Acknowledged.ContainsKey(Id(counter)), TimeSpan.FromSeconds(5)));
        }
    }

    private static GroupLab Led(GroupSettings? settings = null)
    {
        var lab = new GroupLab(1, 3) { Reelects = false };
        if (settings is not null)
        {
            lab = new GroupLab(1, 3)
            {
                Reelects = false, Settings = settings, Options = new GroupOptions { CheckpointEvery = 10, RetainNumbers = 0 },
            };
        }

        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(50));
        Assert.Equal(SequencerState.Leading, lab["s1"].Core.SequencerState);
        return lab;
    }

    private static MessageId Id(ulong counter) => new(new SessionId(7, 1), counter);
}
