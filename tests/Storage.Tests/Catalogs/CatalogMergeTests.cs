using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Xunit;
using Pipe = System.Collections.Generic.Queue<(
    Carillon.Storage.Tests.Catalogs.CatalogMergeTests.Server From, Carillon.Protocols.NodeId To, System.ReadOnlyMemory<byte> Bytes)>;
using static Carillon.Storage.Tests.Catalogs.Samples;

namespace Carillon.Storage.Tests.Catalogs;

/// <summary>Index merge between catalogs that trim and forget, over a pipe that loses and doubles.</summary>
public sealed class CatalogMergeTests
{
    public static TheoryData<ulong> Seeds => [.. Enumerable.Range(1, 8).Select(seed => (ulong)seed)];

    [Theory]
    [MemberData(nameof(Seeds))]
    public void Catalogs_that_missed_different_things_come_to_say_what_one_that_missed_nothing_says(ulong seed)
    {
        var random = new RandomSource(seed);
        ImmutableArray<Submission> history = History(random, 200);
        var pipe = new Pipe();
        using var whole = new Server("whole", pipe, random);
        ImmutableArray<Server> servers = [.. Enumerable.Range(1, 3).Select(i => new Server($"s{i}", pipe, random))];
        foreach (Submission submission in history)
        {
            RejectedTag[] rejected = random.Chance(0.05)
                ? [new RejectedTag(Tag(submission.Tag.Uid.Stamp.Milliseconds, 0, 60_000), $"{submission.Tag}", submission.Tag)] : [];
            whole.Apply(submission, rejected);
            ImmutableArray<Server> receivers = [.. servers.Where(_ => random.Chance(0.5))];
            foreach (Server server in receivers.IsEmpty ? [servers[0]] : receivers)
            {
                server.Apply(submission, rejected);
            }
        }

        Run(servers, pipe, random, whole);

        foreach (Server server in servers)
        {
            Assert.Equal(whole.Reader.DigestOf(MergeRange.Root), server.Reader.DigestOf(MergeRange.Root));
            Assert.Equal(whole.Listing, server.Listing);
            Assert.Equal(whole.Rejected, server.Rejected);
            Assert.All(whole.Rejected, item => Assert.Equal(item.Successor, server.Reader.SuccessorOf(item.Tag)));
            server.Dispose();
        }
    }

    private static void Run(ImmutableArray<Server> servers, Pipe pipe, RandomSource random, Server whole)
    {
        var now = new Instant(1);
        foreach (Server server in servers)
        {
            foreach (Server peer in servers.Where(p => p != server))
            {
                server.Core.PeerUp(peer.Name, now);
            }
        }

        MergeDigest aim = whole.Reader.DigestOf(MergeRange.Root);
        Instant end = now + TimeSpan.FromHours(1);
        while (now < end && servers.Any(s => s.Reader.DigestOf(MergeRange.Root) != aim))
        {
            if (!pipe.TryDequeue(out (Server From, NodeId To, ReadOnlyMemory<byte> Bytes) message))
            {
                now = servers.Min(s => s.Core.NextDeadline);
                foreach (Server server in servers)
                {
                    server.Core.Advance(now);
                }

                continue;
            }

            for (int copies = random.Chance(0.1) ? 0 : random.Chance(0.1) ? 2 : 1; copies > 0; copies--)
            {
                Assert.True(servers.Single(s => s.Name == message.To).Core.Receive(message.From.Name, message.Bytes.Span, now));
            }
        }
    }

    internal sealed class Server : IIndexMergeHost, IDisposable
    {
        private readonly CatalogMemory _memory = new();
        private readonly Catalog _catalog;
        private readonly Pipe _pipe;

        public Server(string name, Pipe pipe, RandomSource random)
        {
            _pipe = pipe;
            Name = NodeId.Parse(name);
            _catalog = Catalog.Open(CatalogLocation.InMemory(_memory), new CatalogOptions { OutcomeTtl = TimeSpan.FromHours(20) });
            Reader = _catalog.OpenReader();
            var options = new IndexMergeOptions { Window = 3, FetchWindow = 5, ListedItems = 4, AnswerBytes = 1000 };
            Core = new IndexMerge(options, random.Fork(), Reader, this);
        }

        public NodeId Name { get; }

        public CatalogReader Reader { get; }

        public IndexMerge Core { get; }

        public bool IsBusy => false;

        public IEnumerable<(string Name, Tag Tag)> Listing =>
            Reader.List(new ListQuery("bucket", Limit: 10_000, Versions: true)).Objects.Select(v => (v.Target.Name, v.Tag));

        public IEnumerable<MergeItem> Rejected =>
            Reader.ItemsIn(MergeRange.Root, default, 10_000).Where(i => i.Outcome == TagOutcome.Rejected);

        public void Apply(Submission submission, params RejectedTag[] rejected) =>
            _catalog.Apply(new CatalogBatch(1, [submission], [.. rejected]));

        public void Send(NodeId to, ReadOnlyMemory<byte> message) => _pipe.Enqueue((this, to, message));

        public void Learned(Submission submission) => Apply(submission);

        public void LearnedRejected(MergeItem item) =>
            _catalog.Apply(new CatalogBatch(1, [], [new RejectedTag(item.Tag, item.Key, item.Successor)]));

        public bool IsOnItsWay(Tag tag) => false;

        public void Merged(NodeId peer, Instant since)
        {
        }

        public void Dispose()
        {
            Reader.Dispose();
            _catalog.Dispose();
            _memory.Dispose();
        }
    }
}
