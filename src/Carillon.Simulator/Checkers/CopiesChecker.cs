using Carillon.Protocols;

namespace Carillon.Simulator.Checkers;

/// <summary>C2: every chunk that a kept version names has as many copies as are wanted, a while after the last fault.</summary>
internal static class CopiesChecker
{
    /// <summary>True if none lacks any.</summary>
    public static bool AreEnough(IEnumerable<ChunkId> chunks, Func<ChunkId, int> copies, int wanted) =>
        chunks.All(chunk => copies(chunk) >= wanted);

    /// <summary>Names the chunk with the fewest.</summary>
    public static string Describe(IReadOnlyCollection<ChunkId> chunks, Func<ChunkId, int> copies, int wanted)
    {
        ChunkId rare = chunks.MinBy(copies);
        return $"chunk {rare} has {copies(rare)} copies; {wanted} are wanted";
    }
}
