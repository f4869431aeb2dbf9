using System.Globalization;
using System.Net.Sockets;

namespace Carillon.Runtime;

/// <summary>
/// Tells systemd, or whoever started this program with a <c>NOTIFY_SOCKET</c>, how far it is (sd_notify(3)). Without one, every
/// call does nothing. Safe for any thread.
/// </summary>
public sealed class ServiceManager : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Socket? _socket;

    private ServiceManager(Socket? socket, TimeSpan? watchdogInterval)
    {
        _socket = socket;
        WatchdogInterval = watchdogInterval;
    }

    /// <summary>How often <see cref="Alive"/> has to be called, with a margin of two; null if nobody watches.</summary>
    public TimeSpan? WatchdogInterval { get; }

    /// <summary>Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID.</summary>
    public static ServiceManager FromEnvironment() => From(Environment.GetEnvironmentVariable);

    internal static ServiceManager From(Func<string, string?> variable)
    {
        // An address that begins with '@' is an abstract one, whose first byte is zero.
        if (variable("NOTIFY_SOCKET") is not { Length: > 1 } path || path[0] is not ('/' or '@'))
        {
            return new ServiceManager(null, null);
        }

        Socket socket = new(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        try
        {
            socket.Connect(new UnixDomainSocketEndPoint(path[0] == '@' ? '\0' + path[1..] : path));
        }
        catch (SocketException)
        {
            // Whoever set the variable is gone; to run unwatched is what is left.
            socket.Dispose();
            return new ServiceManager(null, null);
        }

        bool watched = variable("WATCHDOG_PID") is not { } pid || pid == Environment.ProcessId.ToString(CultureInfo.InvariantCulture);
        return long.TryParse(variable("WATCHDOG_USEC"), NumberStyles.None, CultureInfo.InvariantCulture, out long microseconds)
            && microseconds > 0 && watched
            ? new ServiceManager(socket, TimeSpan.FromMicroseconds(microseconds) / 2)
            : new ServiceManager(socket, null);
    }

    /// <summary>The program does its work.</summary>
    public void Ready(string status) => Notify($"READY=1\nSTATUS={OneLine(status)}");

    /// <summary>One line about what it does.</summary>
    public void Status(string status) => Notify($"STATUS={OneLine(status)}");

    /// <summary>The program ends, in order.</summary>
    public void Stopping() => Notify("STOPPING=1");

    /// <summary>The program's event loop still turns.</summary>
    public void Alive() => Notify("WATCHDOG=1");

    /// <summary>
    /// Calls <see cref="Alive"/> as often as it has to be, each time once <paramref name="turn"/> has ended: that is to go through the
    /// event loop, so that a loop that is stuck falls silent. Ends cancelled by <paramref name="stop"/>, or when a turn fails.
    /// </summary>
    public async Task WatchAsync(Func<Task> turn, CancellationToken stop)
    {
        if (WatchdogInterval is not { } interval)
        {
            return;
        }

        while (true)
        {
            await turn().WaitAsync(stop);
            Alive();
            await Task.Delay(interval, stop);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _socket?.Dispose();

    private static string OneLine(string status) => status.ReplaceLineEndings(" ");

    private void Notify(string message)
    {
        if (_socket is null)
        {
            return;
        }

        lock (_gate)
        {
            try
            {
                _socket.Send(System.Text.Encoding.UTF8.GetBytes(message));
            }
            catch (SocketException)
            {
                return; // the manager restarts, or is gone: it will ask for no answer
            }
        }
    }
}
