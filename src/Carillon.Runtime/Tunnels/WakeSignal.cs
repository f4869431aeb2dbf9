using System.Threading.Tasks.Sources;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// Wakes one waiter, who goes on at once on the waking thread: so a message that finds its stream idle is handed to the
/// connection without a change of threads. A wake without a waiter is remembered, once.
/// </summary>
internal sealed class WakeSignal : IValueTaskSource
{
    private const int None = 0;
    private const int Signalled = 1;
    private const int Waiting = 2;

    private ManualResetValueTaskSourceCore<bool> _source;
    private int _state;

    /// <summary>Waits for the next wake; one waiter at a time.</summary>
    public ValueTask WaitAsync()
    {
        _source.Reset();
        if (Interlocked.CompareExchange(ref _state, Waiting, None) == Signalled)
        {
            Volatile.Write(ref _state, None);
            return ValueTask.CompletedTask;
        }

        return new ValueTask(this, _source.Version);
    }

    /// <summary>Wakes the waiter, or the next one.</summary>
    public void Wake()
    {
        while (true)
        {
            int state = Volatile.Read(ref _state);
            if (state == Signalled)
            {
                return;
            }

            int next = state == Waiting ? None : Signalled;
            if (Interlocked.CompareExchange(ref _state, next, state) == state)
            {
                if (state == Waiting)
                {
                    _source.SetResult(true);
                }

                return;
            }
        }
    }

    void IValueTaskSource.GetResult(short token) => _source.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _source.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);
}
