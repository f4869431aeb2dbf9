namespace Carillon.Protocols.Membership;

/// <summary>
/// The clock filter of NTP (RFC 5905, §10): of the last eight samples the one with the shortest round trip tells the offset
/// best, since its error is at most half of that. The offset is kept against this server's monotonic clock, so a step of its
/// own wall clock shows at once; when a new sample contradicts the best one, the peer's clock was stepped and the new one holds.
/// </summary>
internal sealed class ClockFilter
{
    private const int Length = 8;

    // Wall clocks travel in milliseconds.
    private const long ResolutionTicks = TimeSpan.TicksPerMillisecond;

    // Two clocks that NTP slews part by a thousandth of the time between two samples. Where clocks run worse than that the newest
    // sample always wins, which is right too.
    private const int DriftDivisor = 1000;

    private readonly Sample[] _samples = new Sample[Length];
    private int _count;
    private int _next;
    private int _best;

    /// <summary>True once there is a sample.</summary>
    public bool IsMeasured => _count > 0;

    /// <summary>The shortest round trip among the samples.</summary>
    public TimeSpan RoundTrip => new(_samples[_best].RoundTripTicks);

    /// <summary>Ticks of the peer's wall clock when this server's monotonic clock was at zero.</summary>
    public long BaseTicks => _samples[_best].BaseTicks;

    /// <summary>How far <see cref="BaseTicks"/> may be off.</summary>
    public long BoundTicks => (_samples[_best].RoundTripTicks / 2) + ResolutionTicks;

    /// <summary>Takes a measured round trip, and what the peer's wall clock said when its answer left.</summary>
    public void Add(TimeSpan roundTrip, WallTime peerWall, Instant now)
    {
        var sample = new Sample(
            roundTrip.Ticks, (peerWall.Milliseconds * TimeSpan.TicksPerMillisecond) + (roundTrip.Ticks / 2) - now.Ticks, now);
        if (_count > 0 && Contradicts(_samples[_best], sample))
        {
            Clear();
        }

        _samples[_next] = sample;
        _next = (_next + 1) % Length;
        _count = Math.Min(_count + 1, Length);
        _best = 0;
        for (int i = 1; i < _count; i++)
        {
            if (_samples[i].RoundTripTicks < _samples[_best].RoundTripTicks)
            {
                _best = i;
            }
        }
    }

    /// <summary>Forgets everything: the peer was restarted.</summary>
    public void Clear()
    {
        _count = 0;
        _next = 0;
        _best = 0;
    }

    private static bool Contradicts(Sample old, Sample fresh) =>
        Math.Abs(fresh.BaseTicks - old.BaseTicks)
        > ((old.RoundTripTicks + fresh.RoundTripTicks) / 2) + (2 * ResolutionTicks) + ((fresh.At - old.At).Ticks / DriftDivisor);

    private readonly record struct Sample(long RoundTripTicks, long BaseTicks, Instant At);
}
