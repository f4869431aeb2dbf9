using System.Buffers;
using System.Net;
using System.Net.Sockets;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Wire;
using Carillon.Runtime.Security;
using Microsoft.Extensions.Logging;

namespace Carillon.Runtime.Datagrams;

/// <summary>
/// Sealed datagrams between servers (docs/formats/datagram.md): one socket for what comes to this server alone and goes out,
/// one that hears the multicast group. Whatever is not authentic and new is dropped and counted; nothing answers it. Sending is
/// safe for any thread and never waits: a datagram that the system does not take is lost, as on the wire.
/// </summary>
/// <remarks>
/// Datagrams are few or urgent, so there is a system call for each, and each socket has a thread of its own that waits for them: through
/// the framework's poller and its pool one is two changes of threads later where it goes. Segmentation offload belongs to the data plane.
/// </remarks>
public sealed class DatagramChannel : IAsyncDisposable
{
    private const int LargestDatagram = 65_535;
    private const int MostAtOnce = 64; // that the handler is to take before it is told that there are more
    private const int IpLevel = 0; // SOL_IP
    private const int MulticastAll = 49; // IP_MULTICAST_ALL

    // Where a system does not wake who waits for a socket that is shut down, its thread looks after so long whether it is to end.
    private static readonly TimeSpan StopLook = TimeSpan.FromMilliseconds(500);

    private readonly DatagramOptions _options;
    private readonly IDatagramHandler _handler;
    private readonly ILogger _logger;
    private readonly HostDirectory _hosts;
    private readonly Lock _sealing = new();
    private readonly SealedDatagramSealer _sealer;
    private readonly Lock _opening = new();
    private readonly SealedDatagramOpener _opener;
    private readonly SocketAddress? _group;
    private readonly CancellationTokenSource _stop = new();
    private readonly NodeId _self;
    private Socket? _socket;
    private Socket? _groupSocket;
    private Task _completion = Task.CompletedTask;
    private SocketError _lastError;

    /// <summary>Puts the channel together; no socket is open before <see cref="Start"/>.</summary>
    /// <param name="options">Sockets and bounds.</param>
    /// <param name="self">Who this server is; its incarnation is durable already, or nonces could repeat.</param>
    /// <param name="keys">What seals and opens.</param>
    /// <param name="configuration">Whom datagrams are taken from and sent to.</param>
    /// <param name="handler">What is above.</param>
    /// <param name="loggers">Where to log.</param>
    /// <exception cref="ArgumentException">The options have faults.</exception>
    public DatagramChannel(
        DatagramOptions options, ServerIdentity self, ClusterKeys keys, ClusterConfiguration configuration, IDatagramHandler handler,
            ILoggerFactory loggers)
    {
        if (options.Validate() is { Count: > 0 } faults)
        {
            throw new ArgumentException(string.Join(' ', faults), nameof(options));
        }

        _options = options;
        _handler = handler;
        _logger = loggers.CreateLogger("Carillon.Datagrams");
        _self = self.Name;
        _sealer = new SealedDatagramSealer(self, keys.Sealing);
        _opener = new SealedDatagramOpener(configuration, keys.Sealing);
        foreach (ClusterKey key in keys.All)
        {
            _opener.Accept(key);
        }

        _group = options.Group?.Serialize();
        _hosts = new HostDirectory(options.Listen.Address, _logger);
        _hosts.Configure(PeersOf(configuration));
    }

    /// <summary>Where it listens, once started.</summary>
    public IPEndPoint EndPoint => (IPEndPoint)Opened.LocalEndPoint!;

    /// <summary>True if the group was joined.</summary>
    public bool HearsGroup => _groupSocket is not null;

    /// <summary>Bytes that the kernel really gives the socket for what arrives; for <c>doctor</c>.</summary>
    public int ReceiveBufferBytes => Opened.ReceiveBufferSize;

    /// <summary>Ends after <see cref="StopAsync"/>; faulted by a defect.</summary>
    public Task Completion => _completion;

