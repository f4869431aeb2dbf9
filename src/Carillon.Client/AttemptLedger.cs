namespace Carillon.Client;

/// <summary>How one attempt of a write ended, at one server.</summary>
internal enum AttemptEnd
{
    /// <summary>The server said accepted.</summary>
    Accepted,

    /// <summary>The server said no, and that none of this attempt's tags will ever be accepted.</summary>
    Rejected,

    /// <summary>Nothing left this machine, or the server saw less than the whole request.</summary>
    NeverSent,

    /// <summary>Anything else: no answer, half an answer, or the server does not know itself.</summary>
    Lost,
}

/// <summary>
/// Folds the ends of a write's attempts, all under one key, into one verdict (3-vector-exchange.md, "What rejected means"):
/// <i>rejected</i> only if every attempt that may have reached a server was answered so, or one answer fenced the key, or told that the
/// feed refused it; one
/// lost attempt makes it <i>unknown</i> for good, whatever the next server says, unless one says <i>accepted</i>.
/// </summary>
internal struct AttemptLedger
{
    private bool _accepted;
    private bool _fenced;
    private bool _lost;
    private Problem? _rejection;
    private Problem? _loss;
    private Problem? _unsent;

    /// <summary>The submission that the answers named last.</summary>
    public string? Submission { get; private set; }

    /// <summary>True once another attempt can't change the verdict, or would be refused for the same reason.</summary>
    public bool Final { get; private set; }

    /// <summary>The verdict so far.</summary>
    public readonly Verdict Verdict => _accepted ? Verdict.Accepted : _fenced || !_lost ? Verdict.Rejected : Verdict.Unknown;

    /// <summary>The reason for it.</summary>
    public readonly Problem? Problem => Verdict switch
    {
        Verdict.Accepted => null,
        Verdict.Unknown => _loss,
        _ => _rejection ?? _unsent,
    };

    /// <summary>Enters one attempt's end.</summary>
    public void Add(AttemptEnd end, Problem? problem)
    {
        Submission = problem?.Submission ?? Submission;
        switch (end)
        {
            case AttemptEnd.Accepted:
                _accepted = true;
                Final = true;
                break;
            case AttemptEnd.Rejected:
                _rejection = problem;
                // A refusal by the feed is the key's outcome for good, as a fence is: no earlier attempt was, or will be, accepted.
                _fenced |= problem?.Code is "key-rejected" or "precondition-failed";
                Final = _fenced || !MayDifferElsewhere(problem!);
                break;
            case AttemptEnd.NeverSent:
                _unsent = problem;
                break;
            default:
                _lost = true;
                _loss = problem;
                break;
        }
    }

    /// <summary>How an answer that is no success ends an attempt.</summary>
    public static AttemptEnd EndOf(Problem problem) => problem.Status switch
    {
        < 500 or 501 => AttemptEnd.Rejected,
        // Only a server of ours gives a reason with these; from something in between they say nothing about the request.
        503 or 507 when problem.Code != "http-503" && problem.Code != "http-507" => AttemptEnd.Rejected,
        // A server that fails in the middle does not know what became of the request, or says so (504).
        _ => AttemptEnd.Lost,
    };

    // A bad name is bad everywhere; a full disk or a missing connection is one server's.
    private static bool MayDifferElsewhere(Problem problem) => problem.Status is 408 or 429 or 503 or 507;
}
