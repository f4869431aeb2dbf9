using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Xunit;

namespace Carillon.Protocols.Tests.VectorExchange;

public sealed class VectorExchangeTests
{
    private static readonly TimeSpan Second = TimeSpan.FromSeconds(1);

    [Fact]
    public void Plain_put_that_comes_behind_a_greater_one_in_the_feed_is_accepted_and_no_conflict()
    {
        var lab = new ExchangeLab(3, 5, hasFeed: true);
        lab.Feed!.Hold();
        var outcomes = new List<SubmitOutcome>();
        lab["s1"].Put("a", "older", "k1", outcomes.Add);
        lab.Run(Second);
        lab["s2"].Put("a", "newer", "k2", outcomes.Add);
        lab.Run(Second);
        lab.Feed.Release(backwards: true);
        lab.Run(Second);
        Assert.Equal(2, outcomes.Count);
        Assert.All(outcomes, outcome => Assert.IsType<SubmitOutcome.Accepted>(outcome));
        Assert.Contains(outcomes, outcome => outcome is SubmitOutcome.Accepted { Sequenced.Verdict: FeedVerdict.Superseded });
        Assert.All(lab.Servers.Values, s => Assert.Equal("newer", s.Content("a")));
    }

    [Fact]
    public void Put_with_all_connected_is_accepted_everywhere_with_n_times_n_minus_one_vectors()
    {
        // VE-30, VE-35..VE-40, VE-46, VE-78.
        foreach (int servers in new[] { 1, 3, 5 })
        {
            var lab = new ExchangeLab(servers, 7);
            lab["s1"].Put("a", "hello", "k1");
            lab.Run(Second);
            Assert.IsType<SubmitOutcome.Accepted>(OutcomeOf(lab["s1"]));
            Assert.All(lab.Servers.Values, s => Assert.Equal("hello", s.Content("a")));
            Assert.True(lab.VectorMessages <= servers * (servers - 1), $"{lab.VectorMessages} vectors for {servers} servers");
        }
    }

    [Fact]
    public void Put_without_a_quorum_is_rejected_at_once_and_stores_nothing()
    {
        // VE-24.
        var lab = new ExchangeLab(3, 1);
        lab.Isolate("s1");
        SubmitOutcome? outcome = null;
        lab["s1"].Put("a", "x", "k", o => outcome = o);
        Assert.Equal(RejectionReason.NoQuorum, Assert.IsType<SubmitOutcome.Rejected>(outcome).Reason);
        Assert.Equal(0, lab["s1"].Core.OpenTags);
    }

    [Fact]
    public void Put_whose_accepting_server_dies_after_its_vector_is_resolved_by_the_others()
    {
        // VE-45, VE-59: the vector is out, the accepting server gone.
        var lab = new ExchangeLab(5, 3);
        lab["s1"].Put("a", "x", "k");
        while (lab.VectorMessages == 0)
        {
            lab.Run(TimeSpan.FromMilliseconds(1));
        }

        lab.Run(TimeSpan.FromMilliseconds(2));
        lab["s1"].Crash();
        lab.Reconnect();
        lab.Run(Second * 10);
        Assert.All(lab.Servers.Values.Where(s => s.IsUp), s => Assert.Equal("x", s.Content("a")));
    }

    [Fact]
    public void Own_tag_without_a_bit_is_aborted_at_start()
    {
        // VE-53: crash between push and exchange.
        var lab = new ExchangeLab(3, 4) { FlushTime = TimeSpan.FromMilliseconds(5) };
        lab["s1"].Put("a", "x", "k");
        lab.Run(TimeSpan.FromMilliseconds(11));
        lab["s1"].Crash();
        lab.Reconnect();
        lab.Run(Second);
        lab["s1"].Start();
        lab.Reconnect();
        lab.Run(Second * 10);
        Assert.All(lab.Servers.Values, s => Assert.Equal(0, s.Core.OpenTags));
        Assert.Single(lab.Servers.Values.Select(s => s.Content("a")).Distinct());
    }

    [Fact]
    public void Stale_push_takes_a_fresh_stamp_and_is_accepted()
    {
        // VE-68: s2's clock is 20 s behind, and it has not heard of the first put.
        var lab = new ExchangeLab(3, 5);
        lab["s2"].Skew = -TimeSpan.FromSeconds(20);
        lab.Cut.Add((NodeId.Parse("s1"), NodeId.Parse("s2")));
        lab.Cut.Add((NodeId.Parse("s3"), NodeId.Parse("s2")));
        lab.Reconnect();
        lab["s1"].Put("a", "first", "k1");
        lab.Run(Second);
        lab.Heal();
        lab["s2"].Put("a", "second", "k2");
        lab.Run(Second);
        Assert.IsType<SubmitOutcome.Accepted>(OutcomeOf(lab["s2"]));
        Assert.Equal("second", lab["s1"].Content("a"));
        Assert.Equal("second", lab["s3"].Content("a"));
    }

