using System.Collections.Immutable;
using System.Diagnostics;
using Carillon.Node;

namespace Carillon.Runtime.Tunnels;

/// <summary>What all tunnels of a server share.</summary>
internal sealed record TunnelContext(TunnelOptions Options, ITunnelHandler Handler, ChunkBufferPool Chunks);

/// <summary>
/// One tunnel that is up: two loops per kind of traffic, one that sends and one that receives, and the control stream with its
/// pings. <see cref="RunAsync"/> owns them all: the first that fails takes the connection down, and only when every one has ended
/// is the handler told.
/// </summary>
internal sealed class TunnelLink
{
    internal static readonly TrafficOptions ControlTraffic =
        new() { Name = "control", MaxMessageBytes = ControlMessages.MaxBytes, QueueBytes = 64 * ControlMessages.MaxBytes };

    private readonly TunnelContext _context;
    private readonly TunnelStream _control;
    private readonly MessageReader _controlReader;
    private readonly ImmutableArray<Lane> _lanes;
    private readonly Lane?[] _laneOfKind = new Lane?[256];
    private readonly SendQueue _controlQueue = new(ControlTraffic);
    private readonly Action<string> _abort;
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _sent = Task.CompletedTask;
    private string? _reason;
    private long _heard = Stopwatch.GetTimestamp();
    private long _roundTrip;

    /// <summary>Puts a link together; nothing runs before <see cref="RunAsync"/>.</summary>
    /// <param name="context">What all tunnels share.</param>
    /// <param name="peer">The other end.</param>
    /// <param name="control">The control stream, its greeting done.</param>
    /// <param name="controlReader">Its reader, which may hold more already.</param>
    /// <param name="streams">A stream per kind that both ends know.</param>
    /// <param name="abort">Breaks the connection, from any thread; called once.</param>
    public TunnelLink(
        TunnelContext context,
        TunnelPeer peer,
        TunnelStream control,
        MessageReader controlReader,
        IEnumerable<KeyValuePair<TrafficKind, TunnelStream>> streams,
        Action<string> abort)
    {
        _context = context;
        Peer = peer;
        _control = control;
        _controlReader = controlReader;
        _abort = abort;
        _lanes = [.. streams.Select(pair => new Lane(pair.Key, context.Options.Kinds[pair.Key], pair.Value))];
        foreach (Lane lane in _lanes)
        {
            _laneOfKind[(byte)lane.Kind] = lane;
        }
    }

    /// <summary>The other end.</summary>
    public TunnelPeer Peer { get; }

    /// <summary>Ends after <see cref="RunAsync"/>.</summary>
    public Task Ended => _ended.Task;

    /// <summary>The last ping's round trip, or null before the first.</summary>
    public TimeSpan? RoundTrip => Volatile.Read(ref _roundTrip) is var ticks and not 0 ? new TimeSpan(ticks) : null;

    /// <summary>Queues a message. False: no such kind here, full, or closing.</summary>
    public bool TryQueue(TrafficKind kind, ReadOnlySpan<byte> message) =>
        _laneOfKind[(byte)kind]?.Messages is { } queue && queue.TryAdd(message);

    /// <summary>Lets what was queued in one kind leave.</summary>
    public void Wake(TrafficKind kind) => _laneOfKind[(byte)kind]?.Messages?.Wake();

    /// <summary>Lets all that was queued leave.</summary>
    public void Wake()
    {
        foreach (Lane lane in _lanes)
        {
            lane.Messages?.Wake();
        }
    }

    /// <summary>Queues a chunk. False: no such kind here, full, too large, or closing.</summary>
    public bool TrySendChunk(TrafficKind kind, in OutgoingChunk chunk) =>
        _laneOfKind[(byte)kind]?.Chunks is { } queue && queue.TryAdd(chunk);

