using System.Collections.Immutable;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Xunit;

namespace Carillon.Protocols.Tests.IndexMerge;

/// <summary>Index merge between servers whose catalogs are plain sets.</summary>
public sealed class IndexMergeTests
{
    private const long Start = 1_700_000_000_000;

    private static readonly TimeSpan Minute = TimeSpan.FromMinutes(1);

    public static TheoryData<ulong> Seeds => [.. Enumerable.Range(1, 15).Select(seed => (ulong)seed)];

    [Fact]
    public void Servers_with_the_same_need_one_question_each()
    {
        var lab = new MergeLab(1, 2);
        foreach (Submission submission in Submissions(new RandomSource(1), 300))
        {
            lab.Servers[0].Add(submission);
            lab.Servers[1].Add(submission);
        }

        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1)));
        Assert.Equal(new Dictionary<MergeMessageType, int> { [MergeMessageType.Compare] = 2, [MergeMessageType.Same] = 2 }, lab.Sent);
        Assert.Equal([1, 1], lab.Servers.Select(s => s.Merges.Count));
    }

    [Fact]
    public void One_difference_among_many_is_found_in_few_messages()
    {
        var lab = new MergeLab(1, 2);
        ImmutableArray<Submission> all = Submissions(new RandomSource(1), 3000);
        lab.Servers[0].Add(all[1500]);
        foreach (Submission submission in all.Where(s => s != all[1500]))
        {
            lab.Servers[0].Add(submission);
            lab.Servers[1].Add(submission);
        }

        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () => lab.IsConverged));
        Assert.Equal(1, lab.Servers[1].Core.Learned);
        Assert.Equal(0, lab.Servers[0].Core.Learned);
        Assert.InRange(lab.Sent.Values.Sum(), 8, 40);
    }

    [Fact]
    public void Empty_server_learns_everything_and_merges_once()
    {
        var lab = new MergeLab(1, 2) { ApplyDelay = TimeSpan.FromMilliseconds(50) };
        ImmutableArray<Submission> all = Submissions(new RandomSource(1), 2000);
        foreach (Submission submission in all)
        {
            lab.Servers[0].Add(submission);
        }

        lab.Servers[0].Reject(Tag(Start - 5), "key", all[0].Tag);
        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(2)));
        Assert.Equal(lab.Servers[0].Items, lab.Servers[1].Items);
        Assert.Equal(2000, lab.Servers[1].Core.Learned);
        Assert.Equal(0, lab.Servers[1].LearnedTwice);
        Assert.Single(lab.Servers[1].Merges);
    }

    [Fact]
    public void Catalog_that_is_behind_is_waited_for()
    {
        var lab = new MergeLab(
            1, 2, new IndexMergeOptions { FetchWindow = 16 }) { ApplyDelay = TimeSpan.FromMilliseconds(200), BusyAt = 50 };
        foreach (Submission submission in Submissions(new RandomSource(1), 1000))
        {
            lab.Servers[0].Add(submission);
        }

        lab.Connect();
        Assert.True(lab.Run(Minute, () => lab.IsConverged));
        Assert.InRange(lab.Servers[1].MostOnTheWay, 50, 50 + 32);
        Assert.InRange(lab.Now - new Instant(1), TimeSpan.FromSeconds(1), TimeSpan.FromSeconds(10));
    }

    [Fact]
    public void Leaf_with_more_items_than_a_message_is_listed_page_by_page()
    {
        var lab = new MergeLab(3, 2);
        for (int i = 0; i < (MergeMessage.MaxItems * 2) + 10; i++)
        {
            lab.Servers[0].Add(Submission(
                new Tag(new Uid(new Timestamp(((ulong)Start << 16) + (ulong)i), NodeId.Parse("s1")), 7), "a", delete: false));
        }

        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () => lab.IsConverged));

        // Three pages of the one, and the other's empty list.
        Assert.Equal(3 + 1, lab.Sent[MergeMessageType.Items]);
    }

    [Fact]
    public void Large_records_are_answered_a_few_at_a_time()
    {
        var lab = new MergeLab(3, 2, new IndexMergeOptions { AnswerBytes = 5000 });
        foreach (Submission submission in Submissions(new RandomSource(1), 60, bytes: 2000))
        {
            lab.Servers[0].Add(submission);
        }

        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () => lab.IsConverged));
        Assert.Equal(60, lab.Sent[MergeMessageType.Record]);
        Assert.InRange(lab.Sent[MergeMessageType.Later], 15, 25);
    }

    [Fact]
    public void Tombstones_and_rejections_are_merged_like_the_rest()
    {
        var lab = new MergeLab(3, 2);
        lab.Servers[0].Add(Submission(Tag(Start), "a", delete: true));
        lab.Servers[1].Reject(Tag(Start + 1), "key", Tag(Start + 2));
        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () => lab.IsConverged));
        Assert.Equal(
            [new(Tag(Start), TagOutcome.Accepted, "", default), new MergeItem(Tag(Start + 1), TagOutcome.Rejected, "key", Tag(Start + 2))],
                lab.Servers[0].Items);
    }

    [Fact]
    public void Version_trimmed_here_is_not_fetched_again()
    {
        var lab = new MergeLab(3, 2);
        foreach (Submission submission in Submissions(new RandomSource(1), 100))
        {
            lab.Servers[0].Add(submission);
            lab.Servers[1].Add(submission);
        }

        lab.Servers[1].Trim(lab.Servers[1].Items.First().Tag);
        lab.Connect();
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.False(lab.Sent.ContainsKey(MergeMessageType.Fetch));
        Assert.All(lab.Servers, s => Assert.Single(s.Merges));
    }

    [Fact]
    public void Record_that_is_trimmed_before_it_is_fetched_does_not_hold_the_run()
    {
        var lab = new MergeLab(3, 2) { Delay = TimeSpan.FromMilliseconds(20) };
        foreach (Submission submission in Submissions(new RandomSource(1), 50))
        {
            lab.Servers[0].Add(submission);
        }

        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () => lab.Sent.ContainsKey(MergeMessageType.Fetch)));
        Tag trimmed = lab.Servers[0].Items.First().Tag;
        lab.Servers[0].Trim(trimmed);
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () => lab.Servers[1].Merges.Count == 1));
        Assert.Equal(1, lab.Sent[MergeMessageType.Gone]);
        lab.Run(TimeSpan.FromMilliseconds(1));
        Assert.Equal(lab.Servers[0].Items, lab.Servers[1].Items);
    }

    [Fact]
    public void Comparison_is_repeated_every_minute_and_sooner_on_news()
    {
        var lab = new MergeLab(3, 2);
        lab.Connect();
        lab.Run(TimeSpan.FromSeconds(1));
        lab.Servers[0].Add(Submission(Tag(Start), "a", delete: false));
        Assert.False(lab.Run(TimeSpan.FromSeconds(40), () => lab.IsConverged));
        Assert.True(lab.Run(TimeSpan.FromSeconds(40), () => lab.IsConverged));

        lab.Run(TimeSpan.FromSeconds(1));
        lab.Servers[0].Add(Submission(Tag(Start + 1), "a", delete: false));
        lab.Servers[1].Core.Hurry(lab.Servers[0].Name, lab.Now);
        Assert.True(lab.Run(TimeSpan.FromMilliseconds(20), () => lab.IsConverged));
    }

    [Fact]
    public void News_during_a_run_start_another_behind_it()
    {
        var lab = new MergeLab(3, 2) { Delay = TimeSpan.FromMilliseconds(10) };
        lab.Connect();
        Assert.True(lab.Run(TimeSpan.FromSeconds(1), () =>
            lab.Servers[0].Core.NextDeadline < lab.Now + TimeSpan.FromSeconds(4) && lab.Sent.Count == 1));
        lab.Servers[0].Core.Hurry(lab.Servers[1].Name, lab.Now);
        lab.Servers[1].Core.Hurry(lab.Servers[0].Name, lab.Now);
        lab.Run(TimeSpan.FromSeconds(1));
        Assert.Equal(3, lab.Servers.Sum(s => s.Merges.Count));
    }

    [Fact]
    public void Peer_that_does_not_answer_is_asked_again_ever_more_slowly()
    {
        var lab = new MergeLab(3, 2) { Loss = 1 };
        lab.Connect();
        lab.Run(5 * Minute);
        Assert.InRange(lab.Sent[MergeMessageType.Compare], 2 * 5, 2 * 12);
        Assert.All(lab.Servers, s => Assert.Empty(s.Merges));

        lab.Loss = 0;
        lab.Servers[0].Add(Submission(Tag(Start), "a", delete: false));
        Assert.True(lab.Run(2 * Minute, () => lab.IsConverged));
    }

    [Fact]
    public void Disconnected_peer_is_left_alone_and_taken_up_where_it_was()
    {
        var lab = new MergeLab(3, 2) { Delay = TimeSpan.FromMilliseconds(10) };
        foreach (Submission submission in Submissions(new RandomSource(1), 500))
        {
            lab.Servers[0].Add(submission);
        }

        lab.Connect();
        Assert.True(lab.Run(Minute, () => lab.Servers[1].Core.Learned > 200));
        lab.Servers[0].Core.PeerDown(lab.Servers[1].Name);
        lab.Servers[1].Core.PeerDown(lab.Servers[0].Name);
        lab.Run(TimeSpan.FromSeconds(1));
        int sent = lab.Sent.Values.Sum();
        lab.Run(5 * Minute);
        Assert.Equal(sent, lab.Sent.Values.Sum());
        Assert.False(lab.IsConverged);

        lab.Connect();
        Assert.True(lab.Run(Minute, () => lab.IsConverged));
        Assert.Equal(500, lab.Servers[1].Core.Learned);
    }

    [Fact]
    public void Garbage_and_messages_of_strangers_are_survived()
    {
        var lab = new MergeLab(3, 2);
        Assert.False(lab.Servers[0].Core.Receive(NodeId.Parse("s9"), [1, 2, 3], lab.Now));
        Assert.False(lab.Servers[0].Core.Receive(
            NodeId.Parse("s2"), new MergeMessage(MergeMessageType.Record, 1, MergeRange.Root) { Record = new byte[9] }.Encode(), lab.Now));
        Assert.True(lab.Servers[0].Core.Receive(
            NodeId.Parse("s2"), new MergeMessage(MergeMessageType.Gone, 1, MergeRange.Root) { Tags = [Tag(Start)] }.Encode(), lab.Now));
        Assert.Empty(lab.Sent);
    }

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Servers_converge_over_pipes_that_lose_and_double_and_delay(ulong seed)
    {
        var random = new RandomSource(seed);
        var options = new IndexMergeOptions { Window = 1 + random.Below(8), FetchWindow = 1 + random.Below(10),
            ListedItems = random.Below(6), AnswerBytes = random.Below(3000) };
        var lab = new MergeLab(seed, 2 + random.Below(2), options)
        {
            Loss = random.Fraction() * 0.3, Doubling = random.Fraction() * 0.3, Delay = random.Below(TimeSpan.FromMilliseconds(200)),
            ApplyDelay = random.Below(TimeSpan.FromMilliseconds(100)), BusyAt = 1 + random.Below(50),
        };
        ImmutableArray<Submission> all = Submissions(random, 150);
        var present = lab.Servers.ToDictionary(s => s, _ => new HashSet<Tag>());
        foreach (Submission submission in all)
        {
            foreach (MergeLab.Server server in lab.Servers.Where(_ => random.Chance(0.6)))
            {
                server.Add(submission);
                present[server].Add(submission.Tag);
            }
        }

        for (int i = 0; i < 10; i++)
        {
            lab.Servers[random.Below(lab.Servers.Length)].Reject(
                Tag(Start + random.Below(100_000), 9), $"key {i}", random.Chance(0.5) ? all[i].Tag : default);
        }

        int union = lab.Servers.SelectMany(s => s.Items).Select(i => i.Tag).Distinct().Count();
        lab.Connect();

        // What a server has merged with a peer, it knows: whatever was lost or came twice on the way.
        bool Sound() => lab.Servers.All(s => s.Merges.All(m =>
            present[lab.Servers.Single(p => p.Name == m.Peer)].All(tag => s.Outcome(tag) == TagOutcome.Accepted || s.IsOnItsWay(tag))));
        lab.Run(30 * Minute, () => !Sound() || lab.IsConverged);
        Assert.True(Sound(), "a server merged with another and does not know what that one has");
        Assert.True(lab.IsConverged, "no convergence");
        Assert.All(lab.Servers, s => Assert.Equal(union, s.Items.Count()));
        Assert.All(lab.Servers, s => Assert.Equal(0, s.LearnedTwice));
        Assert.All(lab.Servers, s => Assert.Equal(lab.Servers[0].Items, s.Items));
    }

    private static Tag Tag(long milliseconds, ulong nonce = 1) =>
        new(new Uid(new Timestamp((ulong)milliseconds << 16), NodeId.Parse("s1")), nonce);

    private static ImmutableArray<Submission> Submissions(RandomSource random, int count, int bytes = 10)
    {
        var submissions = ImmutableArray.CreateBuilder<Submission>(count);
        long milliseconds = Start;
        for (int i = 0; i < count; i++)
        {
            milliseconds += random.Chance(0.02) ? random.Below(100_000_000) : random.Below(30);
            submissions.Add(Submission(Tag(milliseconds, (ulong)i), $"name-{random.Below(1000)}", random.Chance(0.2), bytes));
        }

        return submissions.DrainToImmutable();
    }

    private static Submission Submission(Tag tag, string name, bool delete, int bytes = 10)
    {
        var manifest = new ObjectManifest { Size = bytes, Sha256 = Digest.Of(new byte[bytes]), Inline = new byte[bytes] };
        Operation operation = delete
            ? new(OperationKind.Delete, new ObjectName("bucket", name), null)
            : new(OperationKind.Put, new ObjectName("bucket", name), manifest);
        return Protocols.Submissions.Submission.Create(tag, default, new DiskId(1), $"key {tag}", [operation]);
    }
}
