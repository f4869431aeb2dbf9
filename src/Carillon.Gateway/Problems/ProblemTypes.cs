using Carillon.Protocols.VectorExchange;

namespace Carillon.Gateway.Problems;

/// <summary>Every kind of failure that the gateway tells of; docs/formats/http.md has the same table for its readers.</summary>
internal static class ProblemTypes
{
    // The request is wrong.
    public static readonly ProblemType BadRequest = new("bad-request", 400, "The request is not right");
    public static readonly ProblemType BadName = new("bad-name", 400, "The name breaks the rules for names");
    public static readonly ProblemType BadBucketName = new("bad-bucket-name", 400, "The bucket's name breaks the rules for names");
    public static readonly ProblemType BadSettings = new("bad-settings", 400, "The settings are not right");
    public static readonly ProblemType BadChangeset = new("bad-changeset", 400, "The changeset is not right");
    public static readonly ProblemType BadServiceName = new("bad-service-name", 400, "The service's name breaks the rules for names");
    public static readonly ProblemType BadService = new("bad-service", 400, "What is said about the service is not right");
    public static readonly ProblemType Incomplete = new(
        "incomplete", 400, "The body ended before its announced length; nothing was stored");
    public static readonly ProblemType Integrity = new(
        "integrity", 400, "The content differs from the hash that was sent with it; nothing was stored");
    public static readonly ProblemType Unauthorized = new("unauthorized", 401, "A valid token is needed");
    public static readonly ProblemType ForeignOrigin = new(
        "foreign-origin", 403, "Refused: this interface is for programs on this machine");
    public static readonly ProblemType NoSuchRoute = new("no-such-route", 404, "There is nothing at this path");
    public static readonly ProblemType NotFound = new("not-found", 404, "There is no such object");
    public static readonly ProblemType BucketNotFound = new("bucket-not-found", 404, "There is no such bucket");
    public static readonly ProblemType ServiceNotFound = new("service-not-found", 404, "There is no such service");
    public static readonly ProblemType SessionLost = new("session-lost", 410, "The session is over");
    public static readonly ProblemType ServiceRefused = new("service-refused", 409, "It can't be satisfied, and nothing was done");
    public static readonly ProblemType BadGroupName = new("bad-group-name", 400, "The group's name breaks the rules for names");
    public static readonly ProblemType GroupNotFound = new("group-not-found", 404, "There is no such group");
    public static readonly ProblemType GroupExists = new("group-exists", 409, "The group exists with other settings");
    public static readonly ProblemType GroupReserved = new("group-reserved", 403, "The group is the system's own");
    public static readonly ProblemType FeedTooOld = new("feed-too-old", 410, "The messages from there on are no longer kept");
    public static readonly ProblemType GroupReplaced = new("group-replaced", 410, "The group was removed, and another one has its name");
    public static readonly ProblemType GroupLost = new("group-lost", 410, "The group's messages are lost: remove it, and make it anew");
    public static readonly ProblemType MessageExpired = new(
        "message-expired", 409, "The outcome is unknown: the message's session was idle for longer than the group's lifetime");

    public static readonly ProblemType MessageSettled = new(
        "message-settled", 409, "The outcome can't be told any more: the sender has said that it knows it");
    public static readonly ProblemType MessageMismatch = new("message-mismatch", 409, "The message id was used for another content");
    public static readonly ProblemType MessageOvertaken = new(
        "message-overtaken", 409, "It is never delivered: a later message of its sender was, in a group that keeps their order");

    public static readonly ProblemType ChangeRefused = new("change-refused", 409, "The cluster can't be changed so, and nothing was done");
    public static readonly ProblemType MethodNotAllowed = new("method-not-allowed", 405, "The method is not one of this path's");
    public static readonly ProblemType RequestTimeout = new("request-timeout", 408, "The request's body came too slowly", Retryable: true);
    public static readonly ProblemType PreconditionFailed = new("precondition-failed", 412, "A precondition does not hold");
    public static readonly ProblemType Fenced = new("fenced", 412, "The epoch is not the newest one that was granted for the service");
    public static readonly ProblemType TooLarge = new("too-large", 413, "A limit is exceeded");
    public static readonly ProblemType UnsupportedMedia = new("unsupported-media", 415, "The body's form is not one that is taken here");
    public static readonly ProblemType RangeNotSatisfiable = new(
        "range-not-satisfiable", 416, "The range starts behind the end of the object");

