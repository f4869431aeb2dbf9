using System.Collections.Immutable;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Xunit;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>Whole groups under drawn faults: F1 to F5 of the feed's invariants, for any group.</summary>
public sealed class GroupProperties
{
    [Fact]
    public void Faults_of_many_seeds_leave_one_sequence_with_all_that_was_acknowledged()
    {
        for (ulong seed = 1; seed <= 200; seed++)
        {
            Play(seed);
        }
    }

    /// <summary>Of the two servers that had reported it one lost it in a crash, the other was dead for good; those that had let go what it
    /// covers had it, and were not asked.</summary>
    [Fact]
    public void Checkpoint_that_its_servers_have_lost_comes_from_who_let_go_what_it_covers_seed_30() => Play(30);

    [Fact]
    public void Fifo_groups_deliver_the_messages_of_each_sender_in_their_order_under_the_same_faults_SAM_83()
    {
        int overtaken = 0;
        for (ulong seed = 1; seed <= 150; seed++)
        {
            overtaken += Play(seed, isFifo: true);
        }

        // Some are given up, and come later all the same.
        Assert.InRange(overtaken, 10, 1500);
    }

    [Fact]
    public void Memory_only_groups_keep_all_while_one_server_at_a_time_forgets()
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            var random = new RandomSource(seed);
            var lab = new GroupLab(seed, 3)
            {
                Settings = new GroupSettings { Durability = GroupDurability.Memory }, Loss = random.Chance(0.5) ? 0.1 : 0,
                FlushTime = TimeSpan.FromMilliseconds(1 + random.Below(20)),
            };
            var sessions = new ulong[4];
            lab.StartAll();
            lab.ElectSomebody();
            for (int i = 0; i < 20; i++)
            {
                Publish(lab, random, sessions);
                Publish(lab, random, sessions);
                lab.Run(new TimeSpan(random.Below(50 * TimeSpan.TicksPerMillisecond)));
                if (i % 4 == 0)
                {
                    CrashForAMoment(lab, lab.Members.Values.ElementAt(random.Below(3)));
                    Publish(lab, random, sessions);
                    lab.Run(new TimeSpan(random.Below(20 * TimeSpan.TicksPerMillisecond)));
                    lab.ElectSomebody();

                    // It votes again before another one forgets: one at a time.
                    bool isQuiet = lab.RunUntil(
                        () => IsQuiet(lab) && lab.Members.Values.All(m => !m.Core.HasForgotten), TimeSpan.FromSeconds(30));
                    Assert.True(isQuiet, $"seed {seed}: {Describe(lab)}");
                }
            }

