using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Simulator.Faults;

namespace Carillon.Simulator;

/// <summary>
/// Seeds for primacy: every run has services; leases are short, pauses and partitions about as long as they, clocks drift from the start,
/// servers come back while leases last, and what strikes, strikes when an epoch was granted. The rest is the seed's own.
/// </summary>
internal static class ServiceSeeds
{
    private const int MostOperations = 80;

    /// <summary>The same seed, with services, and harder on them.</summary>
    public static SeedOptions Harden(SeedOptions drawn)
    {
        var random = new RandomSource(drawn.Seed ^ 0x1EA5E);
        TimeSpan lease = TimeSpan.FromMilliseconds(Math.Round(Between(random, 0.6, 2).TotalMilliseconds));
        TimeSpan duration = Between(random, 15, 45);
        return drawn with
        {
            HasServices = true,
            LeaseDuration = lease,
            LastsItsTime = true,
            Duration = duration,
            World = drawn.World with
            {
                ProviderFailures = drawn.Faults.IsCalm ? 0 : random.Chance(0.5) ? 0.2 * random.Fraction() : 0,
            },
            Node = drawn.Node with
            {
                Primacy = new PrimacyOptions { QuietTime = Between(random, 0.5, 10), ReplaceAfter = Between(random, 2, 15) },
            },
            Faults = drawn.Faults.IsCalm ? drawn.Faults : Harden(drawn.Faults, random, lease, duration),
            Workload = drawn.Workload with
            {
                Operations = Math.Min(drawn.Workload.Operations, MostOperations),
                ThinkMost = 2 * duration * drawn.Workload.Clients / MostOperations,
            },
        };
    }

    private static FaultOptions Harden(FaultOptions drawn, RandomSource random, TimeSpan lease, TimeSpan duration)
    {
        FaultOptions harder = drawn with
        {
            DriftsFromTheStart = random.Chance(0.7),
            PauseMost = lease * (0.3 + (3 * random.Fraction())),
            DownMost = random.Chance(0.5) ? lease * (0.2 + random.Fraction()) : drawn.DownMost,
            PartitionMost = lease * (1 + (4 * random.Fraction())),
        };
        double Rate() => random.Chance(0.6) ? Between(random, 2, 20).TotalSeconds / duration.TotalSeconds : 0;
        return harder.WithAtLeast(
            (FaultKind.Kill, Rate()), (FaultKind.Pause, Rate()), (FaultKind.PartitionOne, Rate()), (FaultKind.PartitionBridge, Rate()),
            (FaultKind.PartitionOneWay, Rate()), (FaultKind.BridgeKill, Rate()), (FaultKind.AtGrant, random.Chance(0.7) ? 1 : 0),
            (FaultKind.ClockDrift, Rate()));
    }

    // Each order of magnitude as likely as another.
    private static TimeSpan Between(RandomSource random, double least, double most) =>
        TimeSpan.FromSeconds(least * Math.Pow(most / least, random.Fraction()));
}
