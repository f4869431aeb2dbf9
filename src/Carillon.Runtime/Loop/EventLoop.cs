using System.Diagnostics.Metrics;
using Carillon.Protocols;

namespace Carillon.Runtime.Loop;

/// <summary>
/// Drives a single-threaded machine: any thread posts items, the loop hands them over in batches and wakes at the machine's deadline. The
/// queue is bounded: a full one refuses (<see cref="TryPost(in TWork)"/>) or makes the poster wait (<see cref="PostAsync"/>). An exception
/// from the handler, a broken invariant above all, ends the loop; the owner learns it from <see cref="Completion"/>.
/// </summary>
/// <remarks>A turn belongs to one thread at a time: to the loop's own, or, where that sleeps, to one that has brought items and has nothing
/// better to do (<see cref="Drive"/>): to wake another takes longer than most turns (docs/adr/0030).</remarks>
/// <typeparam name="TWork">One queued item.</typeparam>
public sealed class EventLoop<TWork>
    where TWork : struct
{
    private readonly Lock _gate = new();

    // Set outside the gate, or whoever wakes would find it closed.
    private readonly AutoResetEvent _wake = new(initialState: false);
    private readonly IEventLoopHandler<TWork> _handler;
    private readonly SystemClock _clock;
    private readonly EventLoopOptions _options;
    private readonly Thread _thread;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly KeyValuePair<string, object?> _tag;

    // Two arrays: posters fill one while the loop works through the other. They change places under the gate, so the gate is
    // held for a copy of one item at most.
    private TWork[] _filling;
    private TWork[] _draining;
    private int _filled;
    private bool _closed;
    private bool _started;
    private TaskCompletionSource? _room;

    // Whose turn it is: the loop's thread's or a driver's; none: the loop rests, and its thread sleeps.
    private Thread? _owner;

    // The turn is the thread's, which sleeps still.
    private bool _isCalled;

    // How long its thread sleeps, and until when it may.
    private Instant _sleepsUntil;
    private Instant _deadline;

    // The owner's: the batch in work is _draining[_next.._taken].
    private int _next;
    private int _taken;
    private bool _isLoaded;

    /// <summary>Makes a loop that does not run yet.</summary>
    /// <exception cref="ArgumentException">The options have faults.</exception>
    public EventLoop(IEventLoopHandler<TWork> handler, SystemClock clock, EventLoopOptions options)
    {
        if (options.Validate() is { Count: > 0 } faults)
        {
            throw new ArgumentException(string.Join(' ', faults), nameof(options));
        }

        _handler = handler;
        _clock = clock;
        _options = options;
        _filling = new TWork[options.QueueLimit];
        _draining = new TWork[options.QueueLimit];
        _tag = new KeyValuePair<string, object?>("loop", options.Name);
        _thread = new Thread(Run) { IsBackground = true, Name = options.Name };
        _owner = _thread;
    }

    /// <summary>Ends when the loop has ended: well after <see cref="StopAsync"/>, faulted with what the handler threw.</summary>
    public Task Completion => _completion.Task;

    /// <summary>True on the thread that is in a turn.</summary>
    public bool IsCurrent => Volatile.Read(ref _owner) == Thread.CurrentThread;

    /// <summary>True while nobody is in a turn.</summary>
    public bool IsResting => Volatile.Read(ref _owner) is null;

    /// <summary>Items that wait.</summary>
    public int Depth => Volatile.Read(ref _filled);

    /// <summary>True from <see cref="Start"/> on.</summary>
    public bool IsStarted
    {
        get
        {
            lock (_gate)
            {
                return _started;
            }
        }
    }

    /// <summary>Starts the thread; once.</summary>
    public void Start()
    {
        lock (_gate)
        {
            _started = true;
        }

        _thread.Start();
    }

    /// <summary>Queues an item, or says no: the queue is full, or the loop is stopping or has ended. Any thread.</summary>
    public bool TryPost(in TWork work)
    {
        bool isAdded;
        bool wakes;
        lock (_gate)
        {
            isAdded = TryAdd(in work);
            wakes = isAdded && TryCall();
        }

        Wake(wakes);
        return isAdded;
    }

    /// <summary>As <see cref="TryPost(in TWork)"/>; but a loop that rests goes on resting until <see cref="Drive"/>, which must
    /// follow.</summary>
    public bool TryQueue(in TWork work)
    {
        lock (_gate)
        {
            return TryAdd(in work);
        }
    }

    /// <summary>Queues an item, and <see cref="Drive"/>s the loop. False as in <see cref="TryPost(in TWork)"/>.</summary>
    public bool TryRun(in TWork work)
    {
        if (!TryQueue(in work))
        {
            return false;
        }

        Drive();
        return true;
    }

    /// <summary>
    /// If the loop rests while something waits, this thread has a turn: one batch, without a change of threads. What is left then is the
    /// loop's own, and so is the turn where there is a load: more gathers while its thread wakes up, and shares it. Any thread that holds
    /// no lock which the handler may want.
    /// </summary>
    public void Drive()
    {
        bool wakes;
        lock (_gate)
        {
            if (_filled == 0 || _owner is not null || _closed)
            {
                // Whoever is in a turn looks again at its end.
                return;
            }

            wakes = _isLoaded && TryCall();
            if (!wakes)
            {
                Volatile.Write(ref _owner, Thread.CurrentThread);
                Swap();
            }
        }

        if (wakes)
        {
            _wake.Set();
            return;
        }

        Instant deadline = Instant.Never;
        AsyncFlowControl? flow = ExecutionContext.IsFlowSuppressed() ? null : ExecutionContext.SuppressFlow();
        try
        {
            // What a turn begins must not live on in the context of whoever had it.
            deadline = HandleSlice();
        }
        catch (Exception death)
        {
            Die(death);
        }

        flow?.Undo();

        lock (_gate)
        {
            _deadline = deadline;
            _isCalled = _next < _taken || _filled > 0 || _closed || deadline < _sleepsUntil;
            wakes = _isCalled;
            Volatile.Write(ref _owner, wakes ? _thread : null);
        }

        Wake(wakes);
    }

    /// <summary>Queues an item, waiting for room. False: the loop is stopping or has ended, and the item was not taken. Any thread but the
    /// loop's own.</summary>
    public async ValueTask<bool> PostAsync(TWork work, CancellationToken cancellation = default)
    {
        Invariant.That(!IsCurrent, "the event loop never waits for room in its own queue");
        while (true)
        {
            Task? room = null;
            bool isAdded;
            bool wakes;
            lock (_gate)
            {
                isAdded = TryAdd(in work);
                wakes = isAdded && TryCall();
                if (!isAdded && !_closed)
                {
                    room = (_room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;
                }
            }

            Wake(wakes);
            if (room is null)
            {
                return isAdded;
            }

            LoopMetrics.Waits.Add(1, _tag);
            await room.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    /// <summary>Refuses new items, handles those that wait, and ends the loop; one that was never started abandons them.</summary>
    public Task StopAsync()
    {
        bool runs;
        lock (_gate)
        {
            Close();
            runs = _started;
        }

        _wake.Set();
        if (!runs)
        {
            AbandonAll();
            _completion.TrySetResult();
        }

        return Completion;
    }

    private bool TryAdd(in TWork work)
    {
        if (_closed || _filled == _filling.Length)
        {
            return false;
        }

        _filling[_filled++] = work;
        return true;
    }

    /// <summary>Gives a loop that rests to its thread, which is to be woken then.</summary>
    private bool TryCall()
    {
        if (_owner is not null)
        {
            return false;
        }

        Volatile.Write(ref _owner, _thread);
        _isCalled = true;
        return true;
    }

    private void Wake(bool wakes)
    {
        if (wakes)
        {
            _wake.Set();
        }
    }

    private void Close()
    {
        _closed = true;
        TaskCompletionSource? room = _room;
        _room = null;
        room?.SetResult();
    }

    private void Run()
    {
        try
        {
            _deadline = _handler.Settle(_clock.Read());
            while (TakeBatch())
            {
                do
                {
                    _deadline = HandleSlice();
                }
                while (_next < _taken);
            }

            _completion.TrySetResult();
        }
        catch (Exception death)
        {
            Die(death);
        }
    }

    /// <summary>Waits for items or the deadline. False once the loop is closed and empty.</summary>
    private bool TakeBatch()
    {
        // Whoever is ready to run may run first: on a busy machine those are the ones that post, and more items then share this turn, its
        // flush and its messages (measured: a sixth fewer flushes, 7 % less processor time a put). After a short turn there is no load, and
        // one item would only wait for whoever else has work.
        if (_isLoaded)
        {
            Thread.Yield();
        }

        while (true)
        {
            int wait;
            lock (_gate)
            {
                wait = _filled > 0 || _closed ? 0 : MillisecondsUntil(_deadline);
                if (wait == 0)
                {
                    bool isOver = _filled == 0 && _closed;
                    Swap();
                    return !isOver;
                }

                _sleepsUntil = _deadline;
                Volatile.Write(ref _owner, null);
            }

            Sleep(wait);
            if (_next < _taken)
            {
                // A driver has left it.
                return true;
            }
        }
    }

    /// <summary>Until the turn is the thread's.</summary>
    private void Sleep(int wait)
    {
        while (true)
        {
            _wake.WaitOne(wait);
            lock (_gate)
            {
                if (_isCalled || _owner is null)
                {
                    _isCalled = false;
                    Volatile.Write(ref _owner, _thread);
                    return;
                }

                // A driver is in a turn beyond the deadline, which it settles; for another one it calls.
                _sleepsUntil = Instant.Never;
                wait = Timeout.Infinite;
            }
        }
    }

    private void Swap()
    {
        (_filling, _draining) = (_draining, _filling);
        (_next, _taken) = (0, _filled);
        _filled = 0;
        if (!_closed)
        {
            TaskCompletionSource? room = _room;
            _room = null;
            room?.SetResult();
        }
    }

    private Instant HandleSlice()
    {
        Moment moment = _clock.Read();
        int end = Math.Min(_taken, _next + _options.BatchLimit);
        int count = end - _next;
        while (_next < end)
        {
            // Moved on first: an item whose handling throws is the handler's own to account for, not one to abandon.
            ref TWork work = ref _draining[_next++];
            _handler.Handle(in work, moment);
        }

        if (_next == _taken)
        {
            // What it holds is let go of.
            Array.Clear(_draining, 0, _taken);
        }

        Instant deadline = _handler.Settle(moment);
        _isLoaded = _clock.Now - moment.Now >= _options.LongTurn;
        LoopMetrics.Items.Add(count, _tag);
        LoopMetrics.Batches.Add(1, _tag);
        return deadline;
    }

    private void Die(Exception death)
    {
        try
        {
            AbandonAll();
        }
        catch (Exception second)
        {
            death = new AggregateException(death, second);
            _next = _taken;
        }

        _completion.TrySetException(death);
    }

    private void AbandonAll()
    {
        int waiting;
        lock (_gate)
        {
            Close();
            waiting = _filled;
            _filled = 0;
        }

        while (_next < _taken)
        {
            _handler.Abandon(in _draining[_next++]);
        }

        for (int i = 0; i < waiting; i++)
        {
            _handler.Abandon(in _filling[i]);
        }
    }

    // Rounded up: to wake early would spin through the last millisecond.
    private int MillisecondsUntil(Instant deadline)
    {
        if (deadline == Instant.Never)
        {
            return Timeout.Infinite;
        }

        long ticks = (deadline - _clock.Now).Ticks;
        return ticks <= 0 ? 0 : (int)Math.Min((ticks + TimeSpan.TicksPerMillisecond - 1) / TimeSpan.TicksPerMillisecond, int.MaxValue);
    }
}

/// <summary>Figures of event loops, by name.</summary>
internal static class LoopMetrics
{
    public static readonly Counter<long> Items =
        CarillonMeter.Instance.CreateCounter<long>("carillon.loop.items", description: "Items handled");

    public static readonly Counter<long> Batches =
        CarillonMeter.Instance.CreateCounter<long>("carillon.loop.batches", description: "Batches, each followed by its outputs");

    public static readonly Counter<long> Waits =
        CarillonMeter.Instance.CreateCounter<long>("carillon.loop.waits", description: "Posters that had to wait for room in the queue");
}
