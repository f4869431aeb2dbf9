using System.Collections.Immutable;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.VectorExchange;

/// <summary>Where a client's submission stands at its accepting server.</summary>
internal enum AttemptPhase
{
    /// <summary>Asks each server whether it is there (active connectivity check, step 202).</summary>
    Probing,

    /// <summary>Waits until stamps are reserved (step 204).</summary>
    Reserving,

    /// <summary>The record goes to all connected entry servers (step 206).</summary>
    Pushing,

    /// <summary>The vector is out (step 212); from here on it is never answered "rejected" but by a round's *no*.</summary>
    Exchanging,

    /// <summary>Another tag of the same key is ahead: its outcome is this one's.</summary>
    Following,

    /// <summary>Conditional: a plain submission of its name is not resolved at its own server; it takes a tag once that is.</summary>
    Waiting,

    /// <summary>Agreed; its place in the feed is waited for.</summary>
    Sequencing,

    /// <summary>The client has its answer.</summary>
    Ended,
}

/// <summary>One client's submission, through as many tags as it needs.</summary>
internal sealed class Attempt(
    ulong id, ImmutableArray<Operation> operations, string key, Tag upload, Instant started, Action<SubmitOutcome> answer)
{
    private Action<SubmitOutcome>? _answer = answer;
    private Digest? _fingerprint;

    public Fence Fence { get; init; }

    /// <summary>True if the client waits for its number in the feed; else agreement is enough, where it can be.</summary>
    public bool UntilSequenced { get; init; }

    /// <summary>True where agreement alone is never answered: the bucket does not allow it.</summary>
    public bool MustBeSequenced { get; set; }

    public ulong Id { get; } = id;

    public ImmutableArray<Operation> Operations { get; } = operations;

    public string Key { get; } = key;

    /// <summary>What its key stands for; only a rival of the key makes anybody ask.</summary>
    public Digest Fingerprint => _fingerprint ??= Submission.FingerprintOf(Operations);

    /// <summary>The tag that the chunks' put-intents name until a pushed tag takes it over; none where all is inline.</summary>
    public Tag Upload { get; set; } = upload;

    public Instant Started { get; } = started;

    public AttemptPhase Phase { get; set; } = AttemptPhase.Reserving;

    public Ballot? Ballot { get; set; }

    /// <summary>The tag that the next one replaces; none for the first.</summary>
    public Tag Replaces { get; set; }

    /// <summary>True if that one was agreed, and stale in the feed.</summary>
    public bool ReplacesStale { get; set; }

    /// <summary>Until when a plain submission may keep it waiting; set at the first.</summary>
    public Instant WaitsUntil { get; set; } = Instant.Never;

    /// <summary>Every next stamp is above this: the greatest that any server named.</summary>
    public Timestamp Floor { get; set; }

    public int Restamps { get; set; }

    /// <summary>Entry servers that were sent the present tag's push.</summary>
    public VoterSet Asked { get; set; }

    /// <summary>Those that hold it durably.</summary>
    public VoterSet Held { get; set; }

    /// <summary>Those that refused it, with their answers.</summary>
    public Dictionary<int, PushAnswer> Refusals { get; } = [];

    /// <summary>Those that shall be asked once more at the next retry: a rival of the key gives way meanwhile.</summary>
    public VoterSet Repeat { get; set; }

    /// <summary>The encoded push, kept for repeats.</summary>
    public byte[] PushMessage { get; set; } = [];

    public Instant Deadline { get; set; }

    public Instant RetryAt { get; set; } = Instant.Never;

    /// <summary>The tag that is followed.</summary>
    public Tag Followed { get; set; }

    /// <summary>True once that is accepted, and only its number is not known here.</summary>
    public bool AwaitsFollowed { get; set; }

    /// <summary>Who has answered the probe.</summary>
    public VoterSet Probed { get; set; }

    /// <summary>Whether this server holds the present tag's record in such a way that it counts.</summary>
    public void IsHeldHere(bool isHeld, int bit)
    {
        Held = isHeld ? Held.With(bit) : Held.Without(bit);
        Repeat = isHeld ? Repeat : Repeat.With(bit);
    }

    /// <summary>Gives the client its answer; the first one counts.</summary>
    public void Answer(SubmitOutcome outcome)
    {
        Phase = AttemptPhase.Ended;
        Action<SubmitOutcome>? waiting = _answer;
        _answer = null;
        waiting?.Invoke(outcome);
    }

    public bool HasAnswered => _answer is null;
}
