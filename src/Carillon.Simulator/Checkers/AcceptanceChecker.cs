using Carillon.Protocols;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Workloads;
using Carillon.Simulator.World;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A1: when a server answers "accepted", a quorum of servers has the submission, and enough of them each chunk, in what a power cut at this
/// very instant would leave of their disks. Opening those images is slow, so after the first answers of a run a share of them is looked at.
/// </summary>
internal sealed class AcceptanceChecker(SimulatedWorld world, RandomSource random, int quorum, int minimum, Func<int> damagedDisks)
{
    private const int AlwaysFirst = 3;
    private const double LaterShare = 0.08;

    private int _seen;

    /// <summary>How many answers were looked at.</summary>
    public int Looked { get; private set; }

    /// <summary>A server has just answered.</summary>
    public void OnAnswered(SimulatedServer server, WriteRecord write, SubmitOutcome outcome)
    {
        bool isChunked = write.Operations.Any(operation => operation.Chunks.Length > 0);
        if (outcome is not SubmitOutcome.Accepted accepted || (_seen++ >= AlwaysFirst && !random.Chance(isChunked ? 1 : LaterShare)))
        {
            return;
        }

        if (accepted.Replayed && world.Servers.Exists(holder => holder.Node?.RemembersSince > accepted.Tag.Uid.Stamp))
        {
            // Accepted long ago, superseded since, and so old that holders may have forgotten it (seed 79).
            return;
        }

        Looked++;
        ChunkId[] chunks = [.. write.Operations.SelectMany(operation => operation.Chunks).Select(chunk => ChunkId.Of(chunk.Span))];
        int holders = 0;
        int[] copies = new int[chunks.Length];
        foreach (SimulatedServer holder in world.Servers)
        {
            using IDurableImage image = world.Nodes.OpenDurable(holder.Name, holder.Disk.DurableCopy(), holder.Catalog);

            // A key is answered by its tag as long as it is remembered; the tag itself, superseded and trimmed, may be forgotten before.
            holders += image.Holds(accepted.Tag) || (accepted.Replayed && image.OutcomesSince > accepted.Tag.Uid.Stamp) ? 1 : 0;
            for (int i = 0; i < chunks.Length; i++)
            {
                copies[i] += image.Holds(chunks[i]) ? 1 : 0;
            }
        }

        int damaged = damagedDisks();
        if (holders + damaged < quorum)
        {
            throw Violation.Of(
                "A1", $"{server.Name} answered accepted {accepted.Tag} for {write}, and {holders} of {world.Servers.Count} servers hold it durably; {quorum} must");
        }

        int needed = Math.Min(minimum, world.Servers.Count);
        if (!accepted.Replayed && Array.Exists(copies, count => count + damaged < needed))
        {
            throw Violation.Of(
                "A1", $"{server.Name} answered accepted {accepted.Tag} for {write}, and a chunk has {copies.Min()} durable copies; {needed} are needed");
        }
    }
}
