using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>What the catalog keeps of a tag that was decided.</summary>
/// <param name="State">Unknown, Accepted or Rejected.</param>
/// <param name="Successor">The fresh tag that a rejected one was replaced by, or none.</param>
public readonly record struct AppliedOutcome(TagState State, Tag Successor);

/// <summary>
/// What vector exchange asks of the node around it. Every call is synchronous and returns at once. Records go to the log in the order of
/// the calls; the node calls <see cref="VectorExchange.Persisted"/> as they become durable, and lets a message leave only after the
/// position it names.
/// </summary>
public interface IExchangeHost
{
    /// <summary>True if this server takes part in agreement: its disk is the configured one and undamaged, and it is not
    /// stopping.</summary>
    bool MayVote { get; }

    /// <summary>True while the own clock is within <c>clock.maxSkew</c> of the median of a connected quorum's.</summary>
    bool ClockNearQuorum { get; }

    /// <summary>True for a server whose clock a quorum finds good; the others' submissions are refused.</summary>
    bool IsClockGood(NodeId server);

    /// <summary>True if the log takes this many bytes more; urgent records (aborts, bits, outcomes) may use the reserve.</summary>
    bool CanAppend(int bytes, bool urgent);

    /// <summary>Appends a record; returns its position, which grows with each.</summary>
    ulong Append(ReadOnlySpan<byte> record);

    /// <summary>Outcomes of all decided tags with this stamp or a later one are kept; of earlier ones perhaps not.</summary>
    Timestamp OutcomesSince { get; }

    /// <summary>Of tags with an earlier stamp nothing need be kept, not even that this server took part in their decision: it takes part in
    /// no further one. Not above <see cref="OutcomesSince"/>.</summary>
    Timestamp OutcomeHorizon { get; }

    /// <summary>Position up to which everything is durable.</summary>
    ulong Durable { get; }

    /// <summary>Sends a message once everything up to <paramref name="after"/> is durable (0: at once). False: it could not be
    /// queued.</summary>
    bool Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after);

    /// <summary>The greatest tag applied for a name, version or tombstone; none if there is none.</summary>
    Tag GreatestApplied(ObjectName name);

    /// <summary>What is kept of a decided tag.</summary>
    AppliedOutcome Outcome(Tag tag);

    /// <summary>The accepted tag of a key with its fingerprint, or none. Of the feed: the tag that has the key, applied or
    /// refused.</summary>
    (Tag Tag, Digest Fingerprint) AcceptedKey(string key);

    /// <summary>The record of an applied submission, or null.</summary>
    Submission? Applied(Tag tag);

    /// <summary>Rules that look at buckets: null if the push is welcome.</summary>
    PushVerdict? RefusePush(Submission submission);

    /// <summary>A submission is agreed: apply it, then call <see cref="VectorExchange.Applied"/>.</summary>
    void Agreed(Submission submission);

    /// <summary>
    /// True where what is agreed is applied in the feed's order: <see cref="Agreed"/> hands it over, and
    /// <see cref="VectorExchange.Sequenced"/> is called instead of <see cref="VectorExchange.Applied"/>. Preconditions need it.
    /// </summary>
    bool HasFeed => false;

    /// <summary>What the feed made of a tag, as far as it is applied here and remembered. <see cref="Outcome"/> calls it accepted, whatever
    /// it is.</summary>
    FeedOutcome Sequenced(Tag tag) => default;

    /// <summary>True if a kept version of the name with a greater UID than this comes from a conditional submission.</summary>
    bool HasConditionalAbove(ObjectName name, Uid uid) => false;

    /// <summary>The bucket's record, as applied here, by which no write of the bucket is answered at its agreement; none where it allows
    /// that, or there is no such bucket.</summary>
    Tag NumberedBy(string bucket) => default;

    /// <summary>As <see cref="NumberedBy"/>, if no crash takes that back.</summary>
    Tag DurablyNumberedBy(string bucket) => default;

    /// <summary>A fresh tag is held, and takes over the put-intents of one that was agreed and that the feed finds stale.</summary>
    void Succeeds(Tag stale, Tag fresh)
    {
    }

    /// <summary>A tag is rejected for good (or replaced by its successor): keep the outcome.</summary>
    void Rejected(Tag tag, Tag successor);

    /// <summary>True if the feed has numbered a tag, or its server has said that it will get no number that counts. Never forgotten, unlike
    /// outcomes.</summary>
    /// <param name="tag">Which.</param>
    /// <param name="disk">The disk of its accepting server then.</param>
    bool IsNumbered(Tag tag, DiskId disk) => false;

    /// <summary>A resolution round was taken here.</summary>
    void RoundTaken(Tag tag, uint round);
}
