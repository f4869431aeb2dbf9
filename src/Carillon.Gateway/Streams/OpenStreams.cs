namespace Carillon.Gateway.Streams;

/// <summary>All streams of a gateway: one timer for their heartbeats, and their end when the gateway stops. All members may be called from
/// any thread.</summary>
internal sealed class OpenStreams : IDisposable
{
    /// <summary>How often in a heartbeat's time the timer looks; a silent stream's beat comes by so much of it early at most.</summary>
    private const int LooksPerHeartbeat = 4;

    private readonly Lock _lock = new();
    private readonly List<OpenStream> _streams = [];
    private readonly TimeSpan _heartbeat;
    private readonly TimeSpan _look;
    private readonly Timer _timer;
    private bool _stopping;

    /// <summary>None yet.</summary>
    /// <param name="heartbeat">The longest silence of a stream.</param>
    public OpenStreams(TimeSpan heartbeat)
    {
        _heartbeat = heartbeat;
        _look = heartbeat / LooksPerHeartbeat;
        _timer = new Timer(static streams => ((OpenStreams)streams!).Look(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>True once the gateway stops: streams end.</summary>
    public bool IsStopping => Volatile.Read(ref _stopping);

    /// <summary>How many there are.</summary>
    public int Count
    {
        get
        {
            lock (_lock)
            {
                return _streams.Count;
            }
        }
    }

    public void Add(OpenStream stream)
    {
        lock (_lock)
        {
            stream.Place = _streams.Count;
            _streams.Add(stream);
            if (_streams.Count == 1)
            {
                _timer.Change(_look, _look);
            }
        }
    }

    public void Remove(OpenStream stream)
    {
        lock (_lock)
        {
            OpenStream last = _streams[^1];
            _streams[stream.Place] = last;
            last.Place = stream.Place;
            _streams.RemoveAt(_streams.Count - 1);
            if (_streams.Count == 0)
            {
                _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            }
        }
    }

    /// <summary>All streams end, whole as far as they go.</summary>
    public void Stop()
    {
        Volatile.Write(ref _stopping, true);
        lock (_lock)
        {
            foreach (OpenStream stream in _streams)
            {
                stream.Stop();
            }
        }
    }

    public void Dispose() => _timer.Dispose();

    private void Look()
    {
        long since = Environment.TickCount64 - (long)(_heartbeat - _look).TotalMilliseconds;
        lock (_lock)
        {
            foreach (OpenStream stream in _streams)
            {
                stream.BeatIfSilentSince(since);
            }
        }
    }
}
