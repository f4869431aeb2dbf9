namespace Carillon.Protocols;

/// <summary>
/// Marks places that runs of the simulator must come to now and then; a simulator that never sees a late fetch proves nothing about late
/// fetches. Nothing listens in what ships, and a mark costs the look at one field.
/// </summary>
public static class Sometimes
{
    private static bool _mayCollect;

    [ThreadStatic] private static HashSet<string>? _reached;

    /// <summary>Collects the places that this thread comes to, or stops by null.</summary>
    public static void Collect(HashSet<string>? into)
    {
        _reached = into;
        _mayCollect |= into is not null;
    }

    /// <summary>This place was come to.</summary>
    public static void Reached(string place)
    {
        if (_mayCollect)
        {
            _reached?.Add(place);
        }
    }
}
