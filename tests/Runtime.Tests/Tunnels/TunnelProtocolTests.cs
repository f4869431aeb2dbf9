using System.Buffers.Binary;
using System.Net;
using Carillon.Protocols;
using Carillon.Runtime.Security;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>What a peer with a good certificate may still say wrong.</summary>
public sealed class TunnelProtocolTests : IDisposable
{
    private const string ChunkLimits = "the limits are 67108864 and 4096";

    private static readonly Hello Good = new(1, 1, "demo", NodeId.Parse("s1"), new DiskId(1), new Incarnation(1), 1);

    private readonly TestCluster _cluster = new();

    public void Dispose() => _cluster.Dispose();

    [Fact]
    public void Greeting_has_its_golden_bytes_and_a_longer_one_is_read_too()
    {
        Hello hello = new(1, 1, "demo", NodeId.Parse("s1"), new DiskId(0x0102), new Incarnation(5), 9);
        byte[] bytes = hello.ToBytes();
        const string Golden = "01" + "0100" + "0100" + "0400" + "64656D6F" + "02" + "7331" + "02010000000000000000000000000000"
            + "0500000000000000" + "0900000000000000";
        Assert.Equal(Golden, Convert.ToHexString(bytes));
        Assert.True(Hello.TryRead([.. bytes, 1, 2, 3], out Hello read));
        Assert.Equal(hello, read);
        for (int length = 0; length < bytes.Length; length++)
        {
            Assert.False(Hello.TryRead(bytes.AsSpan(0, length), out _));
        }
    }

    [Fact]
    public void Control_messages_of_random_bytes_never_throw()
    {
        RandomSource random = new(3);
        byte[] bytes = new byte[200];
        for (int i = 0; i < 100_000; i++)
        {
            Span<byte> message = bytes.AsSpan(0, random.Below(bytes.Length));
            for (int k = 0; k < message.Length; k++)
            {
                message[k] = random.Chance(0.5) ? (byte)random.Below(3) : (byte)random.Next();
            }

            Hello.TryRead(message, out _);
            ControlMessages.TryReadEcho(message, out _);
            Assert.DoesNotContain(ControlMessages.ReadRefusal(message), char.IsControl);
        }
    }

    [Fact]
    public void Admission_names_each_fault()
    {
        using Keyring ring = _cluster.Ring("s2");
        TunnelAdmission admission = new(ring, new TunnelIdentity(new DiskId(1), new Incarnation(1), 1));
        admission.Configure(1, [Target("s1"), Target("s2"), Target("s3")]);
        admission.TryObserve(Good.Name, Good.Disk, new Incarnation(5));
        Hello s1 = Good with { Incarnation = new Incarnation(5) };

        Assert.Null(Fault(s1));
        Assert.Null(Fault(s1 with { Version = 7 }));
        Assert.Null(Fault(s1 with { Disk = new DiskId(2), Incarnation = new Incarnation(1) }));
        Assert.Equal("it speaks tunnel versions 2 to 7, this server 1 to 1", Fault(s1 with { Version = 7, OldestVersion = 2 }));
        Assert.Equal("it is of cluster 'other', this server of 'demo'", Fault(s1 with { Cluster = "other" }));
        Assert.Equal("it says that it is 's3', its certificate is for 's1'", Fault(s1 with { Name = NodeId.Parse("s3") }));
        Assert.Equal("it has this server's own name 's2'", Fault(s1 with { Name = NodeId.Parse("s2") }, "s2"));
        Assert.Equal("'s0' is not in the configuration", Fault(s1 with { Name = NodeId.Parse("s0") }, "s0"));
        Assert.Equal("of 's3' and 's2' the other one dials", Fault(s1 with { Name = NodeId.Parse("s3") }, "s3"));
        Assert.Equal("'s1' has been here with a later incarnation of its disk than 4", Fault(s1 with { Incarnation = new Incarnation(4) }));

        string? Fault(in Hello hello, string certified = "s1") => admission.FaultOf(hello, NodeId.Parse(certified), dialled: false);
        static TunnelTarget Target(string name) => new(NodeId.Parse(name), "127.0.0.1", 1);
    }

    [Fact]
    public async Task Greeting_of_another_cluster_is_answered_with_the_reason_and_logged_once()
    {
        await using TestServer s2 = await ListenAsync();
        using Keyring ring = _cluster.Ring("s1");
        using RawPeer peer = new(ring, s2.Tunnel.EndPoint);
        (_, byte[] answer) = await peer.GreetAsync((Good with { Cluster = "other" }).ToBytes());

        Assert.Equal("it is of cluster 'other', this server of 'demo'", ControlMessages.ReadRefusal(answer));
        Assert.EndsWith("it is of cluster 'other', this server of 'demo'", Assert.Single(s2.Log.Refusals));
        Assert.Empty(s2.Ups);
    }

    [Fact]
    public async Task Greeting_that_can_not_be_read_is_refused()
    {
        await using TestServer s2 = await ListenAsync();
        using Keyring ring = _cluster.Ring("s1");
        using RawPeer peer = new(ring, s2.Tunnel.EndPoint);
        (_, byte[] answer) = await peer.GreetAsync([1, 2, 3]);
        Assert.Equal("its greeting can't be read", ControlMessages.ReadRefusal(answer));
    }

