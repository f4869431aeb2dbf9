using System.Numerics;

namespace Carillon.Protocols;

/// <summary>
/// A seeded generator (xoshiro256**, Blackman and Vigna 2018; seeded by SplitMix64). Everything random in a core comes from
/// one that was passed in, so a seed decides a whole run. Not for secrets.
/// </summary>
public sealed class RandomSource
{
    private ulong _a;
    private ulong _b;
    private ulong _c;
    private ulong _d;

    /// <summary>A generator whose whole output is decided by the seed.</summary>
    public RandomSource(ulong seed)
    {
        _a = Mix(ref seed);
        _b = Mix(ref seed);
        _c = Mix(ref seed);
        _d = Mix(ref seed);
    }

    /// <summary>64 random bits.</summary>
    public ulong Next()
    {
        ulong result = BitOperations.RotateLeft(_b * 5, 7) * 9;
        ulong t = _b << 17;
        _c ^= _a;
        _d ^= _b;
        _b ^= _c;
        _a ^= _d;
        _c ^= t;
        _d = BitOperations.RotateLeft(_d, 45);
        return result;
    }

    /// <summary>A number from 0 up to, and without, <paramref name="bound"/> (at least 1).</summary>
    public int Below(int bound) => (int)Math.BigMul(Next(), (ulong)bound, out _);

    /// <summary>A number from 0 up to, and without, <paramref name="bound"/> (at least 1).</summary>
    public long Below(long bound) => (long)Math.BigMul(Next(), (ulong)bound, out _);

    /// <summary>A number from 0 up to, and without, 1.</summary>
    public double Fraction() => (Next() >> 11) * (1.0 / (1UL << 53));

    /// <summary>True with the given probability.</summary>
    public bool Chance(double probability) => Fraction() < probability;

    /// <summary>A duration from zero up to <paramref name="bound"/>.</summary>
    public TimeSpan Below(TimeSpan bound) => bound <= TimeSpan.Zero ? TimeSpan.Zero : new TimeSpan(Below(bound.Ticks));

    /// <summary>A generator of its own for a part, so that one part's draws do not shift another's.</summary>
    public RandomSource Fork() => new(Next());

    private static ulong Mix(ref ulong state)
    {
        ulong z = state += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
