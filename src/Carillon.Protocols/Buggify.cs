namespace Carillon.Protocols;

/// <summary>
/// Rare branches taken on purpose (FoundationDB's word): a short queue, an early snapshot, a message that is dropped although it need not
/// be. Each is something that the rules allow at any time. Off in what ships, where a point costs the look at one field: only the simulator
/// switches it on, for its own thread and from its seed, so that in each run some of the points are active and the others are not.
/// </summary>
public static class Buggify
{
    private const double ActiveShare = 0.4;

    // Some states need many rare branches in a row.
    private const double ActiveShareOfCrowded = 0.9;

    private static bool _mayBeOn;

    [ThreadStatic] private static RandomSource? _random;
    [ThreadStatic] private static Dictionary<string, bool>? _points;
    [ThreadStatic] private static ulong _seed;
    [ThreadStatic] private static double _activeShare;

    /// <summary>Switches points on for this thread, or all off by null; nearly all of them where the run is to be crowded with
    /// them.</summary>
    public static void Use(RandomSource? random, bool isCrowded = false)
    {
        _mayBeOn |= random is not null;
        _random = random;
        _points = random is null ? null : new Dictionary<string, bool>(StringComparer.Ordinal);
        _seed = random?.Next() ?? 0;
        _activeShare = isCrowded ? ActiveShareOfCrowded : ActiveShare;
    }

    /// <summary>True, with the given chance, at a point that is active in this run; never in what ships.</summary>
    public static bool Here(string point, double chance = 0.05)
    {
        if (!_mayBeOn || _random is not { } random || !IsActive(point) || !random.Chance(chance))
        {
            return false;
        }

        Sometimes.Reached(point);
        return true;
    }

    private static bool IsActive(string point)
    {
        if (_points!.TryGetValue(point, out bool isActive))
        {
            return isActive;
        }

        // FNV-1a (Fowler, Noll, Vo), stirred once more: the same points in every process.
        ulong hash = 14695981039346656037 ^ _seed;
        foreach (char c in point)
        {
            hash = (hash ^ c) * 1099511628211;
        }

        isActive = new RandomSource(hash).Chance(_activeShare);
        _points.Add(point, isActive);
        return isActive;
    }
}
