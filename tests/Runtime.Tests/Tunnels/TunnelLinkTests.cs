using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Net;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Tunnels;

namespace Carillon.Runtime.Tests.Tunnels;

public sealed class TunnelLinkTests
{
    [Fact]
    public async Task Handler_of_a_link_that_breaks_under_a_sender_is_told_on_another_thread()
    {
        // An event loop sends on its own thread, and the handler posts to that loop: told on it, it would wait for itself.
        var incoming = new Pipe(new PipeOptions(readerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
        var control = new Pipe(new PipeOptions(readerScheduler: PipeScheduler.Inline, useSynchronizationContext: false));
        var handler = new RecordingHandler();
        var options = new TunnelOptions
        {
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Kinds = ImmutableSortedDictionary<TrafficKind, TrafficOptions>.Empty
                .Add(TrafficKind.Agreement, new TrafficOptions { Name = "a" }),
        };
        var output = new BrokenOutput();
        var controlStream = new TunnelStream(new TunnelInput(control.Reader.AsStream()), new BrokenOutput { IsSound = true });
        var stream = new TunnelStream(new TunnelInput(incoming.Reader.AsStream()), output);
        var link = new TunnelLink(
            new TunnelContext(options, handler, new ChunkBufferPool(1 << 20)),
            new TunnelPeer(NodeId.Parse("s2"), new DiskId(2), new Incarnation(1), 1, 1),
            controlStream,
            new MessageReader(controlStream.Input, ControlMessages.MaxBytes),
            [new(TrafficKind.Agreement, stream)],
            _ =>
            {
                incoming.Writer.Complete(new IOException("broken"));
                control.Writer.Complete(new IOException("broken"));
            });
        Task<string> run = link.RunAsync();
        var loop = new Thread(() =>
        {
            Assert.True(link.TryQueue(TrafficKind.Agreement, "x"u8));
            link.Wake();
        });
        loop.Start();
        loop.Join();
        await run.WaitAsync(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken);
        Assert.Equal(loop.ManagedThreadId, output.Thread);
        Assert.NotEqual(loop.ManagedThreadId, handler.DownOn);
    }

    [Fact]
    public async Task Link_whose_next_chunk_waits_for_a_buffer_ends_all_the_same()
    {
        // Or its peer could not come back before somebody gives a buffer back, and that may wait for this peer.
        ChunkBufferPool pool = new(1 << 20);
        using PooledChunk all = await pool.RentAsync(1 << 20, TestContext.Current.CancellationToken);
        var handler = new RecordingHandler();
        var incoming = new Pipe();
        var control = new Pipe();
        var options = new TunnelOptions
        {
            Listen = new IPEndPoint(IPAddress.Loopback, 0),
            Kinds = ImmutableSortedDictionary<TrafficKind, TrafficOptions>.Empty
                .Add(TrafficKind.Bulk, new TrafficOptions { Name = "b", Chunks = true }),
        };
        var output = new BrokenOutput { IsSound = true };
        var controlStream = new TunnelStream(new TunnelInput(control.Reader.AsStream()), output);
        var link = new TunnelLink(
            new TunnelContext(options, handler, pool),
            new TunnelPeer(NodeId.Parse("s2"), new DiskId(2), new Incarnation(1), 1, 1),
            controlStream,
            new MessageReader(controlStream.Input, ControlMessages.MaxBytes),
            [new(TrafficKind.Bulk, new TunnelStream(new TunnelInput(incoming.Reader.AsStream()), output))],
            _ =>
            {
                incoming.Writer.Complete(new IOException("broken"));
                control.Writer.Complete(new IOException("broken"));
            });
        Task<string> run = link.RunAsync();
        var waits = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Assert.True(link.TrySendChunk(TrafficKind.Bulk, new OutgoingChunk(default, 10, null, async ends =>
        {
            ValueTask<PooledChunk> rented = pool.RentAsync(10, ends);
            waits.SetResult();
            using PooledChunk buffer = await rented;
            return buffer.Seal(10);
        })));
        await Wait.For(waits.Task);
        link.Fail("the peer is gone");
        Assert.Equal("the peer is gone", await Wait.For(run));
    }

    private sealed class BrokenOutput : ITunnelOutput
    {
        public bool IsSound { get; init; }

        public int Thread { get; private set; }

        public ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, bool flush)
        {
            Thread = Environment.CurrentManagedThreadId;
            return IsSound ? default : throw new IOException("broken");
        }

        public ValueTask CompleteAsync() => default;
    }

    private sealed class RecordingHandler : ITunnelHandler
    {
        public int DownOn { get; private set; }

        public ValueTask UpAsync(TunnelPeer peer) => default;

        public ValueTask DownAsync(TunnelPeer peer, string reason)
        {
            DownOn = Environment.CurrentManagedThreadId;
            return default;
        }

        public ValueTask ReceiveAsync(TunnelPeer peer, TrafficKind kind, ReceivedMessages messages)
        {
            messages.Dispose();
            return default;
        }

        public bool Verify(TunnelPeer peer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> body) => true;

        public ValueTask ReceiveChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header, ChunkBuffer body) => default;

        public ValueTask RefuseChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header) => default;
    }
}
