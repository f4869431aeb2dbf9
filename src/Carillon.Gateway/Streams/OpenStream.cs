using System.Threading.Tasks.Sources;

namespace Carillon.Gateway.Streams;

/// <summary>
/// One answer that goes on for as long as its client listens, as far as it is waited for: what may wake it (more to send, a heartbeat that
/// is due, the client's end, the gateway's) and the one wait that all of these end. While it rests it is this object, its request, and no
/// task, timer or thread of its own.
/// </summary>
internal abstract class OpenStream : IValueTaskSource
{
    private const int Idle = 0;
    private const int Waiting = 1;
    private const int Woken = 2;

    private ManualResetValueTaskSourceCore<bool> _wait = new() { RunContinuationsAsynchronously = true };
    private int _state;
    private long _written = Environment.TickCount64;
    private bool _beatIsDue;

    /// <summary>Its place among the open streams, for <see cref="OpenStreams"/> alone.</summary>
    internal int Place { get; set; } = -1;

    /// <summary>There may be something to do. From any thread; before the wait too, which then does not begin.</summary>
    public void Wake()
    {
        // An exchange and no mere write: what the waker has done before is seen by the stream, whichever of the two comes first.
        if (Interlocked.Exchange(ref _state, Woken) == Waiting)
        {
            Interlocked.Exchange(ref _state, Idle);
            _wait.SetResult(true);
        }
    }

    /// <summary>The gateway stops: a write that waits for the client's room waits no longer.</summary>
    public abstract void Stop();

    /// <summary>Wakes it for a heartbeat where it has written nothing since then, as <see cref="Environment.TickCount64"/>.</summary>
    internal void BeatIfSilentSince(long since)
    {
        if (Volatile.Read(ref _written) <= since)
        {
            Volatile.Write(ref _beatIsDue, true);
            Wake();
        }
    }

    /// <summary>Waits for the next <see cref="Wake"/>. One wait at a time.</summary>
    protected ValueTask WaitAsync()
    {
        _wait.Reset();
        if (Interlocked.CompareExchange(ref _state, Waiting, Idle) == Idle)
        {
            return new ValueTask(this, _wait.Version);
        }

        Interlocked.Exchange(ref _state, Idle);
        return ValueTask.CompletedTask;
    }

    /// <summary>True once for each heartbeat that is due.</summary>
    protected bool TakeBeat()
    {
        bool due = Volatile.Read(ref _beatIsDue);
        Volatile.Write(ref _beatIsDue, false);
        return due;
    }

    /// <summary>Something was sent, so that the client knows the connection to be alive.</summary>
    protected void HasWritten()
    {
        Volatile.Write(ref _written, Environment.TickCount64);
        Volatile.Write(ref _beatIsDue, false);
    }

    void IValueTaskSource.GetResult(short token) => _wait.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _wait.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _wait.OnCompleted(continuation, state, token, flags);
}
