namespace Carillon.Protocols.IndexMerge;

/// <summary>What index merge asks of the node around it.</summary>
public interface IIndexMergeHost
{
    /// <summary>Sends a message; it may be lost.</summary>
    void Send(NodeId to, ReadOnlyMemory<byte> message);

    /// <summary>A peer holds this submission as agreed: it is to be applied; no bit of one's own is needed.</summary>
    void Learned(Submissions.Submission submission);

    /// <summary>A peer holds this tag as rejected, or replaced by its successor.</summary>
    void LearnedRejected(MergeItem item);

    /// <summary>True if the tag is decided here and on its way into the catalog.</summary>
    bool IsOnItsWay(Tag tag);

    /// <summary>True while so much is on its way into the catalog that no more shall be asked for.</summary>
    bool IsBusy { get; }

    /// <summary>
    /// All that a peer kept when the comparison began is known here: in the catalog, or told by <see cref="Learned"/> and
    /// <see cref="LearnedRejected"/> before this call, and on its way there.
    /// </summary>
    void Merged(NodeId peer, Instant since);
}