    [Fact]
    public void Same_key_through_two_servers_gives_one_version()
    {
        // VE-72.
        for (ulong seed = 0; seed < 50; seed++)
        {
            var lab = new ExchangeLab(3, seed);
            var outcomes = new List<SubmitOutcome>();
            lab["s1"].Put("a", "x", "k", outcomes.Add);
            lab["s2"].Put("a", "x", "k", outcomes.Add);
            lab.Run(Second * 12);
            Assert.Equal(2, outcomes.Count);
            Assert.Single(outcomes.Select(o => Assert.IsType<SubmitOutcome.Accepted>(o).Tag).Distinct());
        }
    }

    [Fact]
    public void Inquiry_about_an_unknown_key_fences_it()
    {
        var lab = new ExchangeLab(3, 8);
        KeyAnswer answer = default;
        lab["s2"].Core.Show("k", lab["s2"].Moment, a => answer = a);
        lab["s2"].Settle();
        lab.Run(Second);
        Assert.Equal(TagState.Fenced, answer.State);
        SubmitOutcome? outcome = null;
        lab["s1"].Put("a", "x", "k", o => outcome = o);
        lab.Run(Second * 3);
        Assert.Equal(RejectionReason.KeyFenced, Assert.IsType<SubmitOutcome.Rejected>(outcome).Reason);
    }

    [Fact]
    public void Faults_of_many_seeds_never_break_agreement()
    {
        for (ulong seed = 0; seed < 300; seed++)
        {
            RunWithFaults(seed, seed % 3 == 0 ? 5 : 3);
        }
    }

    private static void RunWithFaults(ulong seed, int servers)
    {
        var lab = new ExchangeLab(
            servers, seed, new VectorExchangeOptions { TemporaryTtl = TimeSpan.FromSeconds(20) }) { Loss = seed % 4 * 0.1 };
        var random = new RandomSource(seed + 1000);
        var verdicts = new Dictionary<string, List<SubmitOutcome>>(StringComparer.Ordinal);
        for (int i = 0; i < 40; i++)
        {
            LabServer server = lab.Servers.Values.ElementAt(random.Below(servers));
            string key = $"k{random.Below(30)}";
            if (random.Chance(0.15))
            {
                if (server.IsUp && lab.Servers.Values.Count(s => s.IsUp) > servers / 2)
                {
                    server.Crash();
                }
                else if (!server.IsUp)
                {
                    server.Start();
                }

                lab.Reconnect();
            }
            else if (server.IsUp)
            {
                verdicts.TryAdd(key, []);
                server.Put($"n{key.Length}", $"content of {key}", key, verdicts[key].Add);
            }

            lab.Run(random.Below(TimeSpan.FromMilliseconds(random.Chance(0.2) ? 2000 : 5)));
        }

        foreach (LabServer server in lab.Servers.Values.Where(s => !s.IsUp))
        {
            server.Start();
        }

        lab.Heal();
        lab.Run(TimeSpan.FromSeconds(60));
        lab.Merge();
        Check(lab, verdicts, seed);
    }

    private static void Check(ExchangeLab lab, Dictionary<string, List<SubmitOutcome>> verdicts, ulong seed)
    {
        LabServer first = lab.Servers.Values.First();
        foreach (LabServer server in lab.Servers.Values)
        {
            Assert.True(server.Core.OpenTags == 0, $"seed {seed}: {server.Name} has {server.Core.OpenTags} open tags");
            Assert.Equal(first.Catalog.Keys.Order(), server.Catalog.Keys.Order());
            Assert.Empty(server.Catalog.Keys.Intersect(server.Noes.Keys));
        }

        foreach ((string key, List<SubmitOutcome> outcomes) in verdicts)
        {
            Tag[] accepted = [.. first.Catalog.Values.Where(s => s.Key == key).Select(s => s.Tag)];
            Assert.True(accepted.Length <= 1, $"seed {seed}: key {key} was accepted {accepted.Length} times");
            foreach (SubmitOutcome.Accepted told in outcomes.OfType<SubmitOutcome.Accepted>())
            {
                Assert.Equal([told.Tag], accepted);
            }
        }
    }

    private static SubmitOutcome OutcomeOf(LabServer server)
    {
        // The lab's text form is for transcripts; the outcome itself is found by asking again under the same key.
        string key = server.Told[^1].Split(':')[0];
        return server.Told[^1].Contains(nameof(SubmitOutcome.Accepted), StringComparison.Ordinal)
            ? new SubmitOutcome.Accepted(server.Catalog.Values.First(s => s.Key == key).Tag, Replayed: false)
            : new SubmitOutcome.Rejected(RejectionReason.NoQuorum, server.Told[^1]);
    }
}
