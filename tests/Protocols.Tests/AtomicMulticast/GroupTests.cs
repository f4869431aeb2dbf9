using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Wire;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>Single rules of docs/protocols/atomic-multicast.md.</summary>
public sealed class GroupTests
{
    private static readonly NodeId S1 = NodeId.Parse("s1");
    private static readonly NodeId S2 = NodeId.Parse("s2");

    [Theory]
    [InlineData(3)]
    [InlineData(10)]
    [InlineData(100)]
    [InlineData(1000)]
    public void Datagrams_of_a_message_are_as_many_whatever_the_number_of_receivers(int receivers)
    {
        var lab = new GroupLab(1, 3, receivers);
        Lead(lab);
        lab.Run(TimeSpan.FromMilliseconds(200));
        lab.Counted.Clear();
        for (ulong counter = 1; counter <= 10; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
            lab.Run(TimeSpan.FromMilliseconds(40));
        }

        Assert.True(lab.Members.Values.All(m => m.Core.Delivered.Value == 10));
        lab.Counted.Remove(GroupMessageType.Gossip);

        // Of each message: Data, Assign and Commit once each, and an acknowledgement of each of the other two servers (SAM-35).
        Assert.Equal(
            "Data 10, Assign 10, Ack 20, Commit 10",
            string.Join(", ", lab.Counted.Select(c => $"{c.Key} {c.Value}")));
    }

    [Theory]
    [InlineData(3)]
    [InlineData(10)]
    [InlineData(100)]
    [InlineData(1000)]
    public void Datagrams_of_a_batch_are_those_of_one_message(int receivers)
    {
        var lab = new GroupLab(1, 3, receivers);
        Lead(lab);
        lab.Run(TimeSpan.FromMilliseconds(200));
        lab.Counted.Clear();
        long records = lab.Members.Values.Sum(m => m.Core.Figures.Records);
        lab[S1.Name].Input(now =>
        {
            for (ulong counter = 1; counter <= 100; counter++)
            {
                byte[] payload = lab.Published[Message(1, counter)] = new byte[100];
                lab[S1.Name].Core.Publish(Message(1, counter), counter - 1, null, payload, now, out _);
            }
        });
        lab.Run(TimeSpan.FromMilliseconds(40));
        Assert.True(lab.Members.Values.All(m => m.Core.Delivered.Value == 100));
        lab.Counted.Remove(GroupMessageType.Gossip);
        Assert.Equal("Data 1, Assign 1, Ack 2, Commit 1", string.Join(", ", lab.Counted.Select(c => $"{c.Key} {c.Value}")));

        // One record of assignments on each of the three servers.
        Assert.Equal(3, lab.Members.Values.Sum(m => m.Core.Figures.Records) - records);
    }

    [Fact]
    public void Receivers_that_all_miss_a_commit_ask_once_or_twice_each_and_get_it()
    {
        var lab = new GroupLab(1, 3, 200) { Settings = new GroupSettings() };
        Lead(lab);
        lab.Drop = (_, to, type) => type == GroupMessageType.Commit && lab.Clients.Contains(to);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.True(lab.Members.Values.All(m => m.Core.Delivered.Value == 1));
        Assert.True(lab.Members.Values.All(m => m.Core.Figures.NumbersQueried <= 2 && m.Core.Figures.MessagesQueried == 0));
    }

