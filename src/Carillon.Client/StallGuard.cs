namespace Carillon.Client;

/// <summary>Cancels one attempt when nothing has moved for its span, or when the caller cancels; tells the two apart.</summary>
internal sealed class StallGuard : IDisposable
{
    private readonly CancellationTokenSource _source;
    private readonly CancellationToken _caller;

    public StallGuard(TimeSpan span, CancellationToken caller)
    {
        Span = span;
        _caller = caller;
        _source = CancellationTokenSource.CreateLinkedTokenSource(caller);
        _source.CancelAfter(span);
    }

    /// <summary>Passed to everything the attempt waits for.</summary>
    public CancellationToken Token => _source.Token;

    /// <summary>True if the attempt was ended for want of progress.</summary>
    public bool Stalled => _source.IsCancellationRequested && !_caller.IsCancellationRequested;

    /// <summary>How long nothing may move; a new span counts from the next progress.</summary>
    public TimeSpan Span { get; set; }

    /// <summary>When something last moved, as <see cref="Environment.TickCount64"/>; null if nothing did.</summary>
    public long? LastProgress { get; private set; }

    /// <summary>Something moved: the span begins anew.</summary>
    public void Progress()
    {
        LastProgress = Environment.TickCount64;
        _source.CancelAfter(Span);
    }

    /// <summary>Until the next progress nothing counts: the attempt waits for its own side.</summary>
    public void Suspend() => _source.CancelAfter(Timeout.InfiniteTimeSpan);

    public void Dispose() => _source.Dispose();
}