            lab.CheckAcknowledged();
            Assert.True(lab.Faults.Count == 0, $"seed {seed}: {string.Join("; ", lab.Faults.Take(3))}");
        }
    }

    [Fact]
    public void Durable_groups_keep_all_while_one_disk_after_another_rots()
    {
        for (ulong seed = 1; seed <= 40; seed++)
        {
            var random = new RandomSource(seed);
            var lab = new GroupLab(seed, 3)
            {
                Loss = random.Chance(0.5) ? 0.1 : 0, Doubling = random.Chance(0.5) ? 0.1 : 0,
                FlushTime = TimeSpan.FromMilliseconds(1 + random.Below(20)),
            };
            var sessions = new ulong[4];
            lab.StartAll();
            lab.ElectSomebody();
            for (int i = 0; i < 20; i++)
            {
                Publish(lab, random, sessions);
                Publish(lab, random, sessions);
                lab.Run(new TimeSpan(random.Below(50 * TimeSpan.TicksPerMillisecond)));
                if (i % 4 == 0)
                {
                    LabMember victim = lab.Members.Values.ElementAt(random.Below(3));
                    for (ulong number = 1; number <= victim.Store.CommittedDurable.Value; number++)
                    {
                        if (random.Chance(0.3))
                        {
                            victim.Damaged.Add(number);
                        }
                    }

                    CrashForAMoment(lab, victim);
                    Publish(lab, random, sessions);
                    lab.Run(new TimeSpan(random.Below(20 * TimeSpan.TicksPerMillisecond)));
                    lab.ElectSomebody();
                    bool isQuiet = lab.RunUntil(() => IsQuiet(lab) && victim.Damaged.Count == 0, TimeSpan.FromSeconds(30));
                    Assert.True(isQuiet, $"seed {seed}: {Describe(lab)}");
                }
            }

            lab.CheckAcknowledged();
            Assert.True(lab.Faults.Count == 0, $"seed {seed}: {string.Join("; ", lab.Faults.Take(3))}");
        }
    }

    private static int Play(ulong seed, bool isFifo = false)
    {
        var random = new RandomSource(seed ^ 0xBADCAFE);
        GroupLab lab = Draw(random, seed);
        lab.Settings = lab.Settings with { Fifo = isFifo };
        lab.Options = lab.Options with { FifoPatience = TimeSpan.FromMilliseconds(300 + (seed % 5 * 400)) };
        lab.StartAll();
        lab.ElectSomebody();
        lab.Run(TimeSpan.FromMilliseconds(100));
        var sessions = new ulong[4];
        lab.IsSettled = id => lab.Ended.ContainsKey(id);
        for (int i = 0; i < 60; i++)
        {
            for (int messages = random.Below(6); messages > 0; messages--)
            {
                Publish(lab, random, sessions);
            }

            if (random.Chance(0.4))
            {
                Disturb(lab, random);
            }

            lab.Run(new TimeSpan(random.Below(120 * TimeSpan.TicksPerMillisecond)));
            if (lab.Faults.Count > 0)
            {
                break;
            }
        }

        Heal(lab, random);
        bool isQuiet = lab.Faults.Count > 0 || lab.RunUntil(() => IsQuiet(lab), TimeSpan.FromSeconds(60));
        lab.CheckAcknowledged();
        Assert.True(lab.Faults.Count == 0, $"seed {seed}: {string.Join("; ", lab.Faults.Take(3))}");
        Assert.True(isQuiet, $"seed {seed}: {Describe(lab)}");
        return lab.Ended.Values.Count(v => v == SendVerdict.Overtaken);
    }

    private static GroupLab Draw(RandomSource random, ulong seed)
    {
        bool isApart = random.Chance(0.25);
        int servers = isApart ? 6 : random.Chance(0.6) ? 3 : 5;
        ImmutableArray<NodeId> names = [.. Enumerable.Range(1, servers).Select(i => NodeId.Parse($"s{i}"))];
        GroupRoles? roles = isApart
            ? new GroupRoles
            {
                Configuration = 1, Servers = names, Commit = new VoterSet(0b000111), Data = new VoterSet(0b111000),
                Checkpoint = new VoterSet(0b110001),
            }
            : null;
        return new GroupLab(seed, servers, clients: isApart ? 2 : random.Below(2), roles)
        {
            Delay = new TimeSpan(random.Below(8 * TimeSpan.TicksPerMillisecond) + 1),
            FlushTime = new TimeSpan(random.Below((random.Chance(0.3) ? 80 : 15) * TimeSpan.TicksPerMillisecond) + 1),
            Loss = random.Chance(0.6) ? 0.3 * random.Fraction() : 0,
            Doubling = random.Chance(0.5) ? 0.3 * random.Fraction() : 0,
            HasApplication = !isApart && random.Chance(0.5),
            Settings = new GroupSettings { RetainBytes = random.Chance(0.5) ? 64 : 1 << 20 },
            Options = new GroupOptions
            {
                CheckpointEvery = random.Chance(0.6) ? 20u : 50_000u, RetainNumbers = (ulong)random.Below(10),
                MaxRun = random.Chance(0.3) ? 4 : 512, CombinedQuery = random.Chance(0.3),
                RecoveryPatience = TimeSpan.FromMilliseconds(500),
            },
        };
    }

    private static void Publish(GroupLab lab, RandomSource random, ulong[] sessions)
    {
        NodeId[] up = [.. lab.Members.Values.Where(m => m.IsUp).Select(m => m.Name)];
        if (up.Length == 0)
        {
            return;
        }

        int session = random.Below(sessions.Length);
        bool isAgain = sessions[session] > 0 && random.Chance(0.2);
        ulong counter = isAgain ? 1 + (ulong)random.Below((long)sessions[session]) : ++sessions[session];
        var id = new MessageId(new SessionId(7, (ulong)session + 1), counter);
        ulong settled = 0;
        while (settled + 1 < counter && lab.Ended.ContainsKey(id with { Counter = settled + 1 }) && random.Chance(0.97))
        {
            settled++;
        }

        lab.Publish(up[random.Below(up.Length)], id, settled, timestamp: isAgain ? 0 : null);
    }

    private static void Disturb(GroupLab lab, RandomSource random)
    {
        LabMember victim = lab.Members.Values.ElementAt(random.Below(lab.Members.Count));
        switch (random.Below(11))
        {
            case 9 or 10:
                lab.ElectSomebody();
                lab.At(lab.Delay * (3 * random.Fraction()), () => CrashForAMoment(lab, victim));
                break;
            case 0 or 1 when victim.IsUp && !lab.Clients.Contains(victim.Name):
                victim.Crash();
                lab.At(new TimeSpan(random.Below(1500 * TimeSpan.TicksPerMillisecond)), () =>
                {
                    if (!victim.IsUp && !lab.Dead.Contains(victim.Name))
                    {
                        victim.Start();
                    }
                });
                break;
            case 2 when random.Chance(0.2):
                foreach (LabMember member in lab.Members.Values.Where(m => m.IsUp))
                {
                    member.Crash();
                }

                lab.StartAll();
                lab.ElectSomebody();
                break;
            case 3 or 4 or 5:
                lab.ElectSomebody();
                break;
            case 6:
                lab.Isolate(victim.Name);
                break;
            case 7:
                lab.Cut.Add((victim.Name, lab.Members.Keys.ElementAt(random.Below(lab.Members.Count))));
                break;
            default:
                lab.Cut.Clear();
                break;
        }
    }

    private static void CrashForAMoment(GroupLab lab, LabMember victim)
    {
        if (victim.IsUp && !lab.Clients.Contains(victim.Name) && !lab.Dead.Contains(victim.Name))
        {
            victim.Crash();
            victim.Start();
        }
    }

    // All but, sometimes, a minority of each role come back for good.
    private static void Heal(GroupLab lab, RandomSource random)
    {
        lab.Cut.Clear();
        lab.Loss = Math.Min(lab.Loss, 0.1);
        lab.StartAll();
        if (random.Chance(0.5))
        {
            VoterSet dead = default;
            for (int i = 0; i < 4; i++)
            {
                VoterSet more = dead.With(random.Below(lab.Roles.Servers.Length));
                dead = IsMinority(more, lab.Roles.Commit) && IsMinority(more, lab.Roles.Data) && IsMinority(more, lab.Roles.Checkpoint)
                    ? more
                    : dead;
            }

            lab.Dead.UnionWith(lab.Roles.Servers.Where(name => dead.Contains(lab.Roles.BitOf(name))));
            foreach (NodeId name in lab.Dead)
            {
                lab.Members[name].Crash();
            }
        }

        lab.ElectSomebody();
    }

    private static bool IsMinority(VoterSet some, VoterSet all) => (some & all).Count <= all.Count - Quorum.Majority(all.Count);

    private static bool IsQuiet(GroupLab lab)
    {
        LabMember[] up = [.. lab.Members.Values.Where(m => m.IsUp)];
        ulong most = up.Max(m => m.Core.Heard.Value);
        return up.All(m => m.Core.Delivered.Value == most && m.Core.Sending == 0)
            && lab.Acknowledged.Values.All(n => n <= most)
            && up.Any(m => m.Core.SequencerState == SequencerState.Leading);
    }

    private static string Describe(GroupLab lab) => string.Join("; ", lab.Members.Values.Select(m =>
        $"{m.Name} {m.Core.SequencerState} delivered {m.Core.Delivered} known {m.Core.Committed} heard {m.Core.Heard}"
        + $" sending {m.Core.Sending} first {m.Core.First} up {m.IsUp}"));
}