    /// <summary>Runs until the tunnel is down.</summary>
    /// <returns>Why it went down.</returns>
    public async Task<string> RunAsync()
    {
        List<Task> loops = [];
        try
        {
            await _context.Handler.UpAsync(Peer).ConfigureAwait(false);
            Task[] sends = [.. _lanes.Select(lane => GuardAsync(() => SendAsync(lane)))];
            Task[] receives = [.. _lanes.Select(lane => GuardAsync(() => ReceiveAsync(lane)))];
            _sent = Task.WhenAll(sends);
            Task goodbye = GuardAsync(ReceiveControlAsync);
            Task control = GuardAsync(() => SendAsync(_controlQueue, _control.Output));
            loops.AddRange([.. sends, .. receives, goodbye, control, GuardAsync(PingAsync)]);

            await goodbye.ConfigureAwait(false);
            await Task.WhenAny(Task.WhenAll(receives), Task.Delay(_context.Options.DrainTimeout, _stop.Token)).ConfigureAwait(false);
            Fail("it stops");
            await Task.WhenAll(loops).ConfigureAwait(false);
        }
        finally
        {
            Fail("an error in this server");

            // The connection may have broken under an event loop that was sending: its handler is never told on that thread, where it could
            // not post to the loop.
            await Task.WhenAll(loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
            foreach (Lane lane in _lanes)
            {
                lane.Messages?.Release();
                lane.Chunks?.Drop();
            }

            _controlQueue.Release();
            _controlReader.Dispose();
            await _context.Handler.DownAsync(Peer, _reason!).ConfigureAwait(false);
            _ended.SetResult();
        }

        return _reason!;
    }

    /// <summary>Breaks the connection; the first reason counts.</summary>
    public void Fail(string reason)
    {
        if (Interlocked.CompareExchange(ref _reason, reason, null) is not null)
        {
            return;
        }

        _stop.Cancel();
        CloseQueues();
        _controlQueue.Close();
        _abort(reason);
    }

    /// <summary>Sends what is queued, says goodbye, and ends the tunnel.</summary>
    public async Task StopAsync()
    {
        TimeSpan patience = _context.Options.DrainTimeout;
        CloseQueues();
        await Task.WhenAny(_sent, Task.Delay(patience)).ConfigureAwait(false);
        _controlQueue.TryAdd(ControlMessages.Signal(ControlType.Goodbye));
        _controlQueue.Close();
        await Task.WhenAny(_ended.Task, Task.Delay(patience)).ConfigureAwait(false);
        Fail("this server stops");
        await _ended.Task.ConfigureAwait(false);
    }

    private void CloseQueues()
    {
        foreach (Lane lane in _lanes)
        {
            lane.Messages?.Close();
            lane.Chunks?.Close();
        }
    }

    /// <summary>Runs one loop. Trouble with the connection ends the link; anything else is a defect, and its owner's.</summary>
    private async Task GuardAsync(Func<Task> loop)
    {
        try
        {
            await loop().ConfigureAwait(false);
        }
        catch (Exception failure) when (TunnelFailure.IsOfConnection(failure))
        {
            Fail(TunnelFailure.Describe(failure));
        }
        catch
        {
            Fail("an error in this server");
            throw;
        }
    }

    private Task SendAsync(Lane lane) =>
        lane.Messages is { } messages ? SendAsync(messages, lane.Stream.Output) : SendChunksAsync(lane);

    private static async Task SendAsync(SendQueue queue, ITunnelOutput output)
    {
        while (await queue.TakeAsync().ConfigureAwait(false) is { Count: > 0 } batch)
        {
            try
            {
                await output.WriteAsync(batch, flush: true).ConfigureAwait(false);
            }
            finally
            {
                queue.Return(batch);
            }

            TunnelMetrics.BytesSent.Add(batch.Count);
        }

        await output.CompleteAsync().ConfigureAwait(false);
    }

    private async Task SendChunksAsync(Lane lane)
    {
        await lane.Chunks!.SendAsync(lane.Stream.Output, _stop.Token).ConfigureAwait(false);
        await lane.Stream.Output.CompleteAsync().ConfigureAwait(false);
    }

    private Task ReceiveAsync(Lane lane) => lane.Traffic.Chunks ? ReceiveChunksAsync(lane) : ReceiveMessagesAsync(lane);

    private async Task ReceiveMessagesAsync(Lane lane)
    {
        using MessageReader reader = new(lane.Stream.Input, lane.Traffic.MaxMessageBytes);
        while (await reader.ReadAsync().ConfigureAwait(false) is { } batch)
        {
            Heard(batch.Length);
            await _context.Handler.ReceiveAsync(Peer, lane.Kind, batch).ConfigureAwait(false);
        }
    }

    private async Task ReceiveChunksAsync(Lane lane)
    {
        using ChunkReader reader = new(lane.Stream.Input, lane.Traffic.MaxMessageBytes, _context.Chunks);
        while (await reader.ReadAsync(_stop.Token).ConfigureAwait(false) is var (header, body, length))
        {
            Heard(length);
            if (_context.Handler.Verify(Peer, header, body.Memory.Span))
            {
                await _context.Handler.ReceiveChunkAsync(Peer, header, body.Seal(length)).ConfigureAwait(false);
            }
            else
            {
                TunnelMetrics.ChunksRefused.Add(1);
                body.Dispose();
                await _context.Handler.RefuseChunkAsync(Peer, header).ConfigureAwait(false);
            }
        }
    }

    /// <summary>Answers pings until the peer says goodbye.</summary>
    private async Task ReceiveControlAsync()
    {
        while (await _controlReader.ReadAsync().ConfigureAwait(false) is { } batch)
        {
            using (batch)
            {
                Heard(batch.Length);
                foreach (ReadOnlyMemory<byte> message in batch)
                {
                    switch (message.IsEmpty ? default : (ControlType)message.Span[0])
                    {
                        case ControlType.Ping when ControlMessages.TryReadEcho(message.Span, out long sent):
                            _controlQueue.TryAdd(ControlMessages.Echo(ControlType.Pong, sent));
                            _controlQueue.Wake();
                            break;
                        case ControlType.Pong when ControlMessages.TryReadEcho(message.Span, out long echo):
                            Volatile.Write(ref _roundTrip, Math.Max(1, Stopwatch.GetElapsedTime(echo).Ticks));
                            break;
                        case ControlType.Refusal:
                            throw new TunnelProtocolException($"it refused: {ControlMessages.ReadRefusal(message.Span)}");
                        case ControlType.Goodbye:
                            return;
                        default:
                            break; // of a newer version: skipped
                    }
                }
            }
        }
    }

    private async Task PingAsync()
    {
        TunnelOptions options = _context.Options;
        using PeriodicTimer timer = new(options.PingInterval);
        long last = Stopwatch.GetTimestamp();
        while (await timer.WaitForNextTickAsync(_stop.Token).ConfigureAwait(false))
        {
            // If this process itself was stopped, the silence may be its own: what came meanwhile is read before the next look.
            bool late = Stopwatch.GetElapsedTime(last) > options.PingInterval * 2;
            last = Stopwatch.GetTimestamp();
            if (!late && Stopwatch.GetElapsedTime(Volatile.Read(ref _heard)) > options.SilenceLimit)
            {
                Fail(FormattableString.Invariant($"nothing came from it for {options.SilenceLimit.TotalSeconds:0.###} s"));
                return;
            }

            _controlQueue.TryAdd(ControlMessages.Echo(ControlType.Ping, last));
            _controlQueue.Wake();
        }
    }

    private void Heard(int bytes)
    {
        Volatile.Write(ref _heard, Stopwatch.GetTimestamp());
        TunnelMetrics.BytesReceived.Add(bytes);
    }

    /// <summary>One kind's stream and what waits for it.</summary>
    private sealed class Lane(TrafficKind kind, TrafficOptions traffic, TunnelStream stream)
    {
        public TrafficKind Kind => kind;

        public TrafficOptions Traffic => traffic;

        public TunnelStream Stream => stream;

        public SendQueue? Messages { get; } = traffic.Chunks ? null : new SendQueue(traffic);

        public ChunkSendQueue? Chunks { get; } = traffic.Chunks ? new ChunkSendQueue(traffic) : null;
    }
}
