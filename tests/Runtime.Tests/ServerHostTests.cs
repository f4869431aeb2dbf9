using System.Collections.Immutable;
using System.Diagnostics;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Carillon.Node;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.IndexMerge;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Loop;
using Carillon.Runtime.Security;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;
using Microsoft.Extensions.Logging.Abstractions;

namespace Carillon.Runtime.Tests;

/// <summary>Three real servers in one process: sockets, disks, certificates.</summary>
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

    private sealed class Trio : IAsyncDisposable
    {
        private readonly List<ServerHost> _hosts = [];
        private readonly string _folder = Directory.CreateTempSubdirectory("carillon-test-").FullName;

        public IReadOnlyList<IEntryServer> Servers => [.. _hosts.Select(h => h.Server)];

        public static async Task<Trio> StartAsync(NodeOptions? node = null)
        {
            var trio = new Trio();
            int[] ports = FreePorts(3);
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

        private static int[] FreePorts(int count)
        {
            TcpListener[] listeners = [.. Enumerable.Range(0, count).Select(_ => new TcpListener(IPAddress.Loopback, 0))];
            foreach (TcpListener listener in listeners)
            {
                listener.Start();
            }

            int[] ports = [.. listeners.Select(l => ((IPEndPoint)l.LocalEndpoint).Port)];
            foreach (TcpListener listener in listeners)
            {
                listener.Stop();
            }

            return ports;
        }
    }
}
