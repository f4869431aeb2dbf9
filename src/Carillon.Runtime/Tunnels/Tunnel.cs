using System.Collections.Concurrent;
using System.Net;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Security;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// All tunnels of one server (seed 000: one encrypted connection per pair, which carries everything): one mutually authenticated
/// TLS 1.3 connection with HTTP/2 for each other server, dialled by the one with the smaller name, with one full-duplex stream
/// per kind of traffic (VE-14 to VE-18). Byte diagrams: docs/formats/tunnel-frame.md. Sending is safe for any thread and never waits.
/// </summary>
public sealed class Tunnel : IAsyncDisposable
{
    private readonly Keyring _keyring;
    private readonly ILogger _logger;
    private readonly TunnelContext _context;
    private readonly TunnelAdmission _admission;
    private readonly TunnelListener _listener;
    private readonly ConcurrentDictionary<NodeId, TunnelLink> _links = [];
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Lock _gate = new();
    private readonly Dictionary<NodeId, TunnelDialer> _dialers = [];
    private readonly List<Task> _dialling = [];
    private long _connections;
    private bool _stopping;

    /// <summary>Puts the tunnels together; nothing listens or dials before <see cref="StartAsync"/>.</summary>
    /// <param name="keyring">Who this server is and whom it trusts.</param>
    /// <param name="identity">What it says of itself.</param>
    /// <param name="options">Bounds and times.</param>
    /// <param name="handler">What is above.</param>
    /// <param name="chunks">Buffers for chunks received.</param>
    /// <param name="loggers">Where to log.</param>
    /// <exception cref="ArgumentException">The options have faults.</exception>
    public Tunnel(
        Keyring keyring,
        TunnelIdentity identity,
        TunnelOptions options,
        ITunnelHandler handler,
        ChunkBufferPool chunks,
        ILoggerFactory loggers)
    {
        if (options.Validate() is { Count: > 0 } faults)
        {
            throw new ArgumentException(string.Join(' ', faults), nameof(options));
        }

        _keyring = keyring;
        _logger = loggers.CreateLogger("Carillon.Tunnel");
        _context = new TunnelContext(options, handler, chunks);
        _admission = new TunnelAdmission(keyring, identity);
        _listener = new TunnelListener(this, keyring, _admission, _context, _logger, loggers);
    }

    /// <summary>Where it listens, once started.</summary>
    public IPEndPoint EndPoint => _listener.EndPoint;

    /// <summary>Ends with <see cref="StopAsync"/>; faulted, at once, by a defect: the owner then stops tunnels and server.</summary>
    public Task Completion => _completion.Task;

    /// <summary>The peers with a tunnel that is up, in no order.</summary>
    public IEnumerable<TunnelPeer> Peers => _links.Values.Select(link => link.Peer);

    /// <summary>Listens.</summary>
    /// <exception cref="IOException">The port is in use, or not to be had.</exception>
    public Task StartAsync() => _listener.StartAsync();

    /// <summary>
    /// Takes a configuration: dials those servers that this one has to dial, takes calls of the others, and drops tunnels to all
    /// that are not in it.
    /// </summary>
    public void Configure(ulong version, IReadOnlyCollection<TunnelTarget> targets)
    {
        lock (_gate)
        {
            _admission.Configure(version, targets);
            foreach ((NodeId name, TunnelDialer dialer) in _dialers.ToArray())
            {
                if (_admission.Targets.GetValueOrDefault(name) != dialer.Target)
                {
                    dialer.Stop();
                    _dialers.Remove(name);
                }
            }

            foreach (TunnelTarget target in _admission.Targets.Values)
            {
                if (!_stopping && _admission.Dials(target.Name) && !_dialers.ContainsKey(target.Name))
                {
                    TunnelDialer dialer = new(this, target, _keyring, _admission, _context, _logger);
                    _dialers.Add(target.Name, dialer);
                    _dialling.RemoveAll(task => task.IsCompletedSuccessfully);
                    _dialling.Add(OwnAsync(Task.Run(dialer.RunAsync)));
                }
            }
        }

        foreach (TunnelLink link in _links.Values)
        {
            if (!_admission.Targets.ContainsKey(link.Peer.Name))
            {
                link.Fail("it is not in the configuration any more");
            }
        }
    }

    /// <summary>
    /// Tells what was learned of a server elsewhere, by a heartbeat or from disk: a tunnel of an older incarnation is dropped and
    /// none is taken any more, and a server that is waited for is dialled at once.
    /// </summary>
    public void Observe(NodeId server, DiskId disk, Incarnation incarnation)
    {
        _admission.TryObserve(server, disk, incarnation);
        if (_links.TryGetValue(server, out TunnelLink? link))
        {
            if (link.Peer.Disk == disk && link.Peer.Incarnation < incarnation)
            {
                link.Fail("it was started again");
            }

            return;
        }

        lock (_gate)
        {
            _dialers.GetValueOrDefault(server)?.Hurry();
        }
    }

