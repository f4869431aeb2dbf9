using Carillon.Protocols.Replicast;
using Xunit;

namespace Carillon.Protocols.Tests.Replicast;

public sealed class ChunkReplicationTests
{
    private const uint Length = 100_000;

    [Fact]
    public void Put_is_answered_when_minimum_have_it_and_goes_on_to_replicas()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        int holders = -1;
        lab["s1"].Put(chunk, Length, ChunkLab.TagOf(1), 4, 2, result =>
        {
            Assert.Equal(ChunkPutResult.Stored, result);
            holders = Holders(lab, chunk).Count;
        });
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.InRange(holders, 2, 4);
        Assert.Equal(Designated(lab, chunk, 4), Holders(lab, chunk));
        Assert.Equal(0, lab["s1"].Core.PutsUnderWay);
    }

    [Theory]
    [InlineData("crashed")]
    [InlineData("full")]
    [InlineData("silent")]
    public void Put_finds_a_stand_in_for_a_server_that_is(string state)
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        LabServer first = lab[lab["s1"].Core.Table.Row(9)[0]];
        LabServer source = lab.Servers.First(s => s != first);
        first.IsFull = state == "full";
        first.IsSilent = state == "silent";
        if (state == "crashed")
        {
            lab.Crash(first);
        }

        ChunkPutResult? end = null;
        source.Put(chunk, Length, ChunkLab.TagOf(1), 3, 3, result => end = result);
        lab.Run(TimeSpan.FromSeconds(2));
        Assert.Equal(ChunkPutResult.Stored, end);
        Assert.Equal(3, Holders(lab, chunk).Count);
        Assert.DoesNotContain(first.Name, Holders(lab, chunk));
    }

    [Fact]
    public void Put_with_too_few_servers_is_answered_at_once()
    {
        ChunkLab lab = Five();
        lab.Crash(lab["s3"]);
        lab.Crash(lab["s4"]);
        lab.Crash(lab["s5"]);
        ChunkPutResult? end = null;
        lab["s1"].Put(ChunkLab.ChunkOf(9, 1), Length, ChunkLab.TagOf(1), 3, 3, result => end = result);
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.Equal(ChunkPutResult.TooFewServers, end);
    }

    [Fact]
    public void Put_with_too_few_servers_that_have_space_says_full()
    {
        ChunkLab lab = Five();
        lab["s3"].IsFull = lab["s4"].IsFull = lab["s5"].IsFull = true;
        ChunkPutResult? end = null;
        lab["s1"].Put(ChunkLab.ChunkOf(9, 1), Length, ChunkLab.TagOf(1), 3, 3, result => end = result);
        lab.Run(TimeSpan.FromMilliseconds(200));
        Assert.Equal(ChunkPutResult.Full, end);
    }

    [Fact]
    public void Put_to_silent_servers_ends_in_its_time()
    {
        ChunkLab lab = Five();
        foreach (LabServer server in lab.Servers.Where(s => s.Name.Name != "s1"))
        {
            server.IsSilent = true;
        }

        ChunkPutResult? end = null;
        lab["s1"].Put(ChunkLab.ChunkOf(9, 1), Length, ChunkLab.TagOf(1), 3, 3, result => end = result);
        lab.Run(TimeSpan.FromMilliseconds(2099));
        Assert.Null(end);
        lab.Run(TimeSpan.FromMilliseconds(2));
        Assert.Equal(ChunkPutResult.TimedOut, end);
    }

    [Fact]
    public void Put_keeps_copies_in_different_domains_where_they_can_be_had()
    {
        var lab = new ChunkLab(1, ChunkLab.QuickOptions, "s1:a", "s2:a", "s3:b", "s4:b", "s5:c", "s6:c");
        for (int row = 0; row < 40; row++)
        {
            ChunkId chunk = ChunkLab.ChunkOf(row, 1);
            LabServer away = lab.Servers.ElementAt(row % 6);
            lab.Crash(away);
            ChunkPutResult? end = null;
            lab.Servers.First(s => s.IsUp).Put(chunk, Length, ChunkLab.TagOf(row), 3, 3, result =>
            {
                end = result;
                Assert.Equal(3, Holders(lab, chunk).Select(name => lab["s1"].Core.Table.DomainOf(name)).Distinct().Count());
            });
            lab.Run(TimeSpan.FromMilliseconds(500));
            Assert.Equal(ChunkPutResult.Stored, end);
            lab.Start(away);
        }
    }

    [Fact]
    public void Put_goes_through_while_a_whole_domain_is_away()
    {
        var lab = new ChunkLab(1, ChunkLab.QuickOptions, "s1:a", "s2:a", "s3:a", "s4:b", "s5:b");
        lab.Crash(lab["s4"]);
        lab.Crash(lab["s5"]);
        ChunkPutResult? end = null;
        lab["s1"].Put(ChunkLab.ChunkOf(3, 1), Length, ChunkLab.TagOf(1), 3, 3, result => end = result);
        lab.Run(TimeSpan.FromMilliseconds(500));
        Assert.Equal(ChunkPutResult.Stored, end);
    }

    [Fact]
    public void Acknowledgement_for_an_earlier_incarnation_does_not_count()
    {
        ChunkLab lab = Five();
        ChunkId old = ChunkLab.ChunkOf(9, 1);
        lab["s1"].Put(old, Length, ChunkLab.TagOf(1), 3, 3);
        lab["s1"].Restart();
        List<ulong> numbers = [];
        for (int i = 0; i < 50; i++)
        {
            numbers.Add(lab["s1"].Core.Put(ChunkLab.ChunkOf(9, i + 2), Length, ChunkLab.TagOf(2), 3, 3, lab.Moment, _ => { }));
        }

        lab["s2"].Restart();
        ulong other = lab["s2"].Core.Put(ChunkLab.ChunkOf(9, 99), Length, ChunkLab.TagOf(3), 3, 3, lab.Moment, _ => { });
        Assert.All(numbers, number => Assert.InRange(number, 1UL << 40, ulong.MaxValue));
        Assert.DoesNotContain(other, numbers);
    }

    [Fact]
    public void Get_asks_the_designated_servers_in_order_then_the_others()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        NodeId[] row = [.. lab["s1"].Core.Table.Row(9)];
        lab[row[4]].Inventory.Store(chunk, Length, 3, default);
        LabServer reader = lab[row[0]];
        lab[row[2]].IsSilent = true;
        bool? came = null;
        lab.Effects = [];
        reader.Get(chunk, result => came = result);
        lab.Run(TimeSpan.FromSeconds(5));
        Assert.True(came);
        List<string> asked = [.. lab.Effects.Where(e => e.Contains("sends Request to", StringComparison.Ordinal))];
        Assert.Equal(row[1..].Select(name => name.Name), asked.Select(e => e[(e.LastIndexOf(' ') + 1)..]));
    }

    [Fact]
    public void Get_of_what_nobody_has_ends()
    {
        ChunkLab lab = Five();
        bool? came = null;
        lab["s1"].Get(ChunkLab.ChunkOf(9, 1), result => came = result);
        lab.Run(TimeSpan.FromMilliseconds(100));
        Assert.False(came);
    }

    [Fact]
    public void Get_skips_a_server_whose_copy_is_damaged_and_that_copy_is_healed()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        lab.Referenced.Add(chunk);
        NodeId[] row = [.. lab["s1"].Core.Table.Row(9)];
        foreach (NodeId name in row[..3])
        {
            lab[name].Inventory.Store(chunk, Length, 3, default);
        }

        lab[row[0]].Inventory.Rotten.Add(chunk);
        bool? came = null;
        lab[row[4]].Get(chunk, result => came = result);
        lab.Run(TimeSpan.FromMilliseconds(200));
        Assert.True(came);
        Assert.True(lab[row[0]].Inventory.Contains(chunk));
        Assert.DoesNotContain(chunk, lab[row[0]].Inventory.Rotten);
    }

    [Fact]
    public void Server_that_was_away_gets_what_it_missed_and_the_figure_falls_to_zero()
    {
        ChunkLab lab = Five();
        lab.Crash(lab["s2"]);
        for (int i = 0; i < 300; i++)
        {
            ChunkId chunk = ChunkLab.ChunkOf(i % 256, i);
            lab.Referenced.Add(chunk);
            lab["s1"].Put(chunk, Length, default, 3, 3);
        }

        lab.Run(TimeSpan.FromSeconds(3));
        lab.Start(lab["s2"]);
        Assert.True(lab["s1"].Core.UnderReplicated > 0);
        lab.Run(TimeSpan.FromSeconds(40));
        AssertInPlace(lab);
        Assert.All(lab.Servers, server => Assert.Equal(0, server.Core.UnderReplicated));
    }

    [Fact]
    public void Repair_fetches_no_faster_than_its_rate()
    {
        var lab = new ChunkLab(1, ChunkLab.QuickOptions with { RepairRate = 1_000_000 }, "s1", "s2", "s3");
        for (int i = 0; i < 200; i++)
        {
            ChunkId chunk = ChunkLab.ChunkOf(i % 256, i);
            lab.Referenced.Add(chunk);
            lab["s1"].Inventory.Store(chunk, Length, 3, default);
        }

        lab.Heal();
        lab.Run(TimeSpan.FromSeconds(11));
        Assert.InRange(lab["s2"].Inventory.Count, 80, 121);
        lab.Run(TimeSpan.FromSeconds(20));
        AssertInPlace(lab);
    }

    [Fact]
    public void Stand_in_lets_go_only_after_every_designated_server_has_verified_its_copy()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        lab.Referenced.Add(chunk);
        NodeId[] row = [.. lab["s1"].Core.Table.Row(9)];
        LabServer standIn = lab[row[4]];
        standIn.Inventory.Store(chunk, Length, 3, default);
        lab[row[0]].Inventory.Store(chunk, Length, 3, default);
        lab[row[0]].Inventory.Rotten.Add(chunk);
        lab.Crash(lab[row[1]]);
        lab.Heal();
        lab.Crash(lab[row[1]]);
        lab.Run(TimeSpan.FromSeconds(30));
        Assert.True(standIn.Inventory.Contains(chunk));
        lab.Start(lab[row[1]]);
        lab.Run(TimeSpan.FromSeconds(30));
        Assert.False(standIn.Inventory.Contains(chunk));
        Assert.Equal(row[..3].Order(), Holders(lab, chunk));
        Assert.All(row[..3], name => Assert.DoesNotContain(chunk, lab[name].Inventory.Rotten));
    }

    [Fact]
    public void Stand_in_keeps_what_a_put_intent_names()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        NodeId[] row = [.. lab["s1"].Core.Table.Row(9)];
        foreach (NodeId name in row)
        {
            lab[name].Inventory.Store(chunk, Length, 3, ChunkLab.TagOf(1));
        }

        lab.Heal();
        lab.Run(TimeSpan.FromSeconds(30));
        Assert.Equal(5, Holders(lab, chunk).Count);
        lab.Referenced.Add(chunk);
        foreach (LabServer server in lab.Servers)
        {
            server.DecidedTags.Add(ChunkLab.TagOf(1));
        }

        lab.Run(TimeSpan.FromMinutes(1));
        Assert.Equal(row[..3].Order(), Holders(lab, chunk));
    }

    [Fact]
    public void Unreferenced_chunk_goes_everywhere_after_its_grace_and_does_not_come_back()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        lab.Referenced.Add(chunk);
        lab["s1"].Put(chunk, Length, default, 3, 3);
        lab.Run(TimeSpan.FromSeconds(60));
        Assert.Equal(3, Holders(lab, chunk).Count);
        lab.Referenced.Remove(chunk);
        lab.Run(TimeSpan.FromSeconds(19));
        Assert.Equal(3, Holders(lab, chunk).Count);
        lab.Run(TimeSpan.FromSeconds(15));
        Assert.Empty(Holders(lab, chunk));
        lab.Run(TimeSpan.FromMinutes(2));
        Assert.Empty(Holders(lab, chunk));
        Assert.All(lab.Servers, server => Assert.Equal(0, server.Core.UnderReplicated));
    }

    [Fact]
    public void Garbage_of_a_server_that_was_away_is_not_fetched_by_those_who_know_better()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        NodeId[] row = [.. lab["s1"].Core.Table.Row(9)];
        lab[row[0]].Inventory.Store(chunk, Length, 3, default);
        lab.Heal();
        lab.Run(TimeSpan.FromSeconds(15));
        Assert.Equal([row[0]], Holders(lab, chunk));
        lab.Run(TimeSpan.FromMinutes(1));
        Assert.Empty(Holders(lab, chunk));
    }

    [Fact]
    public void Collection_waits_for_a_fresh_index_and_for_put_intents()
    {
        ChunkLab lab = Five();
        ChunkId chunk = ChunkLab.ChunkOf(9, 1);
        LabServer holder = lab[lab["s1"].Core.Table.Row(9)[0]];
        holder.Inventory.Store(chunk, Length, 1, ChunkLab.TagOf(1));
        holder.IsFresh = false;
        lab.Run(TimeSpan.FromMinutes(2));
        Assert.True(holder.Inventory.Contains(chunk));
        holder.IsFresh = true;
        lab.Run(TimeSpan.FromMinutes(2));
        Assert.True(holder.Inventory.Contains(chunk));
        holder.DecidedTags.Add(ChunkLab.TagOf(1));
        lab.Run(TimeSpan.FromMinutes(2));
        Assert.False(holder.Inventory.Contains(chunk));
    }

    [Fact]
    public void Scrub_reads_every_chunk_once_in_its_period_and_heals_what_is_bad()
    {
        var lab = new ChunkLab(1, ChunkLab.QuickOptions with { ScrubPeriod = TimeSpan.FromMinutes(5) }, "s1", "s2", "s3");
        for (int i = 0; i < 50; i++)
        {
            ChunkId chunk = ChunkLab.ChunkOf(i * 5, i);
            lab.Referenced.Add(chunk);
            foreach (LabServer server in lab.Servers)
            {
                server.Inventory.Store(chunk, Length, 3, default);
            }

            lab.Servers.ElementAt(i % 3).Inventory.Rotten.Add(chunk);
        }

        lab.Heal();
        lab.Run(TimeSpan.FromMinutes(7));
        Assert.All(lab.Servers, server => Assert.Empty(server.Inventory.Rotten));
        Assert.All(lab.Servers, server => Assert.InRange(server.Core.Figures.Scrubbed, 50, 90));
        AssertInPlace(lab);
    }

    [Fact]
    public void Verify_answers_false_for_what_cannot_be_read_back()
    {
        var lab = new ChunkLab(1, ChunkLab.QuickOptions with { VerifyWindow = 2 }, "s1", "s2", "s3");
        List<bool> answers = [];
        lab["s1"].Core.Verify(ChunkLab.ChunkOf(1, 1), lab.Moment, answers.Add);
        Assert.Equal([false], answers);
        for (int i = 1; i <= 3; i++)
        {
            lab["s1"].Inventory.Store(ChunkLab.ChunkOf(i, i), Length, 3, default);
            lab["s1"].Core.Verify(ChunkLab.ChunkOf(i, i), lab.Moment, answers.Add);
        }

        Assert.Equal([false, false], answers);
        lab.Run(TimeSpan.FromMilliseconds(10));
        Assert.Equal([false, false, true, true], answers);
    }

    /// <summary>Puts, crashes, cuts, full disks, rot and deletions at random; then quiet, in which everything must come right.</summary>
    [Fact]
    public void Random_faults_break_no_acknowledged_put_and_everything_converges()
    {
        for (ulong seed = 1; seed <= 25; seed++)
        {
            var random = new RandomSource(seed);
            IEnumerable<string> servers = Enumerable.Range(1, 3 + random.Below(5))
                .Select(i => random.Chance(0.5) ? $"s{i}" : $"s{i}:{(char)('a' + random.Below(3))}");
            var lab = new ChunkLab(seed, ChunkLab.QuickOptions, [.. servers]);
            lab.Heal();
            Trouble(lab, random);
            foreach (LabServer server in lab.Servers)
            {
                // A source that crashed is found to have pushed nothing.
                server.DecidedTags.UnionWith(Enumerable.Range(0, 200).Select(ChunkLab.TagOf));
            }

            lab.Heal();
            lab.Run(TimeSpan.FromMinutes(2));
            AssertInPlace(lab);
            Assert.All(lab.Servers, server => Assert.Equal(0, server.Core.UnderReplicated));
        }
    }

    private static void Trouble(ChunkLab lab, RandomSource random)
    {
        int majority = (lab.Servers.Count() / 2) + 1;
        for (int step = 0; step < 200; step++)
        {
            LabServer server = lab.Servers.ElementAt(random.Below(lab.Servers.Count()));
            LabServer other = lab.Servers.ElementAt(random.Below(lab.Servers.Count()));
            switch (random.Below(12))
            {
                case <= 4 when server.IsUp:
                    PutOne(lab, server, random, step, majority);
                    break;
                case 5 when server.IsUp && lab.Servers.Count(s => s.IsUp) > majority:
                    lab.Crash(server);
                    break;
                case 6 when !server.IsUp:
                    lab.Start(server);
                    break;
                case 7 when server.IsUp && other.IsUp && server != other:
                    lab.Cut(server, other);
                    break;
                case 8 when server != other:
                    lab.Join(server, other);
                    break;
                case 9:
                    server.IsFull = random.Chance(0.3);
                    break;
                case 10:
                    server.IsSilent = random.Chance(0.2);
                    break;
                case 11 when lab.Referenced.Count > 0:
                    lab.Referenced.Remove(lab.Referenced.Order().ElementAt(random.Below(lab.Referenced.Count)));
                    break;
                default:
                    break;
            }

            lab.Run(random.Below(TimeSpan.FromSeconds(1)));
            foreach (ChunkId chunk in lab.Referenced)
            {
                Assert.True(Holders(lab, chunk).Count >= 1);
            }
        }
    }

    private static void PutOne(ChunkLab lab, LabServer server, RandomSource random, int step, int majority)
    {
        ChunkId chunk = ChunkLab.ChunkOf(random.Below(256), step);
        Tag tag = ChunkLab.TagOf(step);
        int replicas = majority + random.Below(2);
        server.Put(chunk, Length, tag, replicas, majority, result =>
        {
            if (result == ChunkPutResult.Stored)
            {
                List<NodeId> holders = [.. Holders(lab, chunk).Where(name => lab[name].Inventory.HasIntent(chunk))];
                Assert.True(holders.Count >= majority);
                lab.Referenced.Add(chunk);
            }

            foreach (LabServer each in lab.Servers)
            {
                each.DecidedTags.Add(tag);
            }
        });
    }

    private static void AssertInPlace(ChunkLab lab)
    {
        foreach (ChunkId chunk in lab.Referenced)
        {
            Assert.NotEmpty(Holders(lab, chunk));
            int replicas = lab.Servers.Max(s => s.Inventory.TryDescribe(chunk, out _, out int asked) ? asked : 0);
            Assert.Equal(Designated(lab, chunk, replicas), Holders(lab, chunk));
        }

        Assert.All(lab.Servers, server => Assert.All(server.Inventory.All, chunk => Assert.Contains(chunk, lab.Referenced)));
    }

    private static List<NodeId> Designated(ChunkLab lab, ChunkId chunk, int replicas) =>
        [.. lab.Servers.First().Core.Table.Row(HashAllocationTable.RowOf(chunk)).Take(replicas).Order()];

    private static List<NodeId> Holders(ChunkLab lab, ChunkId chunk) =>
        [.. lab.Servers.Where(s => s.Inventory.Contains(chunk)).Select(s => s.Name)];

    private static ChunkLab Five()
    {
        var lab = new ChunkLab(1, ChunkLab.QuickOptions, "s1", "s2", "s3", "s4", "s5");
        lab.Heal();
        return lab;
    }
}
