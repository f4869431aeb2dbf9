using System.Collections.Immutable;
using System.Runtime.InteropServices;

namespace Carillon.Protocols.Membership;

/// <summary>
/// Seed 000's clock rule, as VE-70 mends it: a server whose clock is off by more than <c>clock.maxSkew</c> from a quorum of its
/// peers accepts no submissions. Every offset is this server's own measurement against its monotonic clock, and the skew of two
/// others is the difference of theirs; so each server judges all of them, itself included, by the same rule.
/// </summary>
internal sealed class ClockGuard(TimeSpan maxSkew)
{
    // A quarantine is lifted a little inside the limit, so that a clock at the limit does not flap.
    private const double LiftFraction = 0.9;

    private readonly List<Reading> _readings = [];

    /// <summary>Forgets the readings; the next ones are of <paramref name="now"/>.</summary>
    public void Begin(NodeId self, bool selfIsEntry, bool selfQuarantined, Moment now)
    {
        _readings.Clear();
        _readings.Add(new Reading(self, selfIsEntry, selfQuarantined, SelfBase(now), 0));
    }

    /// <summary>Adds the reading of a peer that is heard and measured.</summary>
    public void Add(Peer peer) =>
        _readings.Add(new Reading(peer.Name, peer.Bit >= 0, peer.Quarantined, peer.Clock.BaseTicks, peer.Clock.BoundTicks));

    /// <summary>
    /// True if a quorum of entry servers other than <paramref name="server"/> surely sees it off. One without a reading keeps its
    /// state: a wrong clock is not good again because its server was restarted.
    /// </summary>
    public bool IsOff(NodeId server, int quorum, bool otherwise)
    {
        int place = _readings.FindIndex(reading => reading.Server == server);
        if (place < 0)
        {
            return otherwise;
        }

        Reading judged = _readings[place];
        double limit = maxSkew.Ticks * (judged.Quarantined ? LiftFraction : 1);
        int judges = 0;
        foreach (Reading judge in CollectionsMarshal.AsSpan(_readings))
        {
            bool off = Math.Abs(judged.BaseTicks - judge.BaseTicks) - judged.BoundTicks - judge.BoundTicks > limit;
            judges += judge.IsEntry && judge.Server != server && off ? 1 : 0;
        }

        return judges >= quorum;
    }

    /// <summary>Every ordered pair whose clocks are more than the limit apart, in order of the names.</summary>
    public ImmutableArray<ClockSkew> Report()
    {
        var report = ImmutableArray.CreateBuilder<ClockSkew>();
        _readings.Sort((a, b) => a.Server.CompareTo(b.Server));
        foreach (Reading server in _readings)
        {
            foreach (Reading against in _readings)
            {
                long offset = server.BaseTicks - against.BaseTicks;
                long bound = server.BoundTicks + against.BoundTicks;
                if (Math.Abs(offset) - bound > maxSkew.Ticks)
                {
                    report.Add(new ClockSkew(server.Server, against.Server, new TimeSpan(offset), new TimeSpan(bound), server.Quarantined));
                }
            }
        }

        return report.DrainToImmutable();
    }

    /// <summary>The median of some offsets; of two middle values the one farther from zero.</summary>
    public static TimeSpan Median(List<TimeSpan> offsets)
    {
        offsets.Sort();
        TimeSpan low = offsets[(offsets.Count - 1) / 2];
        TimeSpan high = offsets[offsets.Count / 2];
        return low.Duration() > high.Duration() ? low : high;
    }

    /// <summary>Ticks of this server's wall clock when its monotonic clock was at zero, as it now seems.</summary>
    public static long SelfBase(Moment now) => (now.Wall.Milliseconds * TimeSpan.TicksPerMillisecond) - now.Now.Ticks;

    private readonly record struct Reading(NodeId Server, bool IsEntry, bool Quarantined, long BaseTicks, long BoundTicks);
}