    [Fact]
    public void Lost_data_and_lost_commit_take_two_queries_at_most_SAM_44()
    {
        var lab = new GroupLab(1, 3, 1);
        Lead(lab);
        lab.Drop = (from, to, type) => from == S1 && to == lab.Clients[0] && type is GroupMessageType.Commit or GroupMessageType.Data;
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromSeconds(1));
        GroupMember client = lab["c1"].Core;
        Assert.Equal(1u, client.Delivered.Value);
        Assert.InRange(client.Figures.NumbersQueried, 1, 3);
        Assert.InRange(client.Figures.MessagesQueried, 1, 3);
    }

    [Fact]
    public void Repetition_keeps_the_timestamp_of_the_first_sending_SAM_58()
    {
        var lab = new GroupLab(1, 3);
        Lead(lab);
        var stamps = new List<ulong>();
        lab.Watch = message =>
        {
            var reader = new WireReader(message.Span);
            if (GroupCodec.TryReadHead(ref reader, out GroupMessageType type, out _) && type == GroupMessageType.Data
                && DataMessage.TryRead(ref reader, message, out DataMessage data) && data.Run.Span[0].Id == Message(2, 1))
            {
                stamps.Add(data.Run.Span[0].Timestamp);
            }
        };
        lab.Drop = (from, to, type) =>
            (from.Name == "s2" && type is GroupMessageType.Data or GroupMessageType.Request) || type == GroupMessageType.DataQuery;
        lab.Publish(NodeId.Parse("s2"), Message(2, 1), 0);
        for (ulong counter = 1; counter <= 20; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
            lab.Run(TimeSpan.FromMilliseconds(50));
        }

        Assert.True(stamps.Count >= 2);
        Assert.All(stamps, stamp => Assert.Equal(0u, stamp));
    }

    [Fact]
    public void State_machine_that_differs_is_an_alarm_and_its_checkpoint_is_not_advertised_SAM_79()
    {
        var lab = new GroupLab(1, 3) { HasApplication = true, Options = new GroupOptions { CheckpointEvery = 10 } };
        Lead(lab);
        lab["s3"].IsBroken = true;
        lab.Drop = (from, _, type) => from.Name == "s2" && type == GroupMessageType.CheckpointReport;
        for (ulong counter = 1; counter <= 15; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
        }

        lab.Run(TimeSpan.FromSeconds(3));
        Assert.Contains(lab["s1"].Events, e => e is GroupEvent.CheckpointsDiffer { Number.Value: 10 });
        Assert.True(lab.Members.Values.All(m => m.Core.Advertised.IsNone));
    }

    [Fact]
    public void Member_that_was_away_longer_than_messages_are_kept_goes_on_behind_a_checkpoint_SAM_80()
    {
        var lab = new GroupLab(1, 3)
        {
            Options = new GroupOptions { CheckpointEvery = 10, RetainNumbers = 0 }, Settings = new GroupSettings { RetainBytes = 1 },
        };
        Lead(lab);
        lab["s3"].Crash();
        for (ulong counter = 1; counter <= 200; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
            lab.Run(TimeSpan.FromMilliseconds(5));
        }

        lab.Run(TimeSpan.FromSeconds(20));
        Assert.True(lab["s1"].Core.First.Value > 10);
        lab["s3"].Start();
        lab.Run(TimeSpan.FromSeconds(3));
        Assert.Equal(200u, lab["s3"].Core.Delivered.Value);
        Assert.Contains(lab["s3"].Events, e => e is GroupEvent.Skipped);
        Assert.Empty(lab.Faults);
    }

    [Theory]
    [InlineData("s1")]
    [InlineData("s2")]
    public void Member_asks_each_checkpoint_server_in_turn_and_has_the_blocks_of_the_one_that_answers(string silent)
    {
        var lab = new GroupLab(1, 3)
        {
            Options = new GroupOptions { CheckpointEvery = 10, RetainNumbers = 0 }, Settings = new GroupSettings { RetainBytes = 1 },
        };
        Lead(lab);
        lab["s3"].Crash();
        for (ulong counter = 1; counter <= 100; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
            lab.Run(TimeSpan.FromMilliseconds(5));
        }

        lab.Run(TimeSpan.FromSeconds(20));
        lab.Drop = (from, _, type) => from.Name == silent && type == GroupMessageType.BlockAnswer;
        lab["s3"].Start();
        lab.Run(TimeSpan.FromSeconds(3));
        Assert.Equal(100u, lab["s3"].Core.Delivered.Value);
        Assert.Contains(lab["s3"].Events, e => e is GroupEvent.Skipped);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Group_of_few_messages_is_kept_to_its_size_long_before_the_usual_checkpoint(bool isBusy)
    {
        var lab = new GroupLab(1, 3) { Settings = new GroupSettings { RetainBytes = 400 } };
        Lead(lab);
        lab["s3"].Crash();
        for (ulong counter = 1; counter <= 40; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
            lab.Run(TimeSpan.FromMilliseconds(isBusy ? 2 : 300));
        }

        lab.Run(TimeSpan.FromSeconds(5));
        foreach (string name in (string[])["s1", "s2"])
        {
            Assert.InRange(lab[name].Core.First.Value, 2u, 40u);
            Assert.True(lab[name].Store.CommittedBytes <= 400);
        }

        // Who was away meanwhile is not left at a dead end.
        lab["s3"].Start();
        lab.Run(TimeSpan.FromSeconds(3));
        Assert.Equal(40u, lab["s3"].Core.Delivered.Value);
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Sequencer_does_without_the_answer_of_a_dead_holder_while_a_majority_remains()
    {
        var lab = new GroupLab(1, 3) { Reelects = false, Options = new GroupOptions { RecoveryPatience = TimeSpan.FromMilliseconds(300) } };
        Lead(lab);

        // The message is at s1 and, by its assignment's rule, nowhere else.
        lab.Drop = (from, _, type) => from == S1 && type is GroupMessageType.Data;
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(30));
        lab.Elect("s2");
        Assert.True(lab.RunUntil(() => lab["s2"].Core.SequencerState != SequencerState.Recovering, TimeSpan.FromSeconds(5)));
        lab["s1"].Crash();
        Assert.Equal(SequencerState.Leading, lab["s2"].Core.SequencerState);
        lab.Publish(NodeId.Parse("s3"), Message(2, 1), 0);
        Assert.True(lab.RunUntil(() => lab["s3"].Core.Sending == 0, TimeSpan.FromSeconds(5)));
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Deposed_sequencer_commits_nothing_more_and_a_minority_acknowledges_nothing()
    {
        var lab = new GroupLab(1, 5) { Reelects = false };
        Lead(lab);
        foreach (string a in (string[])["s1", "s2"])
        {
            foreach (string b in (string[])["s3", "s4", "s5"])
            {
                lab.Cut.Add((NodeId.Parse(a), NodeId.Parse(b)));
            }
        }

        lab.Publish(S1, Message(1, 1), 0);
        lab.Elect("s3");
        lab.Publish(NodeId.Parse("s4"), Message(2, 1), 0);
        lab.Run(TimeSpan.FromSeconds(2));
        Assert.Equal(0u, lab["s1"].Core.Committed.Value);
        Assert.DoesNotContain(Message(1, 1), lab.Acknowledged.Keys);
        Assert.Equal(1u, lab.Acknowledged[Message(2, 1)]);
        lab.Cut.Clear();
        Assert.True(lab.RunUntil(() => lab.Acknowledged.ContainsKey(Message(1, 1)), TimeSpan.FromSeconds(5)));
        Assert.Contains(lab["s1"].Events, e => e is GroupEvent.Deposed);
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Sender_beyond_its_window_is_refused_and_nothing_is_kept_of_it_SAM_81()
    {
        var lab = new GroupLab(1, 3) { Options = new GroupOptions { SessionWindow = 4, SenderWindow = 6 } };
        lab.StartAll();
        for (ulong counter = 1; counter <= 4; counter++)
        {
            Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, counter), 0));
        }

        Assert.Equal(PublishAnswer.Refused, lab.Publish(S1, Message(1, 5), 0));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(2, 1), 0));
        Assert.Equal(PublishAnswer.Conflict, lab.Publish(S1, Message(2, 1), 0, payload: [1, 2, 3]));
        lab.Elect("s2");
        Assert.True(lab.RunUntil(() => lab["s1"].Core.Sending == 0, TimeSpan.FromSeconds(3)));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, 5), 4));
        Assert.Equal(PublishAnswer.Numbered, lab.Publish(S1, Message(1, 4), 0));
    }

    [Fact]
    public void Refused_message_is_not_overtaken_by_those_behind_it_where_senders_order_is_kept_SAM_83()
    {
        // A sender with more under way than the session's window had a third of its messages overtaken: when there was room again those
        // far behind took it, and waited for the refused ones until these were passed over.
        var lab = new GroupLab(1, 3)
        {
            Options = new GroupOptions { SessionWindow = 2, SenderWindow = 6 }, Settings = new GroupSettings { Fifo = true },
        };
        lab.StartAll();
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, 1), 0));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, 2), 0));
        Assert.Equal(PublishAnswer.Refused, lab.Publish(S1, Message(1, 3), 0));
        lab.Elect("s2");
        Assert.True(lab.RunUntil(() => lab["s1"].Core.Sending == 0, TimeSpan.FromSeconds(3)));
        Assert.Equal(PublishAnswer.Refused, lab.Publish(S1, Message(1, 4), 2));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(2, 1), 0));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, 3), 2));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, 4), 2));
        Assert.Equal(PublishAnswer.Refused, lab.Publish(S1, Message(1, 5), 2));

        // Given up by its sender, or never heard of again: nothing waits for it.
        Assert.True(lab.RunUntil(() => lab["s1"].Core.Sending == 0, TimeSpan.FromSeconds(3)));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, 6), 5));
    }

    [Fact]
    public void Id_of_a_committed_message_is_refused_to_another_content()
    {
        var lab = new GroupLab(1, 3);
        Lead(lab);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(100));
        foreach (string name in (string[])["s1", "s2", "s3"])
        {
            Assert.Equal(PublishAnswer.Numbered, lab.Publish(NodeId.Parse(name), Message(1, 1), 0));
            Assert.Equal(PublishAnswer.Conflict, lab.Publish(NodeId.Parse(name), Message(1, 1), 0, payload: [1, 2, 3]));
        }
    }

    [Fact]
    public void Sender_whose_id_another_content_gets_a_number_for_is_told_that_it_conflicts()
    {
        var lab = new GroupLab(1, 3);
        Lead(lab);
        lab.Isolate(S1);
        lab.Publish(S1, Message(1, 1), 0, payload: [1, 2, 3]);
        lab.Elect("s2");
        lab.Run(TimeSpan.FromMilliseconds(300));
        Assert.Equal(PublishAnswer.Taken, lab.Publish(NodeId.Parse("s2"), Message(1, 1), 0, payload: [4]));
        lab.Run(TimeSpan.FromMilliseconds(300));
        lab.Cut.Clear();
        lab.Run(TimeSpan.FromSeconds(5));
        Assert.Equal(SendVerdict.Conflict, lab.Ended[Message(1, 1)]);
    }

    [Fact]
    public void Memory_only_group_that_a_majority_has_forgotten_says_so()
    {
        var lab = new GroupLab(1, 3) { Settings = new GroupSettings { Durability = GroupDurability.Memory } };
        Lead(lab);
        lab.Publish(S1, Message(1, 1), 0);
        lab.Run(TimeSpan.FromMilliseconds(100));
        foreach (LabMember member in lab.Members.Values)
        {
            member.Crash();
        }

        lab.Reelects = false;
        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromSeconds(2));
        Assert.Contains(lab["s1"].Events, e => e is GroupEvent.CannotLead { IsLost: true });
        Assert.Equal(SequencerState.Idle, lab["s1"].Core.SequencerState);

        // One that only one server has forgotten goes on.
        var other = new GroupLab(2, 3) { Settings = new GroupSettings { Durability = GroupDurability.Memory } };
        Lead(other);
        other["s3"].Crash();
        other["s3"].Start();
        other.Elect("s2");
        other.Run(TimeSpan.FromSeconds(2));
        Assert.DoesNotContain(other["s2"].Events, e => e is GroupEvent.CannotLead);
        Assert.Equal(SequencerState.Leading, other["s2"].Core.SequencerState);
    }

    [Fact]
    public void Session_table_judges_by_state_and_retires_idle_sessions_only()
    {
        var table = new SessionTable(10);
        Assert.True(table.Apply(Value(1, 1, 0)));
        Assert.False(table.Apply(Value(1, 1, 0)));
        Assert.Equal(SessionVerdict.Numbered, table.Judge(Message(1, 1), 0, out ulong number));
        Assert.Equal(1u, number);
        Assert.True(table.Apply(Value(1, 3, 2)));
        Assert.Equal(SessionVerdict.Numbered, table.Judge(Message(1, 2), 0, out number));
        Assert.Equal(0u, number);
        Assert.False(table.Apply(Value(1, 2, 0)));
        for (ulong counter = 1; counter <= 11; counter++)
        {
            Assert.True(table.Apply(Value(2, counter, counter - 1)));
        }

        // Session 1 was idle for more than ten numbers: an old message of it can't be judged, a young one of a new session can.
        Assert.Equal(1, table.Count);
        Assert.Equal(SessionVerdict.Expired, table.Judge(Message(1, 3), 2, out _));
        Assert.Equal(SessionVerdict.Fresh, table.Judge(Message(3, 1), 14, out _));
        Assert.Equal(15u, table.Number);
    }

    [Fact]
    public void Session_table_that_is_full_retires_the_longest_idle_session_and_refuses_no_new_one()
    {
        const ulong Most = SessionTable.MaxSessions;
        var table = new SessionTable(1_000_000);
        for (ulong session = 1; session <= Most; session++)
        {
            Assert.True(table.Apply(Value(session, 1, 0)));
        }

        // The first is the youngest now, and the second gives way to a new one.
        Assert.True(table.Apply(Value(1, 2, 1)));
        Assert.Equal(SessionVerdict.Numbered, table.Judge(Message(2, 1), 0, out _));
        Assert.Equal(SessionVerdict.Fresh, table.Judge(Message(Most + 1, 1), table.Number, out _));
        Assert.True(table.Apply(Value(Most + 1, 1, 0)));
        Assert.True(SessionTable.TryRead(table.Serialize(), 1_000_000, out SessionTable read));
        SessionTable[] all = [table, read, table.Copy()];
        foreach (SessionTable each in all)
        {
            Assert.Equal((int)Most, each.Count);
            Assert.Equal(SessionVerdict.Expired, each.Judge(Message(2, 1), 1, out _));
            Assert.Equal(SessionVerdict.Expired, each.Judge(Message(2, 1), 2, out _));
            Assert.Equal(SessionVerdict.Fresh, each.Judge(Message(2, 2), 3, out _));
            Assert.Equal(SessionVerdict.Numbered, each.Judge(Message(3, 1), 0, out _));
            Assert.Equal(SessionVerdict.Numbered, each.Judge(Message(1, 2), 0, out _));
            Assert.True(each.Apply(Value(Most + 2, 1, 0)));
            Assert.Equal(SessionVerdict.Expired, each.Judge(Message(3, 1), 3, out _));
        }

        Assert.All(all, each => Assert.Equal(Digest.Of(table.Serialize()), Digest.Of(each.Serialize())));
    }

    [Fact]
    public void Lifetime_of_a_group_is_never_the_catalogs()
    {
        Assert.Empty(new GroupSettings { Lifetime = GroupSettings.MaxLifetime }.Validate());
        Assert.Single(new GroupSettings { Lifetime = GroupSettings.MaxLifetime + 1 }.Validate());
        Assert.Single(new GroupSettings { Lifetime = SessionTable.NoLifetime }.Validate());
    }

    [Fact]
    public void Catalogs_sessions_never_retire()
    {
        var table = new SessionTable(SessionTable.NoLifetime);
        for (ulong i = 1; i <= 2000; i++)
        {
            table.Apply(Value(i, 1, 0));
        }

        Assert.Equal(SessionVerdict.Numbered, table.Judge(Message(1, 1), 0, out _));
    }

    [Fact]
    public void Quorums_are_a_majority_and_its_complement()
    {
        var roles = new GroupRoles
        {
            Configuration = 1, Servers = [S1],
            Commit = new VoterSet(0b11111), Data = new VoterSet(0b1111), Checkpoint = new VoterSet(0b111),
        };
        Assert.Equal((3, 2, 2), (roles.CommitQuorum, roles.DataQuorum, roles.CheckpointQuorum));
        Assert.False(roles.IsShortCut);
        Assert.True((roles with { Data = new VoterSet(0b11111) }).IsShortCut);
    }

    [Fact]
    public void Log_that_was_cut_starts_the_same_server()
    {
        var lab = new GroupLab(4, 3) { Options = new GroupOptions { CheckpointEvery = 10, RetainNumbers = 2 } };
        Lead(lab);
        for (ulong counter = 1; counter <= 25; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
        }

        lab.Run(TimeSpan.FromSeconds(3));
        lab["s2"].CutLog();
        lab["s2"].Crash();
        lab["s2"].Start();
        lab.Elect("s2");
        lab["s3"].Crash();
        lab.Publish(S1, Message(1, 26), 25);
        Assert.True(lab.RunUntil(() => lab["s2"].Core.Delivered.Value == 26, TimeSpan.FromSeconds(5)));
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Request_that_comes_with_the_last_acknowledgement_gets_no_second_number()
    {
        var lab = new GroupLab(1, 3);
        Lead(lab);
        lab.Drop = (_, _, type) => type is GroupMessageType.Ack or GroupMessageType.Request;
        MessageId id = Message(1, 1);
        lab.Publish(S1, id, 0);
        lab.Run(TimeSpan.FromMilliseconds(20));
        GroupMember core = lab["s1"].Core;
        byte[] payload = lab.Published[id];
        GroupData[] requested = [new GroupData(id, Digest.Of(payload), 0, 0, payload)];
        NodeId other = NodeId.Parse("s2");

        // The number is committed by the first and applied only at the next flush: in between the message looks fresh.
        Receive(new AckMessage(lab.Roles.Configuration, new Protocols.Primacy.Epoch(lab.LastEpoch), 1, 0, default));
        Receive(new NumberRequestMessage(lab.Roles.Configuration, requested));
        core.Flush(lab.LocalNow);
        lab.Drop = null;
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(1u, core.Delivered.Value);
        Assert.Equal(1, core.Figures.Assigned);

        void Receive<T>(in T message)
            where T : IGroupMessage =>
            Assert.True(core.Receive(other, GroupCodec.Encode(GroupName.Parse("g"), message), lab.LocalNow));
    }

    [Fact]
    public void Message_that_was_settled_in_front_of_its_number_is_not_needed_by_a_recovery_after_all_stopped()
    {
        var lab = new GroupLab(1, 3) { IsExact = true, Reelects = false };
        Lead(lab);
        lab.Publish(S1, Message(1, 10), 9);
        lab.Run(TimeSpan.FromTicks(1));

        // The second is numbered while the first is on its way; the others see it settled before its data come, and need it no more.
        lab.Drop = (_, _, type) => type is GroupMessageType.Data or GroupMessageType.DataQuery;
        lab.Publish(S1, Message(1, 5), 0);
        Assert.True(lab.RunUntil(() => lab.Members.Values.All(m => m.Core.Delivered.Value == 2), TimeSpan.FromSeconds(1)));
        Assert.True(lab["s2"].Store.CommittedDurable.IsNone && lab["s3"].Store.CommittedDurable.IsNone);
        foreach (LabMember member in lab.Members.Values)
        {
            member.Crash();
        }

        lab.Drop = null;
        lab["s2"].Start();
        lab["s3"].Start();
        Assert.False(lab["s2"].Store.Holds(Message(1, 5), out _) || lab["s3"].Store.Holds(Message(1, 5), out _));
        lab.Elect("s2");
        lab.Publish(NodeId.Parse("s3"), Message(2, 1), 0);
        Assert.True(lab.RunUntil(() => lab["s3"].Core.Delivered.Value == 3, TimeSpan.FromSeconds(20)));
        Assert.Equal(SequencerState.Leading, lab["s2"].Core.SequencerState);
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Message_that_expires_while_its_number_is_on_its_way_is_kept_until_it_is_applied()
    {
        var lab = new GroupLab(1, 3) { IsExact = true, Settings = new GroupSettings { Lifetime = 1_000 } };
        Lead(lab);
        for (ulong counter = 1; counter <= 1_000; counter++)
        {
            lab.Publish(S1, Message(1, counter), counter - 1);
            lab.Run(TimeSpan.FromMilliseconds(counter % 50 == 0 ? 50 : 0));
        }

        Assert.True(lab.RunUntil(() => lab.Members.Values.All(m => m.Core.Delivered.Value == 1_000), TimeSpan.FromSeconds(5)));

        // Both get numbers, and once the first is committed the second is too old; nobody acknowledges that one for now.
        MessageId late = Message(2, 1);
        byte[] payload = lab.Published[late] = [1, 2, 3];
        lab.Publish(S1, Message(1, 1_001), 1_000);
        lab.Run(TimeSpan.FromMilliseconds(1.5));
        foreach (LabMember member in lab.Members.Values)
        {
            member.Input(now => member.Core.Receive(S1, Data(), now));
        }

        lab.Run(TimeSpan.FromMilliseconds(2));
        lab.Drop = (_, _, type) => type == GroupMessageType.Ack;
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.All(lab.Members.Values, m => Assert.Equal(1_001u, m.Core.Delivered.Value));
        Assert.Equal(1_002, lab["s1"].Core.Figures.Assigned);
        Assert.All(lab.Members.Values, m => Assert.True(m.Store.Holds(late, out _)));
        lab.Drop = null;
        Assert.True(lab.RunUntil(() => lab.Members.Values.All(m => m.Core.Delivered.Value == 1_002), TimeSpan.FromSeconds(5)));
        lab["s2"].Store.Find(new SequenceNumber(1_002), out Assignment value, out ReadOnlyMemory<byte> kept);
        Assert.Equal((late, 3), (value.Id, kept.Length));
        Assert.Empty(lab.Faults);

        ReadOnlyMemory<byte> Data() =>
            GroupCodec.Encode(GroupName.Parse("g"), new DataMessage(new GroupData[] { new(late, Digest.Of(payload), 0, 1, payload) }));
    }

    [Fact]
    public void Sequencer_gives_numbers_no_further_ahead_of_what_is_applied_than_a_lifetime()
    {
        var lab = new GroupLab(1, 3)
        {
            Options = new GroupOptions { SessionWindow = 2_000, SenderWindow = 2_000 }, Settings = new GroupSettings { Lifetime = 1_000 },
        };
        Lead(lab);
        lab.Drop = (_, _, type) => type == GroupMessageType.Ack;
        for (ulong counter = 1; counter <= 1_500; counter++)
        {
            Assert.Equal(PublishAnswer.Taken, lab.Publish(S1, Message(1, counter), 0));
        }

        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(1_000, lab["s1"].Core.Figures.Assigned);
        lab.Drop = null;
        Assert.True(lab.RunUntil(() => lab.Members.Values.All(m => m.Core.Delivered.Value == 1_500), TimeSpan.FromSeconds(5)));
        Assert.Empty(lab.Faults);
    }

    [Fact]
    public void Nothing_is_numbered_behind_a_change_of_the_configuration_before_that_is_delivered()
    {
        var lab = new GroupLab(1, 3) { Reelects = false };
        Lead(lab);
        lab.Changes.Add(Message(1, 2));
        lab.Drop = (_, _, type) => type == GroupMessageType.Ack;
        for (ulong counter = 1; counter <= 4; counter++)
        {
            lab.Publish(S1, Message(1, counter), 0);
        }

        // What is behind it is for the quorum of the version that it makes.
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(2, lab["s1"].Core.Figures.Assigned);
        Assert.Equal(0u, lab["s1"].Core.Delivered.Value);

        // Another change was ahead of it, so it makes none, and the sequencer goes on.
        lab.Drop = null;
        Assert.True(lab.RunUntil(() => lab.Members.Values.All(m => m.Core.Delivered.Value == 4), TimeSpan.FromSeconds(5)));
        Assert.Empty(lab.Faults);
    }

    private static void Lead(GroupLab lab)
    {
        lab.StartAll();
        lab.Elect("s1");
        lab.Run(TimeSpan.FromMilliseconds(50));
        Assert.Equal(SequencerState.Leading, lab["s1"].Core.SequencerState);
    }

    private static MessageId Message(ulong session, ulong counter) => new(new SessionId(7, session), counter);

    private static Assignment Value(ulong session, ulong counter, ulong settled) => new(Message(session, counter), default, settled);
}
