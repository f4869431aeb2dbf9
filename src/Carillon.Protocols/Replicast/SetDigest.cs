using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Replicast;

/// <summary>
/// The digest of a set of chunks, kept up to date by adding and taking away one at a time, whatever the order: the count and
/// two sums of mixed ids. Two servers whose digests are equal hold the same chunks; repair looks no further there.
/// </summary>
/// <remarks>
/// Ids are mixed before they are summed, so that a set can't be made to look like another by linear algebra on the ids. A
/// collision costs a delayed repair and nothing else: it ends with the next chunk that comes or goes.
/// </remarks>
public readonly record struct SetDigest(uint Count, ulong A, ulong B)
{
    /// <summary>Bytes on the wire: 4 count, 8 and 8 sums.</summary>
    public const int Size = 20;

    /// <summary>The digest with one more chunk.</summary>
    public SetDigest With(ChunkId id) => new(Count + 1, A + Mix(id, 0x9E3779B97F4A7C15), B + Mix(id, 0xC2B2AE3D27D4EB4F));

    /// <summary>The digest with one chunk less, which must be in the set.</summary>
    public SetDigest Without(ChunkId id) => new(Count - 1, A - Mix(id, 0x9E3779B97F4A7C15), B - Mix(id, 0xC2B2AE3D27D4EB4F));

    /// <summary>The digest of the union of two sets that share nothing.</summary>
    public static SetDigest operator +(SetDigest a, SetDigest b) => new(a.Count + b.Count, a.A + b.A, a.B + b.B);

    public void Write(ref WireWriter writer)
    {
        writer.U32(Count);
        writer.U64(A);
        writer.U64(B);
    }

    public static SetDigest Read(ref WireReader reader) => new(reader.U32(), reader.U64(), reader.U64());

    private static ulong Mix(ChunkId id, ulong salt)
    {
        ulong mixed = salt;
        mixed = Step(mixed ^ id.Digest.A);
        mixed = Step(mixed ^ id.Digest.B);
        mixed = Step(mixed ^ id.Digest.C);
        return Step(mixed ^ id.Digest.D);
    }

    // The finisher of SplitMix64 (Steele, Lea and Flood, 2014).
    private static ulong Step(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
}
