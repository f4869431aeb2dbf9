using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>Why a submission was rejected: none of this attempt's tags is, or ever will be, accepted.</summary>
public enum RejectionReason
{
    /// <summary>Fewer than a quorum of entry servers are connected, or took the push (steps 202 and 208).</summary>
    NoQuorum,

    /// <summary>The push did not reach a quorum in its time (steps 210 and 308).</summary>
    PushTimeout,

    /// <summary>This server's clock is too far from the others'.</summary>
    ClockSkew,

    /// <summary>So many servers are out of space that a quorum can't store it.</summary>
    Full,

    /// <summary>The key was used for something else.</summary>
    KeyMismatch,

    /// <summary>A quorum has fenced the key: it will never be accepted.</summary>
    KeyFenced,

    /// <summary>The bucket does not exist, as a quorum knows.</summary>
    BucketNotFound,

    /// <summary>The bucket exists with other settings.</summary>
    BucketExists,

    /// <summary>The bucket still has names.</summary>
    BucketNotEmpty,

    /// <summary>The tag was decided *no* by somebody's resolution round.</summary>
    Resolved,

    /// <summary>This server does not take part in agreement at present (damaged or unknown disk, stopping).</summary>
    NotVoting,

    /// <summary>It is an effect of a primary that was deposed: its epoch is not the newest one that was granted.</summary>
    Fenced,

    /// <summary>It breaks a rule for names, keys, metadata or sizes; the gateway says so before it comes here.</summary>
    Invalid,
}

/// <summary>A submission's end, as its accepting server tells it.</summary>
public abstract record SubmitOutcome
{
    private SubmitOutcome()
    {
    }

    /// <summary>A quorum has it, durably; it is applied here.</summary>
    /// <param name="Tag">The tag that was accepted; its UID is the versions' UID.</param>
    /// <param name="Replayed">True if an earlier attempt under the same key was accepted.</param>
    public sealed record Accepted(Tag Tag, bool Replayed) : SubmitOutcome
    {
        /// <summary>Its place in the feed: applied, or superseded by a greater UID of its name. None where it is only agreed yet, or there
        /// is no feed.</summary>
        public FeedOutcome Sequenced { get; init; }
    }

    /// <summary>It stands in the feed, and was not applied: a precondition was not met there. The key has this outcome for good.</summary>
    /// <param name="Tag">The tag.</param>
    /// <param name="Sequenced">The name that did not meet it, and its current version then.</param>
    public sealed record Refused(Tag Tag, FeedOutcome Sequenced) : SubmitOutcome;

    /// <summary>Never will be accepted.</summary>
    public sealed record Rejected(RejectionReason Reason, string Detail) : SubmitOutcome;

    /// <summary>The exchange did not end in its time (step 216, "probable failure"); ask about the tag or the key later, at any
    /// server.</summary>
    public sealed record Unknown(Tag Tag) : SubmitOutcome;
}
