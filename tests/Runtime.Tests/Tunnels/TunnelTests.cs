using System.Buffers.Binary;
using System.Collections.Concurrent;
using System.Net;
using System.Net.NetworkInformation;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>One connection a pair, everything on it, and nothing held up by anything else (VE-15 to VE-18).</summary>
public sealed class TunnelTests : IDisposable
{
    private const TrafficKind Gossip = (TrafficKind)9;

    private readonly TestCluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public async Task Pair_connects_and_each_learns_who_the_other_is()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), incarnation: 4);
        await using TestServer s2 = new(_cluster.Ring("s2"), incarnation: 5);
        await TestServer.ConnectAsync(s1, s2);

        Assert.Equal((s2.Name, new DiskId(7), new Incarnation(5), 3UL), Facts(Assert.Single(s1.Ups)));
        Assert.Equal((s1.Name, new DiskId(7), new Incarnation(4), 3UL), Facts(Assert.Single(s2.Ups)));

        static (NodeId, DiskId, Incarnation, ulong) Facts(TunnelPeer peer) =>
            (peer.Name, peer.Disk, peer.Incarnation, peer.ConfigurationVersion);
    }

    [Fact]
    public async Task Messages_of_each_kind_arrive_whole_and_in_order_in_both_directions()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        TrafficKind[] kinds = [TrafficKind.Agreement, TrafficKind.Push, TrafficKind.Merge];
        const int Count = 3000;
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            for (int i = 0; i < Count; i++)
            {
                foreach (TrafficKind kind in kinds)
                {
                    byte[] message = new byte[4 + (i * 7 % 900)];
                    BinaryPrimitives.WriteInt32LittleEndian(message, i);
                    message.AsSpan(4).Fill((byte)kind);
                    Assert.True(from.Tunnel.TryQueue(to.Name, kind, message));
                }
            }

            from.Tunnel.Flush();
        }

        foreach (TestServer to in new[] { s1, s2 })
        {
            await Wait.Until(() => to.Messages.Count == Count * kinds.Length);
            foreach (TrafficKind kind in kinds)
            {
                byte[][] received = [.. to.Messages.Where(message => message.Kind == kind).Select(message => message.Message)];
                Assert.Equal(Enumerable.Range(0, Count), received.Select(message => BinaryPrimitives.ReadInt32LittleEndian(message)));
                Assert.All(received, message => Assert.Equal(message.Length - 4, message.Skip(4).Count(b => b == (byte)kind)));
            }
        }
    }

    [Fact]
    public async Task Largest_message_and_empty_one_arrive_and_a_larger_one_is_not_taken()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        int limit = TunnelOptions.DefaultKinds[TrafficKind.Push].MaxMessageBytes;
        byte[] large = new byte[limit];
        new Random(1).NextBytes(large);

        Assert.False(s1.Tunnel.TrySend(s2.Name, TrafficKind.Push, new byte[limit + 1]));
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            Assert.True(from.Tunnel.TrySend(to.Name, TrafficKind.Push, large));
            Assert.True(from.Tunnel.TrySend(to.Name, TrafficKind.Push, []));
            await Wait.Until(() => to.Messages.Count == 2);
            Assert.True(large.AsSpan().SequenceEqual(to.Messages.First().Message));
            Assert.Empty(to.Messages.Last().Message);
        }
    }

    [Fact]
    public async Task Three_servers_have_exactly_one_connection_per_pair()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await using TestServer s3 = new(_cluster.Ring("s3"));
        TestServer[] all = [s1, s2, s3];
        await TestServer.ConnectAsync(all);
        foreach (TestServer from in all)
        {
            foreach (TestServer to in all.Where(server => server != from))
            {
                Assert.True(from.Tunnel.TrySend(to.Name, TrafficKind.Agreement, "hello"u8));
                Assert.True(from.Tunnel.TrySendChunk(to.Name, TrafficKind.Bulk, default, new ChunkBuffer(new byte[100_000])));
            }
        }

        foreach (TestServer to in all)
        {
            await Wait.Until(() => to.Messages.Count == 2);
        }

        int[] ports = [.. all.Select(server => server.Tunnel.EndPoint.Port)];
        int[] accepted = [.. IPGlobalProperties.GetIPGlobalProperties().GetActiveTcpConnections()
            .Where(tcp => tcp.State == TcpState.Established && ports.Contains(tcp.LocalEndPoint.Port))
            .Select(tcp => tcp.LocalEndPoint.Port)];
        Assert.Equal([ports[1], ports[2], ports[2]], accepted.OrderBy(port => Array.IndexOf(ports, port)));
        Assert.All(all, server => Assert.Equal(2, server.Ups.Count));
        Assert.All(all, server => Assert.Empty(server.Downs));
    }

    [Fact]
    public async Task Full_queue_refuses_while_the_receiver_is_slow_and_nothing_taken_is_lost()
    {
        TaskCompletionSource open = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Small);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Small);
        await TestServer.ConnectAsync(s1, s2);
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            to.BeforeReceive = kind => kind == TrafficKind.Merge ? open.Task : Task.CompletedTask;
            byte[] message = new byte[8000];
            int taken = 0;
            await Wait.Until(() =>
            {
                while (from.Tunnel.TrySend(to.Name, TrafficKind.Merge, message))
                {
                    BinaryPrimitives.WriteInt32LittleEndian(message, ++taken);
                }

                // What is under way moves on for a while; at last the windows are full too.
                return taken > 20 && from.Tunnel.TrySend(to.Name, TrafficKind.Agreement, [0]) && to.CountOf(TrafficKind.Agreement) > 200;
            });
            Assert.InRange(taken, 20, 5000);
            Assert.Equal(0, to.CountOf(TrafficKind.Merge));

            open.SetResult();
            await Wait.Until(() => to.CountOf(TrafficKind.Merge) == taken);
            IEnumerable<byte[]> merged = to.Messages.Where(m => m.Kind == TrafficKind.Merge).Select(m => m.Message);
            Assert.Equal(Enumerable.Range(0, taken), merged.Select(message => BinaryPrimitives.ReadInt32LittleEndian(message)));
            open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }

        static TunnelOptions Small(TunnelOptions options) => options with
        {
            StreamWindowBytes = 128 << 10,
            Kinds = options.Kinds.SetItem(
                TrafficKind.Merge, new TrafficOptions { Name = "merge", MaxMessageBytes = 10_000, QueueBytes = 64 << 10 }),
        };
    }

    [Fact]
    public async Task Agreement_overtakes_bulk_that_was_queued_before_it()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        const int Questions = 20;
        int queued = 0;
        int arrived = 0;
        ConcurrentQueue<int> arrivedBefore = new();
        s2.OnChunk = (_, body) =>
        {
            body.Release();
            Interlocked.Increment(ref arrived);
        };
        s2.BeforeReceive = _ =>
        {
            arrivedBefore.Enqueue(Volatile.Read(ref arrived));
            return Task.CompletedTask;
        };

        // The queue of chunks is kept full while questions are asked one after another.
        using CancellationTokenSource enough = new();
        byte[] body = new byte[1 << 20];
        Task feeding = Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                if (s1.Tunnel.TrySendChunk(s2.Name, TrafficKind.Bulk, default, new ChunkBuffer(body)))
                {
                    Interlocked.Increment(ref queued);
                }

                await Task.Yield();
            }
        });
        List<int> queuedBefore = [];
        for (int i = 1; i <= Questions; i++)
        {
            await Wait.Until(() => Volatile.Read(ref queued) - Volatile.Read(ref arrived) > 32);
            queuedBefore.Add(Volatile.Read(ref queued));
            Assert.True(s1.Tunnel.TrySend(s2.Name, TrafficKind.Agreement, "question"u8));
            await Wait.Until(() => s2.CountOf(TrafficKind.Agreement) == i);
        }

        await enough.CancelAsync();
        await feeding;
        await Wait.Until(() => arrived == queued);
        int overtakers = queuedBefore.Zip(arrivedBefore).Count(pair => pair.First - pair.Second > 16);
        Assert.InRange(overtakers, (Questions / 2) + 1, Questions); // a machine under load may stop any thread for a while
    }

    [Fact]
    public async Task Chunks_that_nobody_takes_hold_up_only_their_own_stream()
    {
        ConcurrentQueue<ChunkBuffer> held = new();
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Small);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Small);
        await TestServer.ConnectAsync(s1, s2);
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            int arrived = 0;
            to.OnChunk = (_, body) =>
            {
                Interlocked.Increment(ref arrived);
                held.Enqueue(body);
            };
            for (int i = 0; i < 8; i++)
            {
                Assert.True(from.Tunnel.TrySendChunk(to.Name, TrafficKind.Bulk, default, new ChunkBuffer(new byte[1 << 20])));
            }

            await Wait.Until(() => Volatile.Read(ref arrived) == 2 && to.Chunks.BytesInUse == 2 << 20);
            Assert.True(from.Tunnel.TrySend(to.Name, TrafficKind.Agreement, "question"u8));
            await Wait.Until(() => to.CountOf(TrafficKind.Agreement) == 1);
            Assert.Equal(2, Volatile.Read(ref arrived));

            await Wait.Until(() =>
            {
                while (held.TryDequeue(out ChunkBuffer? body))
                {
                    body.Release();
                }

                return Volatile.Read(ref arrived) == 8 && to.Chunks.BytesInUse == 0;
            });
        }

        static TunnelOptions Small(TunnelOptions options) => options with
        {
            ChunkBufferBytes = 2 << 20,
            Kinds = options.Kinds.SetItem(
                TrafficKind.Bulk, new TrafficOptions { Name = "bulk", MaxMessageBytes = 1 << 20, QueueBytes = 16 << 20, Chunks = true }),
        };
    }

    [Fact]
    public async Task Servers_whose_memory_is_full_of_chunks_for_each_other_send_them_all()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Small);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Small);
        await TestServer.ConnectAsync(s1, s2);
        int arrived = 0;
        List<(TestServer From, TestServer To, PooledChunk Body)> chunks = [];
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            to.OnChunk = (_, body) =>
            {
                Interlocked.Increment(ref arrived);
                body.Release();
            };
            for (int i = 0; i < 4; i++)
            {
                chunks.Add((from, to, await from.Buffers.Content.RentAsync(1 << 20, TestContext.Current.CancellationToken)));
            }
        }

        foreach ((TestServer from, TestServer to, PooledChunk body) in chunks)
        {
            Assert.True(from.Tunnel.TrySendChunk(to.Name, TrafficKind.Bulk, default, body.Seal(1 << 20)));
        }

        await Wait.Until(() => Volatile.Read(ref arrived) == chunks.Count && s1.Buffers.BytesInUse + s2.Buffers.BytesInUse == 0);

        static TunnelOptions Small(TunnelOptions options) => options with
        {
            ChunkBufferBytes = 4 << 20,
            StreamWindowBytes = 65_535,
            Kinds = options.Kinds.SetItem(
                TrafficKind.Bulk, new TrafficOptions { Name = "bulk", MaxMessageBytes = 1 << 20, QueueBytes = 16 << 20, Chunks = true }),
        };
    }

    [Fact]
    public async Task Chunks_of_all_sizes_arrive_with_their_headers_and_are_released_by_the_sender()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        int[] sizes = [0, 1, 100, 16_384, 16_385, 65_536, 65_537, 1 << 20, (1 << 20) + 1, 5_000_000];
        Random random = new(2);
        byte[][] bodies = [.. sizes.Select(size => { byte[] body = new byte[size]; random.NextBytes(body); return body; })];
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            ConcurrentQueue<(byte[] Header, byte[] Body)> arrived = new();
            to.OnChunk = (header, body) =>
            {
                arrived.Enqueue((header, body.Memory.ToArray()));
                body.Release();
            };
            int released = 0;
            for (int i = 0; i < sizes.Length; i++)
            {
                ChunkBuffer body = new(bodies[i], _ => Interlocked.Increment(ref released));
                byte[] header = [.. Enumerable.Repeat((byte)i, i * 10)];
                Assert.True(i % 2 == 0
                    ? from.Tunnel.TrySendChunk(to.Name, TrafficKind.Bulk, header, body)
                    : from.Tunnel.TrySendChunk(to.Name, TrafficKind.Bulk, header, sizes[i], _ => new ValueTask<ChunkBuffer?>(body)));
                Assert.True(from.Tunnel.TrySendChunk(to.Name, TrafficKind.Bulk, header, sizes[i], _ => default));
            }

            await Wait.Until(() => arrived.Count == sizes.Length && Volatile.Read(ref released) == sizes.Length);
            int index = 0;
            foreach ((byte[] header, byte[] body) in arrived)
            {
                Assert.Equal(index * 10, header.Length);
                Assert.True(body.AsSpan().SequenceEqual(bodies[index++]));
            }

            Assert.Equal(0, to.Chunks.BytesInUse);
        }
    }

    [Fact]
    public async Task Chunk_that_is_not_what_its_header_says_is_not_handed_on()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        int arrived = 0;
        s2.OnVerify = (header, body) => body[0] == header[0];
        s2.OnChunk = (_, body) =>
        {
            arrived++;
            body.Release();
        };
        Assert.True(s1.Tunnel.TrySendChunk(s2.Name, TrafficKind.Bulk, new byte[] { 1 }, new ChunkBuffer(new byte[] { 2 })));
        Assert.True(s1.Tunnel.TrySendChunk(s2.Name, TrafficKind.Bulk, new byte[] { 3 }, new ChunkBuffer(new byte[] { 3 })));

        await Wait.Until(() => Volatile.Read(ref arrived) == 1);
        Assert.Equal([1], Assert.Single(s2.RefusedChunks));
        Assert.Equal(0, s2.Chunks.BytesInUse);
    }

    [Fact]
    public async Task Stop_sends_what_is_queued_and_says_goodbye()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Patient);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Patient);
        TestServer s0 = new(_cluster.Ring("s0"), change: Patient);
        await TestServer.ConnectAsync(s0, s1, s2);
        for (int i = 0; i < 2000; i++)
        {
            Assert.True(s0.Tunnel.TryQueue(s1.Name, TrafficKind.Agreement, new byte[100]));
            Assert.True(s2.Tunnel.TryQueue(s1.Name, TrafficKind.Agreement, new byte[100]));
        }

        s0.Tunnel.Flush();
        s2.Tunnel.Flush();
        await s0.DisposeAsync(); // dialled s1
        await s2.DisposeAsync(); // was dialled by s1
        await Wait.Until(() => s1.Downs.Count >= 2);
        Assert.Equal(4000, s1.Messages.Count);
        Assert.All(s1.Downs, down => Assert.Equal("it stops", down.Reason));
        Assert.False(s0.Tunnel.TrySend(s1.Name, TrafficKind.Agreement, default));

        static TunnelOptions Patient(TunnelOptions options) => options with { DrainTimeout = TimeSpan.FromSeconds(20) };
    }

    [Fact]
    public async Task New_kind_needs_no_change_of_the_tunnel_and_an_old_peer_is_served_without_it()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"), change: Newer);
        await using TestServer s2 = new(_cluster.Ring("s2"), change: Newer);
        await using TestServer s3 = new(_cluster.Ring("s3"));
        await using TestServer s0 = new(_cluster.Ring("s0"));
        await TestServer.ConnectAsync(s0, s1, s2, s3);

        Assert.True(s1.Tunnel.TrySend(s2.Name, Gossip, "news"u8));
        await Wait.Until(() => s2.CountOf(Gossip) == 1);
        foreach (TestServer old in new[] { s0, s3 })
        {
            Assert.False(s1.Tunnel.TrySend(old.Name, Gossip, "news"u8));
            Assert.True(s1.Tunnel.TrySend(old.Name, TrafficKind.Agreement, "vector"u8));
            await Wait.Until(() => old.CountOf(TrafficKind.Agreement) == 1);
        }

        static TunnelOptions Newer(TunnelOptions options) =>
            options with { Kinds = options.Kinds.Add(Gossip, new TrafficOptions { Name = "gossip" }) };
    }

    [Fact]
    public async Task Defect_in_the_handler_is_reported_to_the_owner()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        await using TestServer s2 = new(_cluster.Ring("s2"));
        await TestServer.ConnectAsync(s1, s2);
        foreach ((TestServer from, TestServer to) in new[] { (s1, s2), (s2, s1) })
        {
            to.BeforeReceive = _ => throw new InvariantBrokenException("defect");
            await Wait.Until(() => from.Tunnel.TrySend(to.Name, TrafficKind.Agreement, default) || to.Tunnel.Completion.IsFaulted);
            await Assert.ThrowsAsync<InvariantBrokenException>(() => Wait.For(to.Tunnel.Completion));
        }
    }

    [Fact]
    public async Task Message_to_nobody_is_refused()
    {
        await using TestServer s1 = new(_cluster.Ring("s1"));
        bool released = false;
        Assert.False(s1.Tunnel.TrySend(NodeId.Parse("s9"), TrafficKind.Agreement, default));
        ChunkBuffer body = new(new byte[1], _ => released = true);
        Assert.False(s1.Tunnel.TrySendChunk(NodeId.Parse("s9"), TrafficKind.Bulk, default, body));
        Assert.True(released);
    }

    [Fact]
    public void Options_out_of_range_are_all_reported_at_once()
    {
        TunnelOptions options = new() { Listen = new IPEndPoint(IPAddress.Loopback, 0) };
        Assert.Empty(options.Validate());
        TunnelOptions bad = options with
        {
            StreamWindowBytes = 1,
            UnsentBytes = 1,
            ConnectTimeout = TimeSpan.Zero,
            ReconnectMaximum = TimeSpan.Zero,
            SilenceLimit = TimeSpan.Zero,
            DrainTimeout = TimeSpan.FromSeconds(-1),
            ChunkBufferBytes = 1,
            Kinds = options.Kinds.Add(Gossip, new TrafficOptions { Name = "control", MaxMessageBytes = 10, QueueBytes = 9 }),
        };
        Assert.Equal(9, bad.Validate().Count);
    }
}
