using System.Collections.Immutable;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Carillon.Node;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Groups;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Security;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Runtime.Tests;

/// <summary>Three real servers in one process: sockets, disks, certificates. Alone, since a test measures the process's memory.</summary>
[CollectionDefinition(nameof(ServerHostTests), DisableParallelization = true)]
[Collection(nameof(ServerHostTests))]
public sealed class ServerHostTests
{
    [Fact]
    public async Task Put_at_one_server_is_read_at_another()
    {
        await using Trio trio = await Trio.StartAsync();
        await trio.CreateBucketAsync("files");
        SubmitOutcome outcome = await trio.PutAsync(0, "files", "a/b", new byte[] { 1, 2, 3 });
        Assert.IsType<SubmitOutcome.Accepted>(outcome);
        ReadOutcome read = await trio.Servers[2].ReadAsync(new ObjectName("files", "a/b"), null, Consistency.Linearizable);
        Assert.Equal([1, 2, 3], Assert.IsType<ReadOutcome.Found>(read).Manifest.Inline.ToArray());
    }

    [Fact]
    public async Task Put_that_is_answered_before_the_catalog_has_it_is_seen_by_whoever_asks_its_server()
    {
        await using Trio trio = await Trio.StartAsync(new NodeOptions { ApplyDelay = TimeSpan.FromSeconds(60) });
        await trio.CreateBucketAsync("files");
        IEntryServer server = trio.Servers[0];
        var name = new ObjectName("files", "a");
        Tag tag = (await AcceptedAsync()).Tag;
        Assert.Equal(tag.Uid, Assert.IsType<ReadOutcome.Found>(await server.ReadAsync(name, null, Consistency.Local)).Uid);
        tag = (await AcceptedAsync()).Tag;
        Assert.Equal(tag.Uid, Assert.IsType<ReadOutcome.Found>(await server.ReadAsync(name, tag.Uid, Consistency.Local)).Uid);
        tag = (await AcceptedAsync()).Tag;
        ListPage page = await server.ListAsync(new ListQuery("files"));
        Assert.Equal(tag.Uid, Assert.Single(page.Objects).Uid);
        SubmitOutcome.Accepted accepted = await AcceptedAsync();
        var read = Assert.IsType<ReadOutcome.Found>(await server.ReadAsync(name, null, Consistency.Linearizable));
        Assert.Equal((accepted.Tag.Uid, accepted.Sequenced.Number), (read.Uid, read.Number));
        accepted = await AcceptedAsync();
        FeedOutcome shown = (await server.ShowAsync(accepted.Tag)).Sequenced;
        Assert.Equal((accepted.Sequenced.Number, FeedVerdict.Applied), (shown.Number, shown.Verdict));

        async Task<SubmitOutcome.Accepted> AcceptedAsync()
        {
            var outcome = Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(0, "files", "a", new byte[] { 1, 2, 3 }));
            Assert.Equal(FeedVerdict.None, outcome.Sequenced.Verdict);
            Assert.False(outcome.Sequenced.Number.IsNone);
            return outcome;
        }
    }

    [Fact]
    public async Task Large_content_is_read_back_from_a_server_that_did_not_take_it()
    {
        await using Trio trio = await Trio.StartAsync();
        await trio.CreateBucketAsync("files");
        byte[] content = new byte[5_000_003];
        new Random(1).NextBytes(content);
        Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(0, "files", "large", content));
        ReadOutcome read = await trio.Servers[1].ReadAsync(new ObjectName("files", "large"), null, Consistency.Linearizable);
        ObjectManifest manifest = Assert.IsType<ReadOutcome.Found>(read).Manifest;
        Assert.Equal(content, await Trio.ReadAsync(trio.Servers[1], manifest));
    }

    [Fact]
    public async Task Chunks_that_only_a_stored_list_names_stay_and_those_of_a_dropped_list_are_collected()
    {
        // Small chunks, so that the list of a few megabytes is too long for its manifest.
        await using Trio trio = await Trio.StartAsync(new NodeOptions
        {
            Merge = new IndexMergeOptions { Interval = TimeSpan.FromSeconds(1) },
            Replication = new ChunkReplicationOptions
            {
                CollectInterval = TimeSpan.FromMilliseconds(100), CollectStepInterval = TimeSpan.FromMilliseconds(1),
                CollectGrace = TimeSpan.FromMilliseconds(300), CollectStep = 2000,
            },
        });
        await trio.CreateBucketAsync("files", new BucketSettings { ChunkSize = BucketSettings.MinChunkSize, Versions = 1 });
        byte[] content = new byte[1700 * BucketSettings.MinChunkSize];
        new Random(2).NextBytes(content);
        Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(0, "files", "gone", content));
        new Random(3).NextBytes(content);
        Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(1, "files", "kept", content));
        Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(2, "files", "gone", [1]));

        foreach (IEntryServer server in trio.Servers)
        {
            // Its chunks and the one that lists them; what was dropped goes, and no more.
            int stored = int.MaxValue;
            await Wait.Until(() => (stored = Trio.StoredChunks(server)) <= 1701);
            Assert.Equal(1701, stored);
        }

        ReadOutcome read = await trio.Servers[0].ReadAsync(new ObjectName("files", "kept"), null, Consistency.Linearizable);
        ObjectManifest manifest = Assert.IsType<ReadOutcome.Found>(read).Manifest;
        Assert.Equal(ContentForm.ChunkedList, manifest.Form);
        Assert.Equal(content, await Trio.ReadAsync(trio.Servers[0], manifest));
    }

    [Fact]
    public async Task Damaged_copies_that_peers_ask_for_end_no_server_and_are_mended()
    {
        // Who has no good copy says so: nobody waits for an answer that does not come.
        await using Trio trio = await Trio.StartAsync(
            new NodeOptions { Replication = new ChunkReplicationOptions { RequestTimeout = TimeSpan.FromMinutes(5) } });
        await trio.CreateBucketAsync("files", new BucketSettings { ChunkSize = BucketSettings.MinChunkSize });
        byte[] content = new byte[40 * BucketSettings.MinChunkSize];
        new Random(4).NextBytes(content);
        Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(0, "files", "a", content));
        await Wait.Until(() => trio.Servers.All(server => Trio.StoredChunks(server) == 40));

        // Of two servers each copy is bad, so both ask each other and the third, in an order that depends on the chunk.
        trio.DamageChunks(1);
        trio.DamageChunks(2);
        ReadOutcome read = await trio.Servers[2].ReadAsync(new ObjectName("files", "a"), null, Consistency.Linearizable);
        ObjectManifest manifest = Assert.IsType<ReadOutcome.Found>(read).Manifest;
        Assert.Equal(content, await Wait.For(Trio.ReadAsync(trio.Servers[2], manifest)));
        Assert.Equal(content, await Wait.For(Trio.ReadAsync(trio.Servers[1], manifest)));
        Assert.Equal("", trio.Failure);
    }

    [Fact]
    public async Task Catalog_whose_damage_is_met_in_use_is_rebuilt_at_the_next_start()
    {
        // Of a large one the start looks at a part: the server ended at the same page again and again.
        await using Trio trio = await Trio.StartAsync(
            new NodeOptions { Merge = new IndexMergeOptions { Interval = TimeSpan.FromSeconds(1) } });
        await trio.CreateBucketAsync("files");
        Assert.IsType<SubmitOutcome.Accepted>(await trio.PutAsync(0, "files", "a", [1, 2, 3]));
        _ = ((EntryServer)trio.Servers[0]).Ask<bool>((_, _, _) => throw CatalogDamagedException.AsFault("a page is none"));
        await Wait.Until(() => trio.Failure.Length > 0);
        Assert.Contains("a page is none", trio.Failure);
        await trio.RestartAsync(0);
        await Wait.Until(() => trio.Servers[0].Status().WriteQuorum);
        Assert.Single(trio.Files(0, "catalog.db.damaged-*"), file => char.IsDigit(file[^1]));
        Assert.Empty(trio.Files(0, "catalog.db.damaged"));
        ReadOutcome read = await trio.Servers[0].ReadAsync(new ObjectName("files", "a"), null, Consistency.Linearizable);
        Assert.Equal([1, 2, 3], Assert.IsType<ReadOutcome.Found>(read).Manifest.Inline.ToArray());
        await trio.RestartAsync(0);
        Assert.Single(trio.Files(0, "catalog.db.damaged-*"), file => char.IsDigit(file[^1]));
    }

    [Theory]
    [InlineData("tunnel", SocketType.Stream)]
    [InlineData("datagrams", SocketType.Dgram)]
    public async Task Server_whose_port_is_in_use_says_so_and_lets_its_folder_go(string what, SocketType type)
    {
        using var taken = new Socket(AddressFamily.InterNetwork, type, ProtocolType.Unspecified);
        taken.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        if (type == SocketType.Stream)
        {
            taken.Listen();
        }

        using TemporaryDirectory directory = new();
        int port = ((IPEndPoint)taken.LocalEndPoint!).Port;
        var record = new ServerRecord
        {
            Name = NodeId.Parse("s1"), Disk = new DiskId(1), Host = "127.0.0.1", HttpPort = 0,
            TunnelPort = what == "tunnel" ? port : 0, DatagramPort = what == "tunnel" ? 0 : port,
        };
        using ClusterAuthority authority = ClusterAuthority.Create("one", DateTimeOffset.UtcNow);
        var options = new ServerHostOptions(
            new ClusterConfiguration("one", 1, [record]), record.Name, directory.At("data"),
            Keyring.Create(authority, record.Name, ClusterKeys.Create(), DateTimeOffset.UtcNow), IPAddress.Loopback, new NodeOptions(),
            new EventLoopOptions());

        IOException fault = await Assert.ThrowsAsync<IOException>(
            () => Wait.For(ServerHost.StartAsync(options, NullLoggerFactory.Instance)));
        Assert.Contains($"can't listen for {what} on 127.0.0.1:{port}", fault.Message, StringComparison.Ordinal);
        taken.Dispose();
        await using ServerHost second = await ServerHost.StartAsync(options, NullLoggerFactory.Instance);
    }

    [Theory]
    [InlineData(GroupDurability.Durable)]
    [InlineData(GroupDurability.Memory)]
    public async Task Messages_to_a_group_are_read_at_all_servers_in_one_order(GroupDurability durability)
    {
        await using Trio trio = await Trio.StartAsync();
        await trio.CreateGroupAsync(new GroupSettings { Durability = durability });
        ulong[] numbers = await Task.WhenAll(Enumerable.Range(0, 30).Select(i => trio.PublishAsync(i % 3, (ulong)i + 1)));
        Assert.Equal(30, numbers.Distinct().Count());
        foreach (IGroupGate gate in trio.Groups)
        {
            var read = new Dictionary<ulong, ulong>();
            await foreach (ReadOnlyMemory<GroupMessage> run in gate.SubscribeAsync(
                Trio.Group, new SequenceNumber(1), TestContext.Current.CancellationToken))
            {
                foreach (GroupMessage message in run.Span)
                {
                    read.Add(message.Number.Value, message.Id.Session.Low);
                }

                if (read.Count == 30)
                {
                    break;
                }
            }

            Assert.All(numbers.Index(), n => Assert.Equal((ulong)n.Index + 1, read[n.Item]));
        }
    }

    [Fact]
    public async Task Group_is_created_again_with_its_settings_only_and_is_gone_after_its_removal()
    {
        await using Trio trio = await Trio.StartAsync();
        await trio.CreateGroupAsync(new GroupSettings());
        Assert.IsType<SubmitOutcome.Accepted>(await trio.Groups[1].CreateAsync(Trio.Group, new GroupSettings(), "again"));
        SubmitOutcome other = await trio.Groups[2].CreateAsync(Trio.Group, new GroupSettings { Lifetime = 5000 }, "other");
        Assert.Equal(RejectionReason.BucketExists, Assert.IsType<SubmitOutcome.Rejected>(other).Reason);
        await trio.PublishAsync(0, 1);
        Assert.IsType<SubmitOutcome.Accepted>(await trio.Groups[0].RemoveAsync(Trio.Group, "remove"));
        await Wait.Until(() => trio.Groups.All(g => g.ListAsync().Result.Count == 0));
        Assert.Null(await trio.Groups[1].FindAsync(Trio.Group));
        Assert.Empty(trio.Servers[0].Buckets());

        // A new one of that name begins at 1.
        await trio.CreateGroupAsync(new GroupSettings(), "anew");
        Assert.Equal(1u, await trio.PublishAsync(0, 1));
    }

    [Fact]
    public async Task Idle_subscriber_costs_a_few_hundred_bytes()
    {
        const int Subscribers = 5000;
        const int MostBytes = 2000;
        await using Trio trio = await Trio.StartAsync();
        await trio.CreateGroupAsync(new GroupSettings());
        await trio.PublishAsync(0, 1);
        using var ended = new CancellationTokenSource();
        IAsyncEnumerator<ReadOnlyMemory<GroupMessage>>[] all = [.. Enumerable.Range(0, Subscribers).Select(
            _ => trio.Groups[0].SubscribeAsync(Trio.Group, new SequenceNumber(2), ended.Token).GetAsyncEnumerator(ended.Token))];
        long before = GC.GetTotalMemory(forceFullCollection: true);
        Task<bool>[] waiting = [.. all.Select(s => s.MoveNextAsync().AsTask())];
        long bytes = (GC.GetTotalMemory(forceFullCollection: true) - before) / Subscribers;
        TestContext.Current.TestOutputHelper?.WriteLine($"{bytes} bytes for each idle subscriber");
        Assert.InRange(bytes, 0, MostBytes);
        await trio.PublishAsync(1, 2);
        Assert.All(await Task.WhenAll(waiting), Assert.True);
        await ended.CancelAsync();
    }

    private sealed class Trio : IAsyncDisposable
    {
        private readonly List<ServerHostOptions> _options = [];
        private readonly List<ServerHost> _hosts = [];
        private readonly string _folder = Directory.CreateTempSubdirectory("carillon-test-").FullName;

        public IReadOnlyList<IEntryServer> Servers => [.. _hosts.Select(h => h.Server)];

        public IReadOnlyList<IGroupGate> Groups => [.. _hosts.Select(h => h.Groups)];

        public static async Task<Trio> StartAsync(NodeOptions? node = null)
        {
            var trio = new Trio();
            int[] ports = FreePorts.Take(3);
            using ClusterAuthority authority = ClusterAuthority.Create("trio", DateTimeOffset.UtcNow);
            ClusterKeys keys = ClusterKeys.Create();
            ImmutableArray<ServerRecord> records =
            [
                .. Enumerable.Range(0, 3).Select(i => new ServerRecord
                {
                    Name = NodeId.Parse($"s{i + 1}"), Disk = new DiskId((UInt128)(i + 1)), Host = "127.0.0.1", HttpPort = 0,
                        TunnelPort = ports[i], DatagramPort = 0,
                }),
            ];
            var configuration = new ClusterConfiguration("trio", 1, records);
            foreach (ServerRecord record in records)
            {
                var options = new ServerHostOptions(
                    configuration, record.Name, Path.Combine(trio._folder, record.Name.Name),
                        Keyring.Create(authority, record.Name, keys, DateTimeOffset.UtcNow),
                    IPAddress.Loopback, node ?? new NodeOptions(), new EventLoopOptions());
                trio._options.Add(options);
                trio._hosts.Add(await ServerHost.StartAsync(options, NullLoggerFactory.Instance));
            }

            var waited = Stopwatch.StartNew();
            while (trio.Servers.Any(s => s.Status() is { WriteQuorum: false } or { QuorumConnected: < 3 }))
            {
                Assert.True(waited.Elapsed < TimeSpan.FromSeconds(20), "the servers did not find each other");
                await Task.Yield();
            }

            return trio;
        }

        /// <summary>Why one of them ended; empty: none has.</summary>
        public string Failure => string.Join("; ", _hosts.Where(host => host.Failed.IsCompleted).Select(host => host.Failed.Result));

        public async Task RestartAsync(int server)
        {
            await _hosts[server].StopAsync().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _hosts[server] = await ServerHost.StartAsync(_options[server], NullLoggerFactory.Instance);
        }

        public IEnumerable<string> Files(int server, string pattern) =>
            Directory.EnumerateFiles(_options[server].DataFolder, pattern);

        /// <summary>Flips bits of every chunk that a server has.</summary>
        public void DamageChunks(int server)
        {
            foreach (string file in Directory.EnumerateFiles(
                Path.Combine(_folder, $"s{server + 1}"), "*.chunks", SearchOption.AllDirectories))
            {
                using FileStream stream = new(file, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
                byte[] bytes = new byte[stream.Length];
                stream.ReadExactly(bytes);
                for (int at = 1000; at < bytes.Length; at += 1000)
                {
                    bytes[at] ^= 0x40;
                }

                stream.Position = 0;
                stream.Write(bytes);
            }
        }

        public static GroupName Group { get; } = GroupName.Parse("g");

        public async Task CreateGroupAsync(GroupSettings settings, string key = "group")
        {
            Assert.IsType<SubmitOutcome.Accepted>(await Groups[0].CreateAsync(Group, settings, key));
            await Wait.Until(() => Groups.All(g => g.ListAsync().Result.Count == 1));
        }

        /// <summary>A message of a session of its own, at one server, again until it has its number.</summary>
        public async Task<ulong> PublishAsync(int server, ulong session)
        {
            ulong number = 0;
            var id = new MessageId(new SessionId(1, session), 1);
            await Wait.Until(() =>
            {
                Task<PublishOutcome> publishing = Groups[server].PublishAsync(
                    Group, id, 0, null, new byte[] { 1, 2, 3 }, TestContext.Current.CancellationToken);
                Groups[server].Send();
                PublishOutcome outcome = publishing.Result;
                number = (outcome as PublishOutcome.Committed)?.Number.Value ?? 0;
                return number > 0;
            });
            return number;
        }

        public static async Task<byte[]> ReadAsync(IEntryServer server, ObjectManifest manifest)
        {
            using var output = new MemoryStream();
            var writer = PipeWriter.Create(output, new StreamPipeWriterOptions(leaveOpen: true));
            await server.WriteContentAsync(manifest, 0, manifest.Size, writer, TestContext.Current.CancellationToken);
            await writer.CompleteAsync();
            return output.ToArray();
        }

        public static int StoredChunks(IEntryServer server) =>
            ((EntryServer)server).Ask<int>((node, _, answer) => answer(node.Chunks.Count)).GetAwaiter().GetResult();

        public async Task CreateBucketAsync(string bucket, BucketSettings? settings = null) =>
            Assert.IsType<SubmitOutcome.Accepted>(
                await Servers[0].PutBucketAsync(bucket, settings ?? new BucketSettings(), replace: false, Guid.NewGuid().ToString("n")));

        public async Task<SubmitOutcome> PutAsync(int server, string bucket, string name, byte[] content)
        {
            PipeReader body = PipeReader.Create(new MemoryStream(content));
            StoreOutcome stored = await Servers[server].StoreAsync(
                bucket, body, content.Length, "", [], default, TestContext.Current.CancellationToken);
            StoreOutcome.Stored good = Assert.IsType<StoreOutcome.Stored>(stored);
            return await Servers[server].SubmitAsync(new SubmitRequest(
                [new Operation(OperationKind.Put, new ObjectName(bucket, name), good.Manifest)], Guid.NewGuid().ToString("n"),
                    good.Upload));
        }

        public async ValueTask DisposeAsync()
        {
            await Task.WhenAll(_hosts.Select(h => h.StopAsync()));
            Directory.Delete(_folder, recursive: true);
        }
    }
}
