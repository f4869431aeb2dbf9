namespace Carillon.Client;

/// <summary>
/// What a server said about a request that it did not carry out (RFC 9457, with the members of the interface contract), or what
/// the library found itself, such as <c>unreachable</c>.
/// </summary>
public sealed record Problem
{
    /// <summary>The stable word for scripts: <c>no-quorum</c>, <c>not-found</c>, …</summary>
    public string Code { get => field ?? ""; init; } = "";

    /// <summary>The same in words.</summary>
    public string Title { get => field ?? ""; init; } = "";

    /// <summary>What is particular to this occurrence.</summary>
    public string Detail { get => field ?? ""; init; } = "";

    /// <summary>HTTP status, or 0 where no server answered.</summary>
    public int Status { get; init; }

    /// <summary>The server's name for this request, for its log.</summary>
    public string RequestId { get => field ?? ""; init; } = "";

    /// <summary>True if the same request may succeed later.</summary>
    public bool Retryable { get; init; }

    /// <summary>The submission's id, where there is one to ask about.</summary>
    public string? Submission { get; init; }

    /// <summary>The idempotency key that the answer is about.</summary>
    public string? Key { get; init; }

    /// <summary>UID of the version that won, for a failed precondition.</summary>
    public string? Winner { get; init; }

    /// <summary>Id of the message that it is about, under which the message may be sent again.</summary>
    public string? MessageId { get; init; }

    /// <summary>What was known of the group when the message was sent first: goes with it when it is sent again.</summary>
    public ulong? Timestamp { get; init; }

    /// <summary>The first number of a group or the feed that is still kept.</summary>
    public ulong? First { get; init; }

    /// <summary>The number behind which the feed goes on for one who is too late, with a listing.</summary>
    public ulong? Checkpoint { get; init; }

    /// <summary>The feed's number at which a precondition was judged.</summary>
    public ulong? Sequence { get; init; }

    /// <summary>The server that said so; null for the library's own.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public Uri? Server { get; init; }

    /// <summary>The coarse reason.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public Failure Failure => FailureOf(Status, Code);

    /// <summary>Detail, or what there is instead of it.</summary>
    [System.Text.Json.Serialization.JsonIgnore]
    public string Message => Detail.Length > 0 ? Detail : Title.Length > 0 ? Title : Code.Length > 0 ? Code : $"status {Status}";

    /// <summary>A problem that the library found itself.</summary>
    public static Problem Own(string code, string detail) => new() { Code = code, Title = detail, Detail = detail };

    /// <summary>The coarse reason for a problem's code; its status decides where the code is not known.</summary>
    public static Failure FailureOf(int status, string code) => code switch
    {
        "no-quorum" or "push-timeout" or "clock-skew" or "resolving" or "key-rejected" or "read-unavailable" or "no-primary"
            or "no-replica-manager" or "group-busy" => Failure.NoQuorum,
        "key-mismatch" or "bucket-exists" or "bucket-not-empty" or "service-refused" or "fenced"
            or "group-exists" or "message-mismatch" or "message-overtaken" => Failure.Conflict,
        "bucket-not-found" or "service-not-found" or "group-not-found" or "not-found" => Failure.NotFound,
        "unreachable" or "tls" or "no-tls" => Failure.Unreachable,
        "timeout" => Failure.TimedOut,
        "integrity" => Failure.Integrity,
        "usage" => Failure.Usage,
        "outcome-unknown" or "message-expired" or "message-settled" => Failure.OutcomeUnknown,
        _ => OfStatus(status),
    };

    private static Failure OfStatus(int status) => status switch
    {
        400 or 405 or 411 or 413 or 414 or 415 or 416 or 422 or 431 => Failure.Usage,
        401 or 403 => Failure.Denied,
        404 or 410 => Failure.NotFound,
        409 or 412 => Failure.Conflict,
        503 => Failure.NoQuorum,
        504 => Failure.OutcomeUnknown,
        507 => Failure.Full,
        _ => Failure.Failed,
    };
}