    [Fact]
    public async Task Streams_out_of_turn_and_unknown_paths_are_refused()
    {
        await using TestServer s2 = await ListenAsync();
        using Keyring ring = _cluster.Ring("s1");
        using RawPeer peer = new(ring, s2.Tunnel.EndPoint);
        Assert.Equal(HttpStatusCode.Conflict, (await peer.OpenAsync("/tunnel/agreement")).Status);
        Assert.Equal(HttpStatusCode.NotFound, (await peer.OpenAsync("/tunnel/unknown")).Status);
        await peer.ConnectAsync(ring, "/tunnel/agreement");
        await Wait.Until(() => s2.Ups.Count == 1);
        Assert.Equal(HttpStatusCode.Conflict, (await peer.OpenAsync("/tunnel/agreement")).Status);
        Assert.Equal(HttpStatusCode.Conflict, (await peer.OpenAsync("/tunnel/control")).Status);
        Assert.Empty(s2.Downs);
    }

    [Fact]
    public async Task Handshake_that_does_not_go_on_is_ended()
    {
        TimeSpan limit = TimeSpan.FromMilliseconds(300);
        await using TestServer s2 = await ListenAsync(options => options with { ConnectTimeout = limit, DialTimeout = limit });
        using Keyring ring = _cluster.Ring("s1");
        using RawPeer peer = new(ring, s2.Tunnel.EndPoint);
        (TunnelStream? control, _) = await peer.OpenAsync("/tunnel/control");
        await Assert.ThrowsAnyAsync<IOException>(() => Wait.For(control!.Input.ReadAsync(new byte[10]).AsTask()));
        await Wait.Until(() => s2.Log.Refusals.Count == 1);
        Assert.Empty(s2.Ups);
    }

    [Theory]
    [InlineData("/tunnel/agreement", "FFFFFFFF", false, "it sent a message of 4294967295 bytes, the limit is 1048576")]
    [InlineData("/tunnel/agreement", "01001000", false, "it sent a message of 1048577 bytes, the limit is 1048576")]
    [InlineData("/tunnel/agreement", "0A000000010203", true, "its stream ended inside a message")]
    [InlineData("/tunnel/agreement", "0A00", true, "its stream ended inside a message")]
    [InlineData("/tunnel/bulk", "FFFFFFFF0000", false, "it sent a chunk of 4294967293 bytes with a header of 0, " + ChunkLimits)]
    [InlineData("/tunnel/bulk", "FFFF0000FFFF", false, "it sent a chunk of -2 bytes with a header of 65535, " + ChunkLimits)]
    [InlineData("/tunnel/bulk", "00000000FFFF", false, "it sent a chunk of -65537 bytes with a header of 65535, " + ChunkLimits)]
    [InlineData("/tunnel/bulk", "140000000200AABB01", true, "its stream ended inside a chunk")]
    [InlineData("/tunnel/bulk", "1400", true, "its stream ended inside a chunk")]
    public async Task Frame_that_breaks_the_format_ends_the_tunnel(string path, string frame, bool thenEnd, string reason)
    {
        await using TestServer s2 = await ListenAsync();
        using Keyring ring = _cluster.Ring("s1");
        using RawPeer peer = new(ring, s2.Tunnel.EndPoint);
        TunnelStream stream = await peer.ConnectAsync(ring, path);
        await Wait.Until(() => s2.Ups.Count == 1);
        try
        {
            await stream.Output.WriteAsync(Convert.FromHexString(frame), flush: true);
        }
        catch (IOException)
        {
            Assert.False(thenEnd); // the tunnel may be gone before the write has ended
        }

        if (thenEnd)
        {
            await stream.Output.CompleteAsync();
        }

        await Wait.Until(() => s2.Downs.Count >= 1);
        Assert.Equal(reason, s2.Downs.Single().Reason);
        Assert.Empty(s2.Messages);
        Assert.Equal(0, s2.Chunks.BytesInUse);
    }

    [Fact]
    public async Task Message_reader_gives_the_same_messages_however_the_stream_is_cut()
    {
        for (ulong seed = 0; seed < 200; seed++)
        {
            RandomSource random = new(seed);
            List<byte[]> sent = [];
            MemoryStream wire = new();
            for (int i = random.Below(40); i > 0; i--)
            {
                byte[] message = new byte[random.Chance(0.1) ? random.Below(70_000) : random.Below(300)];
                message.AsSpan().Fill((byte)i);
                sent.Add(message);
                byte[] prefix = new byte[4];
                BinaryPrimitives.WriteInt32LittleEndian(prefix, message.Length);
                wire.Write(prefix);
                wire.Write(message);
            }

            using MessageReader reader = new(new TunnelInput(new ChoppyStream(wire.ToArray(), random)), 70_000);
            List<byte[]> received = [];
            if (random.Chance(0.5) && await reader.ReadOneAsync() is { } first)
            {
                received.Add(first);
            }

            while (await reader.ReadAsync() is { } batch)
            {
                using (batch)
                {
                    foreach (ReadOnlyMemory<byte> message in batch)
                    {
                        received.Add(message.ToArray());
                    }
                }
            }

            Assert.Equal(sent.Count, received.Count);
            Assert.All(sent.Zip(received), pair => Assert.True(pair.First.AsSpan().SequenceEqual(pair.Second)));
        }
    }

    private async Task<TestServer> ListenAsync(Func<TunnelOptions, TunnelOptions>? change = null)
    {
        TestServer server = new(_cluster.Ring("s2"), change: change);
        await server.Tunnel.StartAsync();
        server.Tunnel.Configure(3, [new TunnelTarget(NodeId.Parse("s1"), "127.0.0.1", 1)]);
        return server;
    }

    /// <summary>Gives its bytes in pieces of random size.</summary>
    private sealed class ChoppyStream(byte[] bytes, RandomSource random) : MemoryStream(bytes)
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) =>
            base.ReadAsync(buffer[..Math.Min(buffer.Length, 1 + random.Below(random.Chance(0.5) ? 50 : 50_000))], cancellationToken);
    }
}
