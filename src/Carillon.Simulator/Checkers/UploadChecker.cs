using Carillon.Protocols;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A put-intent keeps a chunk from the collectors: as long as the server at which an upload was begun keeps it, each of its chunks has as
/// many copies as it was answered with, whatever time the client takes.
/// </summary>
internal static class UploadChecker
{
    /// <summary>Looks at an upload that is about to be submitted.</summary>
    /// <param name="upload">The upload.</param>
    /// <param name="chunks">What was stored.</param>
    /// <param name="copiesOf">Servers that have a chunk, or may: those that are down or may be damaged count.</param>
    /// <param name="minimum">Copies that were acknowledged.</param>
    public static void Check(Tag upload, IEnumerable<ChunkId> chunks, Func<ChunkId, int> copiesOf, int minimum)
    {
        foreach (ChunkId chunk in chunks)
        {
            if (copiesOf(chunk) is var copies && copies < minimum)
            {
                throw Violation.Of("intent", $"{chunk} of the upload {upload}, which is not over, is left with {copies} of {minimum} copies");
            }
        }
    }
}
