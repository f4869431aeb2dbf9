using Carillon.Protocols;

namespace Carillon.Simulator.Checkers;

/// <summary>C5: whatever a server has stored under a chunk's name is that chunk: every copy on an undamaged disk is read.</summary>
internal static class StoredChunksChecker
{
    /// <summary>Reads all copies of a server.</summary>
    public static void Check(NodeId server, IEnumerable<ChunkId> stored, Predicate<ChunkId> isBad)
    {
        foreach (ChunkId chunk in stored)
        {
            if (isBad(chunk))
            {
                throw Violation.Of("C5", $"{server} has bytes under the name {chunk} that are not that chunk, on a disk that is not damaged");
            }
        }
    }
}
