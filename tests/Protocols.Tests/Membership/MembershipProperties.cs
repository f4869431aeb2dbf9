using Carillon.Protocols.Membership;
using Xunit;

namespace Carillon.Protocols.Tests.Membership;

/// <summary>The invariants of docs/protocols/membership.md over many seeds of faults.</summary>
public sealed class MembershipProperties
{
    private const int Seeds = 60;

    [Fact]
    public void Views_after_any_faults_heal_converge_within_two_timeouts()
    {
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            MembershipLab lab = AfterFaults(seed);
            lab.Run(2 * lab.Options.HeartbeatTimeout);
            foreach (LabServer server in lab.Servers)
            {
                MembershipMonitor monitor = server.Monitor!;
                Assert.True(
                    monitor.ConnectedVoters.Count == lab.Configuration.Voters.Length && monitor.HasQuorum,
                    $"seed {seed}: {server.Name} sees {string.Join(' ', monitor.Status().Where(m => !m.Connected || !m.Votes))}");
            }

            // And they stay so: nobody who lives and is connected is called failed.
            long failures = lab.Servers.Sum(server => server.Monitor!.Counters.Failures);
            lab.Run(TimeSpan.FromSeconds(2));
            Assert.Equal(failures, lab.Servers.Sum(server => server.Monitor!.Counters.Failures));
        }
    }

    [Fact]
    public void Server_heard_by_a_heartbeat_is_not_failed_a_heartbeat_interval_later()
    {
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            MembershipLab lab = LabOf(seed, out RandomSource random);
            var failedAt = new Dictionary<(NodeId At, NodeId Server), Instant>();
            lab.OnEvent = (at, e) =>
            {
                if (e.Kind == MembershipEventKind.Failed)
                {
                    failedAt[(at, e.Server)] = lab.Now;
                }
                else if (e.Kind is MembershipEventKind.Heard)
                {
                    failedAt.Remove((at, e.Server));
                }
            };
            for (int step = 0; step < 15; step++)
            {
                Disturb(lab, random);
                lab.Run(TimeSpan.FromMilliseconds(50 + random.Below(400)));
                foreach (LabServer server in lab.Servers.Where(server => server.Monitor is not null && server.PausedUntil <= lab.Now))
                {
                    foreach (MemberStatus member in server.Monitor!.Status())
                    {
                        bool heardLately = member.SilentFor < lab.Options.HeartbeatInterval;
                        Assert.False(heardLately && member.State == MemberState.Failed, $"seed {seed}: {server.Name} fails {member}");
                    }
                }
            }
        }
    }

    [Fact]
    public void Restarts_are_told_in_growing_order_whatever_arrives_late()
    {
        int restarts = 0;
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            MembershipLab lab = LabOf(seed, out RandomSource random);
            lab.Duplication = 0.5;
            var greatest = new Dictionary<(NodeId At, int Life, NodeId Server), Incarnation>();
            lab.OnEvent = (at, e) =>
            {
                if (e.Kind is MembershipEventKind.Restarted or MembershipEventKind.Heard or MembershipEventKind.Connected)
                {
                    (NodeId, int, NodeId) key = (at, lab[at.Name].Life, e.Server);
                    Assert.True(e.Incarnation >= greatest.GetValueOrDefault(key), $"seed {seed}: {at} told of {e.Server}#{e.Incarnation}");
                    greatest[key] = e.Incarnation;
                    restarts += e.Kind == MembershipEventKind.Restarted ? 1 : 0;
                }
            };
            for (int step = 0; step < 12; step++)
            {
                LabServer server = lab.Servers[random.Below(lab.Servers.Length)];
                lab.Crash(server);
                lab.Start(server);
                lab.Run(TimeSpan.FromMilliseconds(random.Below(400)));
            }
        }

        Assert.True(restarts > Seeds, "The faults of this test must lead to restarts that are noticed.");
    }

    [Fact]
    public void Dead_server_is_failed_within_timeout_probe_and_one_interval()
    {
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            var random = new RandomSource(seed);
            var lab = new MembershipLab(3 + random.Below(5), seed) { Jitter = TimeSpan.FromMilliseconds(2) };
            StartAll(lab);
            lab.Run(TimeSpan.FromMilliseconds(1000 + random.Below(200)));
            lab.Crash(lab["s2"]);
            lab.Run(lab.Options.HeartbeatTimeout + lab.Options.ProbeTimeout + TimeSpan.FromMilliseconds(5));
            foreach (LabServer server in lab.Servers.Where(server => server.Monitor is not null))
            {
                Assert.Equal(MemberState.Failed, server.Monitor!.Status()[1].State);
                Assert.Equal(1, server.Monitor.Counters.Failures);
            }
        }
    }

    [Fact]
    public void Measured_offset_is_true_within_its_bound()
    {
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            var random = new RandomSource(seed);
            var lab = new MembershipLab(4, seed) { Jitter = TimeSpan.FromMilliseconds(random.Below(40)), Loss = 0.1 };
            StartAll(lab);
            for (int step = 0; step < 6; step++)
            {
                LabServer stepped = lab.Servers[random.Below(4)];
                stepped.WallOffset += TimeSpan.FromMilliseconds(random.Below(200_000) - 100_000);

                // A step smaller than the bound is believed when the filter's eight samples are all younger.
                lab.Run(TimeSpan.FromSeconds(2));
                foreach (LabServer server in lab.Servers)
                {
                    foreach (LabServer other in lab.Servers.Where(other => other != server))
                    {
                        ClockOffset measured = server.Monitor!.OffsetOf(other.Name)!.Value;
                        TimeSpan error = measured.Offset - (other.WallOffset - server.WallOffset);
                        TimeSpan allowed = measured.Bound + TimeSpan.FromMilliseconds(1);
                        Assert.True(error.Duration() <= allowed, $"seed {seed}: off by {error}, bound {measured.Bound}");
                        Assert.True(measured.Bound <= TimeSpan.FromMilliseconds(50));
                    }
                }
            }
        }
    }

    [Fact]
    public void Quarantined_are_those_whom_a_quorum_of_their_peers_sees_off()
    {
        int quarantines = 0;
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            var random = new RandomSource(seed);
            var lab = new MembershipLab(3 + random.Below(5), seed);
            foreach (LabServer server in lab.Servers)
            {
                // Well apart or well together, so that neither bound nor hysteresis decides.
                server.WallOffset = TimeSpan.FromSeconds(50 * random.Below(3)) + TimeSpan.FromMilliseconds(random.Below(2000));
            }

            StartAll(lab);
            lab.Run(TimeSpan.FromSeconds(1));
            foreach (LabServer judged in lab.Servers)
            {
                int judges = lab.Servers.Count(
                    other => (other.WallOffset - judged.WallOffset).Duration() > lab.Options.ClockMaxSkew);
                bool off = judges >= lab.Configuration.Quorum.Size;
                quarantines += off ? 1 : 0;
                Assert.All(lab.Servers, server => Assert.Equal(!off, server.Monitor!.IsClockGood(judged.Name)));
            }

            Assert.All(lab.Servers, server => Assert.True(server.Monitor!.HasQuorum));
        }

        Assert.True(quarantines > Seeds / 4, "The clocks of this test must lead to quarantines.");
    }

    [Fact]
    public void Median_offset_is_within_the_clocks_of_a_majority()
    {
        for (ulong seed = 0; seed < Seeds; seed++)
        {
            var random = new RandomSource(seed);
            int servers = 3 + random.Below(5);
            var lab = new MembershipLab(servers, seed);
            foreach (LabServer server in lab.Servers.Take((servers - 1) / 2))
            {
                server.WallOffset = TimeSpan.FromSeconds(random.Below(100_000) - 50_000);
            }

            StartAll(lab);
            lab.Run(TimeSpan.FromSeconds(1));
            LabServer last = lab.Servers.Last();
            TimeSpan median = last.Monitor!.MedianOffset(lab.MomentOf(last))!.Value;
            Assert.True(median.Duration() < TimeSpan.FromMilliseconds(10), $"seed {seed}: a minority moved the median by {median}");
        }
    }

    [Fact]
    public void Multicast_that_loses_a_fifth_of_its_datagrams_is_kept()
    {
        var lab = new MembershipLab(5, 3, new MembershipOptions { Transport = TransportChoice.Auto });
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(3));
        lab.Loss = 0.2;
        int changes = 0;
        lab.OnEvent = (_, e) => changes += e.Kind == MembershipEventKind.TransportChanged ? 1 : 0;
        lab.Run(TimeSpan.FromSeconds(60));

        Assert.Equal(0, changes);
        Assert.All(lab.Servers, server => Assert.True(server.Monitor!.Transport.Multicast));
        Assert.Equal(0, lab.Servers.Sum(server => server.Monitor!.Counters.Failures));
    }

    [Fact]
    public void Multicast_sends_one_datagram_an_interval_whatever_the_number_of_servers()
    {
        var lab = new MembershipLab(10, 3, new MembershipOptions { Transport = TransportChoice.Auto });
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(3));
        int sends = 0;
        lab.OnSend = (from, _) => sends += from == NodeId.Parse("s1") ? 1 : 0;
        lab.Run(TimeSpan.FromSeconds(10));

        Assert.InRange(sends, 95, 110);
    }

    [Fact]
    public void Same_seed_gives_the_same_events_at_the_same_instants()
    {
        static List<string> Trace()
        {
            var trace = new List<string>();
            MembershipLab lab = LabOf(11, out RandomSource random);
            lab.OnEvent = (at, e) => trace.Add($"{lab.Now} {at} {e}");
            lab.OnSend = (at, send) => trace.Add($"{lab.Now} {at} {send.Path} {send.To} {Convert.ToHexString(send.Message.Span)}");
            for (int step = 0; step < 20; step++)
            {
                Disturb(lab, random);
                lab.Run(TimeSpan.FromMilliseconds(random.Below(500)));
            }

            return trace;
        }

        Assert.Equal(Trace(), Trace());
    }

    private static MembershipLab AfterFaults(ulong seed)
    {
        MembershipLab lab = LabOf(seed, out RandomSource random);
        for (int step = 0; step < 20; step++)
        {
            Disturb(lab, random);
            lab.Run(TimeSpan.FromMilliseconds(random.Below(500)));
        }

        // A server that does not run can't converge.
        Instant running = lab.Servers.Max(server => server.PausedUntil);
        lab.Run(running > lab.Now ? running - lab.Now : TimeSpan.Zero);
        lab.Loss = 0;
        lab.Duplication = 0;
        lab.GroupWorks = random.Chance(0.5);
        foreach (LabServer server in lab.Servers)
        {
            foreach (LabServer other in lab.Servers)
            {
                lab.Heal(server.Name, other.Name);
            }

            if (server.Monitor is null)
            {
                lab.Start(server);
            }
        }

        return lab;
    }

    private static MembershipLab LabOf(ulong seed, out RandomSource random)
    {
        random = new RandomSource(seed);
        var options = new MembershipOptions { Transport = random.Chance(0.5) ? TransportChoice.Auto : TransportChoice.Unicast };
        var lab = new MembershipLab(3 + random.Below(5), seed, options)
        {
            Latency = TimeSpan.FromMicroseconds(50 + random.Below(5000)),
            Jitter = TimeSpan.FromMilliseconds(random.Below(20)),
            Loss = random.Fraction() * 0.3,
            Duplication = random.Fraction() * 0.3,
        };
        StartAll(lab);
        lab.Run(TimeSpan.FromSeconds(1));
        return lab;
    }

    private static void Disturb(MembershipLab lab, RandomSource random)
    {
        LabServer one = lab.Servers[random.Below(lab.Servers.Length)];
        LabServer other = lab.Servers[random.Below(lab.Servers.Length)];
        switch (random.Below(7))
        {
            case 0 when one.Monitor is not null:
                lab.Crash(one);
                break;
            case 1 when one.Monitor is null:
                lab.Start(one);
                break;
            case 2:
                lab.Cut(one.Name, other.Name, random.Chance(0.7), random.Chance(0.7));
                break;
            case 3:
                lab.Heal(one.Name, other.Name);
                break;
            case 4:
                lab.GroupWorks = !lab.GroupWorks;
                break;
            case 5:
                lab.Pause(one, TimeSpan.FromMilliseconds(random.Below(2000)));
                break;
            case 6:
                one.WallOffset += TimeSpan.FromMilliseconds(random.Below(100_000) - 50_000);
                break;
        }
    }

    private static void StartAll(MembershipLab lab)
    {
        foreach (LabServer server in lab.Servers)
        {
            lab.Start(server);
        }
    }
}
