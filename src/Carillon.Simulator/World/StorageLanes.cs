using Carillon.Node;
using Carillon.Protocols;
using Carillon.Storage;

namespace Carillon.Simulator.World;

/// <summary>
/// The flusher threads of one process: works of a lane run one after the other. Bytes are put and made durable at two instants, so that a
/// crash may fall before, between and behind; a process that ends takes its waiting works with it.
/// </summary>
internal sealed class StorageLanes(
    EventQueue queue, RandomSource random, DiskSpeed speed, DiskFaults faults, Action<StorageWork, bool> stepped,
        Action<StorageWork, StorageException?> done, Action<string>? trace)
{
    private readonly Queue<StorageWork>[] _waiting = [.. Enum.GetValues<StorageLane>().Select(_ => new Queue<StorageWork>())];
    private readonly bool[] _busy = new bool[Enum.GetValues<StorageLane>().Length];
    private bool _ended;
    private Instant _heldUntil;

    /// <summary>Flushes made.</summary>
    public long Flushes { get; private set; }

    /// <summary>Queues a piece of work.</summary>
    public void Run(StorageWork work)
    {
        int lane = (int)work.Lane;
        _waiting[lane].Enqueue(work);
        Next(lane);
    }

    /// <summary>True while a work of the lane is being written or flushed.</summary>
    public bool IsBusy(StorageLane lane) => _busy[(int)lane];

    /// <summary>The process ended: nothing more is written.</summary>
    public void End() => _ended = true;

    /// <summary>The process is paused: its threads go on after that.</summary>
    public void Hold(Instant until) => _heldUntil = until;

    private void Next(int lane)
    {
        if (_busy[lane] || !_waiting[lane].TryDequeue(out StorageWork? work))
        {
            return;
        }

        _busy[lane] = true;
        TimeSpan writing = speed.Access + TimeSpan.FromSeconds(work.Bytes / (double)speed.BytesPerSecond);
        After(writing * faults.Slowness, () =>
        {
            if (Try(work.Write) is { } refused)
            {
                Finish(lane, work, refused);
                return;
            }

            stepped(work, false);
            TimeSpan flushing = speed.Flush + random.Below(speed.FlushJitter);
            After(flushing * faults.Slowness, () =>
            {
                Flushes++;
                StorageException? failure = Try(work.Flush);
                stepped(work, true);
                if (!_ended)
                {
                    Finish(lane, work, failure);
                }
            });
        });
    }

    private void Finish(int lane, StorageWork work, StorageException? failure)
    {
        trace?.Invoke($"{work.GetType().Name} of {work.Bytes} bytes is {(failure is null ? "durable" : $"refused: {failure.Message}")}");
        done(work, failure);
        _busy[lane] = false;
        if (!_ended)
        {
            Next(lane);
        }
    }

    private void After(TimeSpan delay, Action step)
    {
        queue.After(delay, () =>
        {
            if (_ended)
            {
                return;
            }

            if (queue.Now < _heldUntil)
            {
                queue.At(_heldUntil, () =>
                {
                    if (!_ended)
                    {
                        step();
                    }
                });
                return;
            }

            step();
        });
    }

    private static StorageException? Try(Action action)
    {
        try
        {
            action();
            return null;
        }
        catch (StorageException refused)
        {
            return refused;
        }
        catch (Exception fault) when (fault is not SimulationFailedException)
        {
            throw new SimulationFailedException(FailureKind.Crash, "crash", $"storage work: {fault.Message}", fault);
        }
    }
}
