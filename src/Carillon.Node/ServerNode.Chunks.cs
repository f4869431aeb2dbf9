using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage;

namespace Carillon.Node;

/// <content>Chunks: the store's batches, and what agreement means for put-intents.</content>
public sealed partial class ServerNode
{
    private Instant ChunksDeadline => Instant.Never;

    private void OpenChunks(IStorageDevice device)
    {
    }

    private void AdvanceChunks(Moment now)
    {
    }

    private void DrainChunks()
    {
    }

    private void PumpChunks()
    {
    }

    private ImmutableArray<NodeId> KnownHolders(ChunkId chunk) => Chunks.Contains(chunk) ? [Self.Name] : [];

    private bool ReceiveChunks(ServerIdentity from, ReadOnlySpan<byte> payload) => false;

    private void PeerRestarted(NodeId peer)
    {
    }

    private void SubmissionDecided(Submission submission)
    {
    }

    private void SubmissionApplied(Submission submission)
    {
    }

    private void TagRejected(Tag tag, Tag successor)
    {
    }
}