    private Socket Opened => _socket ?? throw new InvalidOperationException("The datagrams are not started.");

    /// <summary>Opens the sockets and receives. A group that can't be joined is logged, and the channel does without it.</summary>
    /// <exception cref="SocketException">The port is in use, or not to be had.</exception>
    public void Start()
    {
        _socket = Open(_options.Listen, shared: false);
        if (_options.Group is { } group)
        {
            _groupSocket = TryJoin(group);
        }

        List<Task> loops = [ReceiveOnThread(_socket, "datagrams"), Task.Run(() => _hosts.ResolveAsync(_stop.Token))];
        if (_groupSocket is { } groupSocket)
        {
            loops.Add(ReceiveOnThread(groupSocket, "group datagrams"));
        }

        _completion = Task.WhenAll(loops);
        DatagramLog.Listening(_logger, EndPoint.ToString(), HearsGroup ? _options.Group!.ToString() : "no group");
    }

    /// <summary>Takes another configuration.</summary>
    public void Configure(ClusterConfiguration configuration)
    {
        lock (_opening)
        {
            _opener.Reconfigure(configuration);
        }

        _hosts.Configure(PeersOf(configuration));
    }

    /// <summary>Sends a message to one server.</summary>
    public void Send(NodeId peer, ReadOnlySpan<byte> message)
    {
        if (_hosts.Find(peer) is { } address)
        {
            SendSealed(message, [address]);
        }
    }

    /// <summary>Sends a message to all others: once to the group, or to each.</summary>
    public void SendToAll(ReadOnlySpan<byte> message, bool multicast)
    {
        if (multicast)
        {
            if (_group is not null)
            {
                SendSealed(message, [_group]);
            }
        }
        else
        {
            SendSealed(message, _hosts.All.AsSpan());
        }
    }

    /// <summary>Closes the sockets and ends the loops.</summary>
    public async Task StopAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        foreach (Socket? socket in (ReadOnlySpan<Socket?>)[_socket, _groupSocket])
        {
            if (socket is not null)
            {
                Interrupt(socket);
            }
        }

        await ((Task)_completion).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _socket?.Dispose();
        _groupSocket?.Dispose();
        lock (_opening)
        {
            _opener.Dispose();
        }

        lock (_sealing)
        {
            _sealer.Dispose();
        }

        await _completion.ConfigureAwait(false);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    private IEnumerable<ServerRecord> PeersOf(ClusterConfiguration configuration) =>
        configuration.Servers.Where(server => server.Name != _self);

