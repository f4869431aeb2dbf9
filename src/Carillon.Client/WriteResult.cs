namespace Carillon.Client;

/// <summary>What is known about a write when the library gives up or is done.</summary>
public enum Verdict
{
    /// <summary>A quorum has it durably.</summary>
    Accepted,

    /// <summary>It never will be accepted under this attempt: every server that was asked said so, or nothing was ever sent.</summary>
    Rejected,

    /// <summary>It may be accepted or not. Any server can be asked, by the key.</summary>
    Unknown,
}

/// <summary>
/// The outcome of a write (VE-48): accepted with an answer, rejected with the reason, or unknown with the key to ask about.
/// </summary>
/// <typeparam name="T">What a server answers when it accepted.</typeparam>
public sealed record WriteResult<T>
    where T : class
{
    /// <summary>Which of the three.</summary>
    public required Verdict Verdict { get; init; }

    /// <summary>The idempotency key of every attempt.</summary>
    public required string Key { get; init; }

    /// <summary>The answer, if accepted.</summary>
    public T? Answer { get; init; }

    /// <summary>The reason, if not accepted.</summary>
    public Problem? Problem { get; init; }

    /// <summary>The submission to ask about, where a server told its id.</summary>
    public string? Submission { get; init; }

    /// <summary>The server that accepted.</summary>
    public Uri? Server { get; init; }

    /// <summary>The coarse reason, if not accepted.</summary>
    public Failure Failure => Verdict == Verdict.Unknown ? Failure.OutcomeUnknown : Problem?.Failure ?? Failure.Failed;

    /// <summary>The answer.</summary>
    /// <exception cref="CarillonException">It was not accepted.</exception>
    public T AcceptedOrThrow() => Verdict == Verdict.Accepted && Answer is not null
        ? Answer
        : throw (Verdict == Verdict.Unknown
            ? new CarillonException(Failure.OutcomeUnknown, $"outcome unknown, key {Key}: {Problem?.Message}")
            : new CarillonException(Problem ?? Problem.Own("failed", "rejected without a reason")));
}