    // The submission was rejected: none of this attempt's tags is, or ever will be, accepted.
    public static readonly ProblemType NoQuorum = new("no-quorum", 503, "Rejected: no quorum of entry servers", Retryable: true);
    public static readonly ProblemType PushTimeout = new(
        "push-timeout", 503, "Rejected: the push did not reach a quorum in its time", Retryable: true);
    public static readonly ProblemType ClockSkew = new(
        "clock-skew", 503, "Rejected: this server's clock is too far from the others'", Retryable: true);
    public static readonly ProblemType Rejected = new(
        "rejected", 503, "Rejected: another server's resolution decided against it", Retryable: true);
    public static readonly ProblemType NotVoting = new(
        "not-voting", 503, "Rejected: this server takes no part in agreement", Retryable: true);
    public static readonly ProblemType Full = new("full", 507, "Rejected: out of space");
    public static readonly ProblemType KeyMismatch = new("key-mismatch", 409, "The idempotency key was used for something else");
    public static readonly ProblemType KeyRejected = new("key-rejected", 409, "The idempotency key is fenced: it never will be accepted");
    public static readonly ProblemType BucketExists = new("bucket-exists", 409, "The bucket exists with other settings");
    public static readonly ProblemType BucketNotEmpty = new("bucket-not-empty", 409, "The bucket still has names");

    // Neither.
    public static readonly ProblemType OutcomeUnknown = new(
        "outcome-unknown", 504, "The outcome is unknown: ask by submission or key, at any server", Retryable: true);

    public static readonly ProblemType ReadUnavailable = new("read-unavailable", 503, "It can't be read now", Retryable: true);
    public static readonly ProblemType GroupBusy = new("group-busy", 503, "The group can't be used here at the moment", Retryable: true);
    public static readonly ProblemType NoPrimary = new("no-primary", 503, "The service has no primary now", Retryable: true);
    public static readonly ProblemType NoReplicaManager = new(
        "no-replica-manager", 503, "No replica manager answered in time", Retryable: true);
    public static readonly ProblemType ChangeFailed = new(
        "change-failed", 503, "The cluster was not changed; it may be tried again", Retryable: true);
    public static readonly ProblemType ChangeUnknown = new(
        "change-unknown", 504, "Whether the cluster is changed is not known yet", Retryable: true);
    public static readonly ProblemType Stopping = new("stopping", 503, "This server is stopping", Retryable: true);
    public static readonly ProblemType NotReady = new("not-ready", 503, "This server is not ready", Retryable: true);
    public static readonly ProblemType Internal = new(
        "internal", 500, "The server failed; its log tells more under the request id", Retryable: true);

    /// <summary>How the gateway says that a submission was rejected.</summary>
    public static ProblemType Of(RejectionReason reason) => reason switch
    {
        RejectionReason.NoQuorum => NoQuorum,
        RejectionReason.PushTimeout => PushTimeout,
        RejectionReason.ClockSkew => ClockSkew,
        RejectionReason.Full => Full,
        RejectionReason.KeyMismatch => KeyMismatch,
        RejectionReason.KeyFenced => KeyRejected,
        RejectionReason.BucketNotFound => BucketNotFound,
        RejectionReason.BucketExists => BucketExists,
        RejectionReason.BucketNotEmpty => BucketNotEmpty,
        RejectionReason.Resolved => Rejected,
        RejectionReason.NotVoting => NotVoting,
        RejectionReason.Fenced => Fenced,
        RejectionReason.Invalid => BadRequest,
        _ => throw new ArgumentOutOfRangeException(nameof(reason), reason, "a rejection without an answer"),
    };
}
