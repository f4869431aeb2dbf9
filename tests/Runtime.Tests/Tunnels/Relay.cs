using System.Net;
using System.Net.Sockets;

namespace Carillon.Runtime.Tests.Tunnels;

/// <summary>Passes a TCP connection's bytes on, until it is told to cut them or to keep silent.</summary>
internal sealed class Relay : IAsyncDisposable
{
    private readonly Socket _listening = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
    private readonly IPEndPoint _to;
    private readonly List<Socket> _sockets = [];
    private readonly Task _accepting;
    private volatile bool _silent;

    public Relay(IPEndPoint to)
    {
        _to = to;
        _listening.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        _listening.Listen();
        Port = ((IPEndPoint)_listening.LocalEndPoint!).Port;
        _accepting = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>Connections that came in.</summary>
    public int Accepted { get; private set; }

    /// <summary>Breaks all connections, as a killed process does.</summary>
    public void Cut()
    {
        lock (_sockets)
        {
            foreach (Socket socket in _sockets)
            {
                socket.Close(0);
            }

            _sockets.Clear();
        }
    }

    /// <summary>Keeps connections open and passes nothing on.</summary>
    public void KeepSilent() => _silent = true;

    public async ValueTask DisposeAsync()
    {
        _listening.Dispose();
        Cut();
        await _accepting;
    }

    private async Task AcceptAsync()
    {
        List<Task> passing = [];
        try
        {
            while (true)
            {
                Socket near = await _listening.AcceptAsync();
                Accepted++;
                Socket far = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
                near.NoDelay = true;
                lock (_sockets)
                {
                    _sockets.AddRange([near, far]);
                }

                await far.ConnectAsync(_to);
                passing.AddRange([PassAsync(near, far), PassAsync(far, near)]);
            }
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
            await Task.WhenAll(passing);
        }
    }

    private async Task PassAsync(Socket from, Socket to)
    {
        byte[] buffer = new byte[16384];
        try
        {
            while (await from.ReceiveAsync(buffer.AsMemory()) is var count and > 0)
            {
                if (!_silent)
                {
                    await to.SendAsync(buffer.AsMemory(0, count));
                }
            }

            to.Shutdown(SocketShutdown.Send);
        }
        catch (Exception ended) when (ended is SocketException or ObjectDisposedException)
        {
            from.Close(0);
            to.Close(0);
        }
    }
}
