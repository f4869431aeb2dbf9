using System.Globalization;
using System.Text;
using Carillon.Protocols;

namespace Carillon.Simulator.Faults;

/// <summary>
/// How often each kind of fault strikes, per second of true time and for the whole cluster, and how hard; drawn per seed, so that a kind
/// that strikes at all does so between once and a dozen times in the run.
/// </summary>
internal sealed record FaultOptions
{
    // Rot, as disks may be damaged in few runs only, and what needs several rare things besides.
    private const double LeastShareOfAimed = 0.5;

    private double[] Rates { get; init; } = new double[Enum.GetValues<FaultKind>().Length];

    /// <summary>No faults at all.</summary>
    public static FaultOptions None { get; } = new();

    /// <summary>The longest that a crashed server stays down.</summary>
    public TimeSpan DownMost { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The longest pause.</summary>
    public TimeSpan PauseMost { get; init; } = TimeSpan.FromSeconds(90);

    /// <summary>The longest partition.</summary>
    public TimeSpan PartitionMost { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>Servers whose disks may be damaged for good: never so many that the rest is less than a quorum or holds no good
    /// copy.</summary>
    public int DamageableDisks { get; init; }

    /// <summary>True: a minority stays down while the healed quorum must get on.</summary>
    public bool HealsQuorumFirst { get; init; }

    /// <summary>True: every server's clocks run up to 5 % too fast or too slow from the start, most of them by all of it.</summary>
    public bool DriftsFromTheStart { get; init; }

    /// <summary>True if nothing goes wrong.</summary>
    public bool IsCalm => Array.TrueForAll(Rates, rate => rate == 0);

    /// <summary>A kind's rate.</summary>
    public double RateOf(FaultKind kind) => Rates[(int)kind];

    /// <summary>
    /// Draws which kinds strike and how often. One run in ten is calm; of the others each has some kinds, so that faults meet in many
    /// combinations and none drowns the rest.
    /// </summary>
    /// <param name="random">Draws all that was there when the oldest seeds that failed were run.</param>
    /// <param name="later">Draws the kinds that came later, so that those seeds keep what they had.</param>
    /// <param name="newest">Draws the kinds that came last.</param>
    /// <param name="servers">Servers of the cluster.</param>
    /// <param name="quorum">How many must agree.</param>
    /// <param name="minimum">How many must have a chunk.</param>
    /// <param name="duration">The safety phase.</param>
    public static FaultOptions Draw(
        RandomSource random, RandomSource later, RandomSource newest, int servers, int quorum, int minimum, TimeSpan duration)
    {
        if (random.Chance(0.1))
        {
            return None;
        }

        var options = new FaultOptions
        {
            DownMost = TimeSpan.FromSeconds(Scale(random, 0.1, Math.Min(60, duration.TotalSeconds / 2))),
            PauseMost = TimeSpan.FromSeconds(Scale(random, 0.1, Math.Min(90, duration.TotalSeconds / 2))),
            PartitionMost = TimeSpan.FromSeconds(Scale(random, 1, Math.Min(60, duration.TotalSeconds / 2))),
            DamageableDisks = random.Below(Math.Min(servers - quorum, minimum - 1) + 1),
            HealsQuorumFirst = servers > quorum && random.Chance(0.4),
        };
        double share = 0.15 + (0.45 * random.Fraction());
        foreach (FaultKind kind in Enum.GetValues<FaultKind>().Where(kind => kind < FaultKind.AtGrant))
        {
            bool damages = kind is FaultKind.Rot or FaultKind.MisdirectedWrite;
            RandomSource source = kind > FaultKind.CrashAtStep ? newest : kind > FaultKind.Garbage ? later : random;
            bool strikes = source.Chance(kind is FaultKind.Rot or FaultKind.CutOffAtVector ? Math.Max(share, LeastShareOfAimed) : share);
            double most = kind is FaultKind.Garbage ? 100 : kind is FaultKind.CrashAtStep ? 40 : kind is FaultKind.CutOffAtVector ? 24 : 12;
            double rate = Scale(source, kind is FaultKind.CutOffAtVector ? 4 : 1, most) / duration.TotalSeconds;
            options.Rates[(int)kind] = strikes && !(damages && options.DamageableDisks == 0) ? rate : 0;
        }

        return options;
    }

    /// <summary>The same, and some kinds strike this often at least.</summary>
    public FaultOptions WithAtLeast(params ReadOnlySpan<(FaultKind Kind, double Rate)> rates)
    {
        FaultOptions changed = this with { Rates = [.. Rates] };
        foreach ((FaultKind kind, double rate) in rates)
        {
            changed.Rates[(int)kind] = Math.Max(changed.Rates[(int)kind], rate);
        }

        return changed;
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        if (IsCalm)
        {
            return "no faults";
        }

        var text = new StringBuilder();
        foreach (FaultKind kind in Enum.GetValues<FaultKind>())
        {
            if (RateOf(kind) > 0)
            {
                text.Append(CultureInfo.InvariantCulture, $"{kind} {RateOf(kind):G2}/s, ");
            }
        }

        text.Append(CultureInfo.InvariantCulture, $"down ≤ {DownMost.TotalSeconds:F1} s, pauses ≤ {PauseMost.TotalSeconds:F1} s, ");
        text.Append(CultureInfo.InvariantCulture, $"partitions ≤ {PartitionMost.TotalSeconds:F1} s, damageable disks {DamageableDisks}");
        text.Append(DriftsFromTheStart ? ", clocks drift from the start" : "");
        return text.Append(HealsQuorumFirst ? ", heals a quorum first" : "").ToString();
    }

    // Between two sizes, each order of magnitude as likely as another.
    private static double Scale(RandomSource random, double least, double most) => least * Math.Pow(most / least, random.Fraction());
}
