using Carillon.Protocols;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Faults;

/// <summary>Wrong clocks.</summary>
internal sealed class ClockFaults(SimulatedWorld world, RandomSource random)
{
    private const int MaxDriftPartsPerMillion = 50_000;
    private const int MaxStrobes = 40;

    /// <summary>A wall clock jumps by 11 ms to 288 s, either way.</summary>
    public bool Jump(SimulatedServer server)
    {
        server.Clock.Jump(Size());
        return true;
    }

    /// <summary>A wall clock jumps to and fro, every few milliseconds to a second.</summary>
    public bool Strobe(SimulatedServer server, Func<bool> isOver)
    {
        TimeSpan size = Size();
        TimeSpan period = TimeSpan.FromMilliseconds(2 * Math.Pow(500, random.Fraction()));
        int left = 2 * (1 + random.Below(MaxStrobes / 2));
        void Step()
        {
            if (isOver())
            {
                return;
            }

            server.Clock.Jump(left % 2 == 0 ? size : -size);
            left--;
            if (left > 0)
            {
                world.Queue.After(period, Step);
            }
        }

        Step();
        return true;
    }

    /// <summary>Both clocks of a server run up to 5 % too fast or too slow.</summary>
    public bool Drift(SimulatedServer server)
    {
        server.Clock.SetDrift(world.Queue.Now, random.Below((2 * MaxDriftPartsPerMillion) + 1) - MaxDriftPartsPerMillion);
        server.Rearm();
        return true;
    }

    /// <summary>All clocks drift, most of them by as much as is allowed.</summary>
    public void DriftAll()
    {
        foreach (SimulatedServer server in world.Servers)
        {
            int drift = random.Chance(0.7) ? (random.Chance(0.5) ? MaxDriftPartsPerMillion : -MaxDriftPartsPerMillion)
                : random.Below((2 * MaxDriftPartsPerMillion) + 1) - MaxDriftPartsPerMillion;
            server.Clock.SetDrift(world.Queue.Now, drift);
            server.Rearm();
        }
    }

    /// <summary>All clocks are right again, and run right.</summary>
    public void Correct()
    {
        foreach (SimulatedServer server in world.Servers)
        {
            server.Clock.SetDrift(world.Queue.Now, 0);
            server.Clock.Correct(world.Queue.Now);
            server.Rearm();
        }
    }

    private TimeSpan Size()
    {
        TimeSpan size = TimeSpan.FromMilliseconds(11 * Math.Pow(288_000 / 11.0, random.Fraction()));
        return random.Chance(0.5) ? size : -size;
    }
}
