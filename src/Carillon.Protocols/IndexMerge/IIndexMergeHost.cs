namespace Carillon.Protocols.IndexMerge;

/// <summary>What index merge asks of the node around it.</summary>
public interface IIndexMergeHost
{
    /// <summary>Sends a message; it may be lost.</summary>
    void Send(NodeId to, ReadOnlyMemory<byte> message);

    /// <summary>A peer holds this submission as agreed: it is to be applied; no bit of one's own is needed.</summary>
    void Learned(Submissions.Submission submission);

    /// <summary>A peer holds this tag as rejected.</summary>
    void LearnedRejected(Tag tag, string key);

    /// <summary>True if the tag is agreed here and on its way into the catalog.</summary>
    bool IsOnItsWay(Tag tag);

    /// <summary>All that a peer kept when the comparison began is known here.</summary>
    void Merged(NodeId peer, Instant since);
}
