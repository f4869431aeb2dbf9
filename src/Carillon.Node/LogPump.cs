using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Storage;
using Carillon.Storage.Log;

namespace Carillon.Node;

/// <summary>
/// The group commits of a segment log: what was appended is handed to the disk when nothing more comes at the moment, one batch at a time;
/// while it is on its way the next one fills.
/// </summary>
/// <param name="log">The log.</param>
/// <param name="lane">The disk's queue that its batches wait in.</param>
/// <param name="run">Has work done.</param>
/// <param name="clock">The time of the input that is being handled.</param>
/// <param name="isBusy">True if so much is on its way that a slow flush is worth sharing.</param>
/// <param name="ended">A batch is durable, or the log has failed.</param>
internal sealed class LogPump(
    SegmentLog log, StorageLane lane, Action<StorageWork> run, Func<Instant> clock, Func<bool> isBusy, Action<StorageException?> ended)
{
    /// <summary>How long a record that nothing waits for waits for others.</summary>
    private static readonly TimeSpan LazyTime = TimeSpan.FromMilliseconds(50);

    /// <summary>A flush that took as long as this is worth waiting for: the next one gathers what comes within an eighth of it.</summary>
    private static readonly TimeSpan SlowFlush = TimeSpan.FromMilliseconds(2);

    private Instant _flushDeadline = Instant.Never;
    private Instant _flushBegan;
    private Instant _gatherUntil;
    private Instant _gatherDeadline = Instant.Never;
    private bool _flushWanted;

    /// <summary>When <see cref="Pump"/> has something to do by itself.</summary>
    public Instant NextDeadline => Instant.Min(_flushDeadline, _gatherDeadline);

    /// <summary>Appends a record. One that may wait is flushed with the next that may not, or after <see cref="LazyTime"/>.</summary>
    public ulong Append(ReadOnlySpan<byte> record, bool mayWait = false)
    {
        if (!mayWait)
        {
            _flushWanted = true;
        }
        else if (_flushDeadline == Instant.Never)
        {
            _flushDeadline = clock() + LazyTime;
        }

        return (ulong)log.Append(record).Value;
    }

    /// <summary>What is before a position is not needed any more.</summary>
    public void CutBefore(LogPosition position)
    {
        log.CutBefore(position);
        _flushWanted = true;
    }

    /// <summary>Begins the next batch, if one is due and none is on its way, and prepares segments.</summary>
    public void Pump()
    {
        Instant now = clock();
        bool gathers = _flushWanted && now < _gatherUntil;
        _gatherDeadline = gathers ? _gatherUntil : Instant.Never;
        if (((_flushWanted && !gathers) || now >= _flushDeadline) && log.TryBeginBatch(out LogBatch? batch))
        {
            _flushBegan = now;
            run(new LogWork(lane, batch, BatchEnded));
        }

        if (!log.HasWork)
        {
            (_flushWanted, _flushDeadline) = (false, Instant.Never);
        }
        else if (now >= _flushDeadline)
        {
            // It goes with the next batch, once the one in flight has ended.
            (_flushWanted, _flushDeadline) = (true, Instant.Never);
        }

        if (log.TryBeginPreparation(out SegmentPreparation? preparation))
        {
            run(new LogPreparationWork(preparation, (p, failure) => log.Complete(p, failure)));
        }
    }

    private void BatchEnded(LogBatch batch, StorageException? failure)
    {
        log.Complete(batch, failure);
        Instant now = clock();
        TimeSpan took = now - _flushBegan;
        if (failure is null && log.Health.IsWritable && took >= SlowFlush && isBusy())
        {
            // Slow flushes are shared: what the one that has just ended lets go brings the next records a moment later.
            _gatherUntil = now + (took / 8);
        }

        ended(failure);
    }
}
