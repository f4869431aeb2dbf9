using System.Numerics;

namespace Carillon.Protocols.Cluster;

/// <summary>A set of entry servers of one configuration, one bit each.</summary>
public readonly record struct VoterSet(ulong Bits)
{
    /// <summary>How many there are.</summary>
    public int Count => BitOperations.PopCount(Bits);

    /// <summary>False for the bit of no voter, -1.</summary>
    public bool Contains(int bit) => bit is >= 0 and < ClusterConfiguration.MaxServers && (Bits >> bit & 1) != 0;

    /// <summary>With a voter; unchanged by the bit of no voter, -1.</summary>
    public VoterSet With(int bit) => new(Bits | Mask(bit));

    /// <summary>Without a voter; unchanged by the bit of no voter, -1.</summary>
    public VoterSet Without(int bit) => new(Bits & ~Mask(bit));

    // A shift by -1 would be one by 63, and set the bit of the last voter.
    private static ulong Mask(int bit)
    {
        Invariant.That(bit is >= -1 and < ClusterConfiguration.MaxServers);
        return bit < 0 ? 0 : 1UL << bit;
    }

    public static VoterSet operator |(VoterSet a, VoterSet b) => new(a.Bits | b.Bits);

    public static VoterSet operator &(VoterSet a, VoterSet b) => new(a.Bits & b.Bits);
}

/// <summary>
/// How many of the entry servers must agree. Any two quorums share a server, so it is never less than a majority (VE-42, VE-43,
/// VE-67).
/// </summary>
public readonly record struct Quorum
{
    public Quorum(int voters, int size)
    {
        Invariant.That(size <= voters && size * 2 > voters);
        Voters = voters;
        Size = size;
    }

    public int Voters { get; }

    public int Size { get; }

    /// <summary>⌊n/2⌋ + 1.</summary>
    public static int Majority(int voters) => (voters / 2) + 1;

    public bool IsReachedBy(int count) => count >= Size;

    public bool IsReachedBy(VoterSet set) => set.Count >= Size;

    /// <summary>True if even with all of <paramref name="undecided"/> those who said yes are fewer than a quorum.</summary>
    public bool IsImpossible(VoterSet yes, VoterSet undecided) => (yes | undecided).Count < Size;
}