    private Socket Open(IPEndPoint endPoint, bool shared)
    {
        Socket socket = new(endPoint.AddressFamily, SocketType.Dgram, ProtocolType.Udp);
        try
        {
            socket.Blocking = false;
            if (endPoint.Address.Equals(IPAddress.IPv6Any))
            {
                socket.DualMode = true;
            }

            socket.ReceiveBufferSize = _options.SocketBufferBytes;
            socket.SendBufferSize = _options.SocketBufferBytes;
            if (shared)
            {
                // Several servers of one machine hear one group.
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
            }

            if (endPoint.AddressFamily == AddressFamily.InterNetwork)
            {
                if (OperatingSystem.IsLinux())
                {
                    // Or a socket on all addresses would also get whatever group anybody on this machine has joined.
                    socket.SetRawSocketOption(IpLevel, MulticastAll, BitConverter.GetBytes(0));
                }

                socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastTimeToLive, _options.GroupTimeToLive);
                socket.SetSocketOption(SocketOptionLevel.IP, SocketOptionName.MulticastLoopback, true);
                socket.SetSocketOption(
                    SocketOptionLevel.IP, SocketOptionName.MulticastInterface, _options.Listen.Address.GetAddressBytes());
            }

            socket.Bind(endPoint);
            return socket;
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private Socket? TryJoin(IPEndPoint group)
    {
        Socket? socket = null;
        try
        {
            socket = Open(OperatingSystem.IsWindows() ? new IPEndPoint(_options.Listen.Address, group.Port) : group, shared: true);
            socket.SetSocketOption(
                SocketOptionLevel.IP, SocketOptionName.AddMembership, new MulticastOption(group.Address, _options.Listen.Address));
            return socket;
        }
        catch (SocketException failure)
        {
            socket?.Dispose();
            DatagramLog.NotJoined(_logger, group.ToString(), failure.Message);
            return null;
        }
    }

    private Task ReceiveOnThread(Socket socket, string name)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                Receive(socket);
                ended.SetResult();
            }
            catch (Exception defect)
            {
                ended.SetException(defect);
            }
        }) { IsBackground = true, Name = name };
        thread.Start();
        return ended.Task;
    }

    private void Receive(Socket socket)
    {
        byte[] datagram = new byte[LargestDatagram];
        int received = 0;
        while (!_stop.IsCancellationRequested)
        {
            int length = socket.Receive(datagram, SocketFlags.None, out SocketError error);
            if (received > 0 && (error == SocketError.WouldBlock || received == MostAtOnce))
            {
                received = 0;
                _handler.Drained();
            }

            if (error == SocketError.WouldBlock)
            {
                socket.Poll(StopLook, SelectMode.SelectRead);
            }
            else if (error != SocketError.Success)
            {
                DatagramMetrics.Errors.Add(1); // of an earlier send, told late: an unreachable port, a broken route
            }
            else if (!_stop.IsCancellationRequested)
            {
                received++;
                Accept(datagram.AsSpan(0, length));
            }
        }
    }

    // Wakes the thread that waits for this socket. The system wakes it although it says that there is no connection to shut down.
    private static void Interrupt(Socket socket)
    {
        try
        {
            socket.Shutdown(SocketShutdown.Both);
        }
        catch (SocketException unconnected) when (unconnected.SocketErrorCode == SocketError.NotConnected)
        {
            return;
        }
    }

    private void Accept(ReadOnlySpan<byte> datagram)
    {
        byte[] message = ArrayPool<byte>.Shared.Rent(datagram.Length);
        DatagramVerdict verdict;
        ServerIdentity sender;
        int length;
        lock (_opening)
        {
            verdict = _opener.Open(datagram, message, out sender, out length);
        }

        DatagramMetrics.Received.Add(1, new KeyValuePair<string, object?>("verdict", DatagramMetrics.NameOf(verdict)));
        if (verdict == DatagramVerdict.Opened)
        {
            _handler.Receive(sender, new ReceivedDatagram(message, length));
        }
        else
        {
            ArrayPool<byte>.Shared.Return(message);
        }
    }

    private void SendSealed(ReadOnlySpan<byte> message, ReadOnlySpan<SocketAddress> targets)
    {
        int room = message.Length + _sealer.Overhead;
        Invariant.That(room <= LargestDatagram);
        byte[] datagram = ArrayPool<byte>.Shared.Rent(room);
        lock (_sealing)
        {
            if (_stop.IsCancellationRequested)
            {
                ArrayPool<byte>.Shared.Return(datagram);
                return;
            }

            int length = _sealer.Seal(message, datagram);
            foreach (SocketAddress target in targets)
            {
                SendOne(datagram.AsSpan(0, length), target);
            }
        }

        ArrayPool<byte>.Shared.Return(datagram);
    }

    private void SendOne(ReadOnlySpan<byte> datagram, SocketAddress target)
    {
        try
        {
            Opened.SendTo(datagram, SocketFlags.None, target);
            DatagramMetrics.Sent.Add(1);
            _lastError = SocketError.Success;
        }
        catch (SocketException failure)
        {
            // No route, a full buffer, a packet filter: lost, as further out. Said once until it changes.
            DatagramMetrics.Errors.Add(1);
            if (failure.SocketErrorCode != _lastError)
            {
                _lastError = failure.SocketErrorCode;
                DatagramLog.NotSent(_logger, failure.Message);
            }
        }
    }
}
