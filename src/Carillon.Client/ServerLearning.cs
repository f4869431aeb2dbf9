namespace Carillon.Client;

/// <summary>
/// Learns further servers of the cluster from one that answers, so that a single address given is enough (DL-02). It costs a request,
/// so a client's first call is spared it unless that call is long: a download that has begun, or a body that is streamed.
/// </summary>
internal sealed class ServerLearning(Transport transport) : IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    // After an attempt that failed: not at every call while a server is in trouble.
    private const long PauseMilliseconds = 5_000;

    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _end = new();
    private Task _current = Task.CompletedTask;
    private long _notBefore = long.MinValue;
    private volatile bool _done = !transport.Options.LearnServers;
    private volatile bool _called;

    /// <summary>A call begins.</summary>
    public void CallBegins()
    {
        if (_done)
        {
            return;
        }

        if (_called)
        {
            Begin(transport.Preferred);
        }

        _called = true;
    }

    /// <summary>Asks this server, unless it is known already or being asked.</summary>
    public void Begin(int server)
    {
        if (_done)
        {
            return;
        }

        lock (_gate)
        {
            if (_done || !_current.IsCompleted || Environment.TickCount64 < _notBefore || _end.IsCancellationRequested)
            {
                return;
            }

            _notBefore = Environment.TickCount64 + PauseMilliseconds;
            _current = Task.Run(() => LearnAsync(server));
        }
    }

    /// <summary>Until what is under way has ended, well or not; never longer than <see cref="Patience"/>.</summary>
    public Task WaitAsync()
    {
        lock (_gate)
        {
            return _current;
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _done = true;
            _end.Cancel();
        }
    }

    /// <summary>True if both name one server, as far as their text tells.</summary>
    public static bool IsSame(Uri one, Uri other) =>
        one.Port == other.Port && string.Equals(HostOf(one), HostOf(other), StringComparison.OrdinalIgnoreCase);

    private async Task LearnAsync(int server)
    {
        using var guard = new StallGuard(Patience, _end.Token);
        try
        {
            using HttpRequestMessage request = transport.Request(HttpMethod.Get, server, "/v1/cluster");
            using HttpResponseMessage response = await transport.SendAsync(request, guard.Token);
            if (response.IsSuccessStatusCode)
            {
                byte[] json = await Transport.ReadWholeAsync(response, guard.Token);
                Add(Transport.Parse(json, ClientJson.Default.ClusterStatus), transport.Server(server));
                _done = true;
            }
        }
        catch (Exception fault) when (Transport.IsTransportFault(fault) || fault is ObjectDisposedException)
        {
            // The call that wanted to know goes on with the servers that it has; a later one asks again.
        }
    }

    // All are added, those that the asked one can't reach last: where it is the one that is cut off, they are the others' quorum.
    private void Add(ClusterStatus cluster, Uri asked)
    {
        IEnumerable<ServerStatus> others = cluster.Servers
            .Where(s => s.Name != cluster.Self && s.Roles.Contains("entry"))
            .OrderBy(s => s.State == "connected" ? 0 : 1);
        foreach (ServerStatus other in others)
        {
            if (other.Http is { Length: > 0 } address
                && Uri.TryCreate($"{asked.Scheme}://{address}", UriKind.Absolute, out Uri? server)
                && server is { AbsolutePath: "/", Port: > 0 })
            {
                transport.Add(server);
            }
        }
    }

    // Loopback has three names; 127.0.0.2 is another host.
    private static string HostOf(Uri server) => server.IdnHost is "localhost" or "::1" or "[::1]" ? "127.0.0.1" : server.IdnHost;
}
