using System.Collections.Immutable;
using System.Net;
using System.Net.Sockets;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Cluster;

namespace Carillon.Development;

/// <summary>A cluster of child processes on this machine: starts them, waits until a put would be accepted, reports deaths.</summary>
internal sealed class DevCluster : IAsyncDisposable
{
    private static readonly TimeSpan ReadyTime = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan RestartPause = TimeSpan.FromMilliseconds(500);

    private readonly DevFolder _folder;
    private readonly Lock _writing = new();

    public DevCluster(DevFolder folder)
    {
        _folder = folder;
        Servers = [.. folder.Servers.Select(s => new DevServer(s, folder.ConfigurationOf(s), folder.LogOf(s)))];
    }

    public ImmutableArray<DevServer> Servers { get; }

    /// <summary>All addresses, comma-separated as <c>--server</c> takes them.</summary>
    public string Addresses => string.Join(',', Servers.Select(s => s.Address));

    /// <summary>Starts all.</summary>
    /// <exception cref="ExitException">A port is in use.</exception>
    public void Start()
    {
        foreach (DevServer server in Servers)
        {
            CheckPorts(server.Record);
        }

        foreach (DevServer server in Servers)
        {
            server.Start();
        }

        WriteState();
    }

    /// <summary>Starts one again.</summary>
    public void Restart(DevServer server)
    {
        server.Start();
        WriteState();
    }

    /// <summary>Tells dev.json's readers which processes there are now.</summary>
    public void WriteState()
    {
        lock (_writing)
        {
            _folder.WriteState(Servers.Select(s => (s.Record, s.ProcessId)));
        }
    }

    /// <summary>Waits until every server is ready, and would accept a put.</summary>
    /// <exception cref="ExitException">One died, or it took too long.</exception>
    public async Task WaitReadyAsync(CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(ReadyTime);
        Task ready = Task.WhenAll(Servers.Select(s => WaitReadyAsync(s, patience.Token)));
        Task<string>[] deaths = [.. Servers.Select(s => s.WaitAsync(patience.Token))];
        try
        {
            Task first = await Task.WhenAny([ready, .. deaths]);
            int dead = Array.IndexOf(deaths, first);
            if (dead >= 0 && !patience.IsCancellationRequested)
            {
                throw new ExitException(
                    ExitCode.Failed, $"{Servers[dead].Record.Name} ended at its start ({await deaths[dead]}): {Tail(Servers[dead])}");
            }

            await ready;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new ExitException(ExitCode.TimedOut,
                $"the cluster was not ready within {ReadyTime.TotalSeconds:0} s; see {_folder.LogOf(Servers[0].Record)}");
        }
        finally
        {
            // The waits for deaths end with it: what follows waits for them by itself.
            await patience.CancelAsync();
            await Task.WhenAll(
                deaths.Select(d => d.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default)));
        }
    }

    /// <summary>Reports each death until the caller wants to stop; also when none is left: they can be started from their files.</summary>
    public async Task WatchAsync(bool restart, Action<string> say, CancellationToken cancellation)
    {
        try
        {
            await Task.WhenAll(Servers.Select(s => WatchAsync(s, restart, say, cancellation)));
            say("none of the servers started here is left; Ctrl-C ends this");
            await Task.Delay(Timeout.Infinite, cancellation);
        }
        catch (OperationCanceledException)
        {
            // Asked to stop: the caller's business.
        }
    }

    /// <summary>Waits until a server is ready.</summary>
    public static async Task WaitReadyAsync(DevServer server, CancellationToken cancellation)
    {
        using var http = new HttpClient(
            new SocketsHttpHandler { UseProxy = false }) { BaseAddress = new Uri(server.Address), Timeout = TimeSpan.FromSeconds(2) };
        while (!(await IsGoodAsync(http, "/healthz/ready", cancellation) && await IsGoodAsync(http, "/healthz/cluster", cancellation)))
        {
            await Task.Delay(Interval, cancellation);
        }
    }

    /// <summary>A client that begins at one of the servers.</summary>
    public static CarillonClient ClientOf(
        params DevServer[] servers) => new(new CarillonClientOptions { Servers = [.. servers.Select(s => new Uri(s.Address))] });

    public async ValueTask DisposeAsync()
    {
        await Task.WhenAll(Servers.Select(s => s.DisposeAsync().AsTask()));
        WriteState();
    }

    private async Task WatchAsync(DevServer server, bool restart, Action<string> say, CancellationToken cancellation)
    {
        while (true)
        {
            int? process = server.ProcessId;
            string end = await server.WaitAsync(cancellation);
            say($"{server.Record.Name} (pid {process}) ended: {end}");
            WriteState();
            if (!restart)
            {
                return;
            }

            await Task.Delay(RestartPause, cancellation);
            Restart(server);
            say($"{server.Record.Name} is started again (pid {server.ProcessId})");
        }
    }

    private static async Task<bool> IsGoodAsync(HttpClient http, string path, CancellationToken cancellation)
    {
        try
        {
            using HttpResponseMessage response = await http.GetAsync(path, cancellation);
            return response.IsSuccessStatusCode;
        }
        catch (Exception fault) when (
            fault is HttpRequestException || (fault is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }

    private static string Tail(DevServer server) => string.Join(" | ", server.LastLines(3));

    private static void CheckPorts(ServerRecord server)
    {
        foreach (int port in (int[])[server.HttpPort, server.TunnelPort])
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
            try
            {
                // As the servers do: an address whose last connections are still closing is free.
                socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
                socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            }
            catch (SocketException)
            {
                throw new ExitException(ExitCode.Failed, $"port {port} of {server.Name} is in use; give another --port (and --data)");
            }
        }
    }
}