    /// <summary>
    /// Queues a message and lets it leave at once. False: no tunnel to that server, or its queue is full; protocols repeat by themselves.
    /// </summary>
    public bool TrySend(NodeId peer, TrafficKind kind, ReadOnlySpan<byte> message)
    {
        if (!_links.TryGetValue(peer, out TunnelLink? link) || !link.TryQueue(kind, message))
        {
            return false;
        }

        link.Wake(kind);
        return true;
    }

    /// <summary>
    /// Queues a message that leaves with the next <see cref="Flush"/>: an event loop queues all that a batch brought about, and
    /// flushes once. False as with <see cref="TrySend"/>.
    /// </summary>
    public bool TryQueue(NodeId peer, TrafficKind kind, ReadOnlySpan<byte> message) =>
        _links.TryGetValue(peer, out TunnelLink? link) && link.TryQueue(kind, message);

    /// <summary>Lets all that was queued leave, to all peers.</summary>
    public void Flush()
    {
        foreach ((_, TunnelLink link) in _links)
        {
            link.Wake();
        }
    }

    /// <summary>Queues a chunk. Accepted or not, the body's release is no longer the caller's business.</summary>
    public bool TrySendChunk(NodeId peer, TrafficKind kind, ReadOnlyMemory<byte> header, ChunkBuffer body)
    {
        OutgoingChunk chunk = new(header, body.Memory.Length, body, null);
        if (_links.TryGetValue(peer, out TunnelLink? link) && link.TrySendChunk(kind, chunk))
        {
            return true;
        }

        body.Release();
        return false;
    }

    /// <summary>
    /// Queues a chunk that is fetched when its turn has come, so that what waits holds no memory.
    /// </summary>
    /// <param name="peer">To whom.</param>
    /// <param name="kind">On which stream.</param>
    /// <param name="header">What goes before it.</param>
    /// <param name="size">Bytes of the body, for the queue's bound.</param>
    /// <param name="load">Gives the body, or null where there is none to send after all. It must not throw, but for its token: the link
    /// ends only when it has ended.</param>
    public bool TrySendChunk(
        NodeId peer, TrafficKind kind, ReadOnlyMemory<byte> header, int size, Func<CancellationToken, ValueTask<ChunkBuffer?>> load) =>
        _links.TryGetValue(peer, out TunnelLink? link) && link.TrySendChunk(kind, new OutgoingChunk(header, size, null, load));

    /// <summary>The last round trip of a ping to a peer, or null.</summary>
    public TimeSpan? RoundTrip(NodeId peer) => _links.GetValueOrDefault(peer)?.RoundTrip;

    /// <summary>Sends what is queued, ends all tunnels, and stops listening and dialling.</summary>
    public async Task StopAsync()
    {
        Task[] dialling;
        lock (_gate)
        {
            _stopping = true;
            dialling = [.. _dialling];
            foreach (TunnelDialer dialer in _dialers.Values)
            {
                dialer.Stop();
            }
        }

        await Task.WhenAll(_links.Values.Select(link => link.StopAsync())).ConfigureAwait(false);
        await _listener.StopAsync().ConfigureAwait(false);
        await Task.WhenAll(dialling).ConfigureAwait(false);
        _completion.TrySetResult();
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    internal TunnelPeer NewPeer(in Hello hello) =>
        new(hello.Name, hello.Disk, hello.Incarnation, hello.ConfigurationVersion, Interlocked.Increment(ref _connections));

    /// <summary>Runs a new link to its end, after any older one of the same peer.</summary>
    internal async Task RunLinkAsync(TunnelLink link)
    {
        NodeId name = link.Peer.Name;
        while (!_links.TryAdd(name, link))
        {
            if (_links.TryGetValue(name, out TunnelLink? older))
            {
                older.Fail("a newer connection took its place");
                await older.Ended.ConfigureAwait(false);
                _links.TryRemove(KeyValuePair.Create(name, older));
            }
        }

        if (Volatile.Read(ref _stopping))
        {
            link.Fail("this server stops");
        }

        TunnelLog.Up(_logger, name, link.Peer.Incarnation, link.Peer.Disk);
        TunnelMetrics.Connected.Add(1);
        try
        {
            string reason = await link.RunAsync().ConfigureAwait(false);
            TunnelLog.Down(_logger, name, reason);
        }
        finally
        {
            _links.TryRemove(KeyValuePair.Create(name, link));
        }
    }

    /// <summary>A loop has died of a defect.</summary>
    internal void ReportDefect(Exception failure)
    {
        TunnelLog.Failed(_logger, failure);
        _completion.TrySetException(failure);
    }

    private async Task OwnAsync(Task loop)
    {
        try
        {
            await loop.ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            ReportDefect(failure);
        }
    }
}
