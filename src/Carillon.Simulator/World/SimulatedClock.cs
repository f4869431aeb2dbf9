using Carillon.Protocols;

namespace Carillon.Simulator.World;

/// <summary>
/// One server's two clocks. The monotonic one runs at its own rate, which may change; the wall clock is the monotonic one plus an offset,
/// which may jump. Both are straight lines of true time between changes, so that a deadline can be turned back into true time.
/// </summary>
internal sealed class SimulatedClock
{
    // True time zero; any date between 1970 and the end of 48 bits would do.
    private const long EpochMilliseconds = 1_800_000_000_000;
    private const long Million = 1_000_000;

    private Instant _anchor;
    private long _monotonicAtAnchor;
    private long _wallOffsetTicks;
    private long _ratePartsPerMillion;

    /// <summary>The wall clock's lead over true time, in ticks, at the anchor; drift adds to it.</summary>
    public TimeSpan Offset(Instant trueTime) => new(MonotonicAt(trueTime).Ticks + _wallOffsetTicks - trueTime.Ticks);

    /// <summary>What the server is told at this true time.</summary>
    public Moment At(Instant trueTime)
    {
        Instant monotonic = MonotonicAt(trueTime);
        long wallTicks = monotonic.Ticks + _wallOffsetTicks;
        return new Moment(monotonic, new WallTime(EpochMilliseconds + (wallTicks / TimeSpan.TicksPerMillisecond)));
    }

    /// <summary>The first true time at which the monotonic clock has reached a deadline.</summary>
    public Instant TrueTimeOf(Instant deadline)
    {
        if (deadline == Instant.Never)
        {
            return Instant.Never;
        }

        long ahead = deadline.Ticks - _monotonicAtAnchor;
        if (ahead <= 0)
        {
            return _anchor;
        }

        // The least time whose floor in MonotonicAt is the deadline: division rounded up.
        long pace = Million + _ratePartsPerMillion;
        return new Instant(_anchor.Ticks + (long)((((Int128)ahead * Million) + pace - 1) / pace));
    }

    /// <summary>Lets both clocks run faster or slower from now on.</summary>
    public void SetDrift(Instant now, int partsPerMillion)
    {
        _monotonicAtAnchor = MonotonicAt(now).Ticks;
        _anchor = now;
        _ratePartsPerMillion = partsPerMillion;
    }

    /// <summary>Moves the wall clock alone.</summary>
    public void Jump(TimeSpan by) => _wallOffsetTicks += by.Ticks;

    /// <summary>Sets the wall clock right, as an operator or NTP would.</summary>
    public void Correct(Instant now) => _wallOffsetTicks = now.Ticks - MonotonicAt(now).Ticks;

    /// <summary>A machine's monotonic clock begins anew when it boots; its wall clock is kept by a battery.</summary>
    public void Boot(Instant now, Instant monotonic)
    {
        long wall = MonotonicAt(now).Ticks + _wallOffsetTicks;
        _anchor = now;
        _monotonicAtAnchor = monotonic.Ticks;
        _wallOffsetTicks = wall - monotonic.Ticks;
    }

    private Instant MonotonicAt(Instant trueTime)
    {
        long passed = trueTime.Ticks - _anchor.Ticks;
        return new Instant(_monotonicAtAnchor + (passed * (Million + _ratePartsPerMillion) / Million));
    }
}
