namespace Carillon.Protocols.Membership;

/// <summary>Which of the last 64 numbers of a counter have been seen; older ones count as seen.</summary>
internal sealed class RecentNumbers
{
    private const int Length = 64;

    private uint _greatest;
    private ulong _seen;

    /// <summary>True if the number is new.</summary>
    public bool Add(uint number)
    {
        if (number > _greatest)
        {
            uint steps = number - _greatest;
            _seen = steps >= Length ? 0 : _seen << (int)steps;
            _greatest = number;
        }

        uint age = _greatest - number;
        if (age >= Length || (_seen >> (int)age & 1) != 0)
        {
            return false;
        }

        _seen |= 1UL << (int)age;
        return true;
    }

    /// <summary>The counter starts again.</summary>
    public void Clear()
    {
        _greatest = 0;
        _seen = 0;
    }
}
