using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;

namespace Carillon.Protocols.Tests.VectorExchange;

/// <summary>
/// Stands for the group that orders what is agreed: each tag that anybody hands over gets one number, in an order of its own; every server
/// applies all numbers in their order, each in its own time. What a crash keeps of it is all that was applied.
/// </summary>
internal sealed class LabFeed(ExchangeLab lab)
{
    private readonly List<Submission> _sequence = [];
    private readonly List<Submission> _waiting = [];
    private readonly HashSet<Tag> _known = [];
    private readonly RandomSource _random = lab.Fork();

    /// <summary>True while there is no sequencer: what is handed over waits.</summary>
    public bool IsHeld { get; private set; }

    /// <summary>Longest time until what is handed over has its number.</summary>
    public TimeSpan OrderTime { get; set; } = TimeSpan.FromMilliseconds(1);

    /// <summary>Hears of each number.</summary>
    public Action<int, Tag>? OnNumber { get; set; }

    public IReadOnlyList<Submission> Sequence => _sequence;

    public void Hand(Submission submission)
    {
        if (!_known.Add(submission.Tag))
        {
            return;
        }

        if (IsHeld)
        {
            _waiting.Add(submission);
        }
        else
        {
            lab.At(_random.Below(OrderTime), () => Number(submission));
        }
    }

    public void Hold() => IsHeld = true;

    /// <summary>There is a sequencer again; it takes what waits in an order of its own.</summary>
    public void Release(bool? backwards = null)
    {
        IsHeld = false;
        Submission[] waiting =
        [
            .. backwards is null ? _waiting.OrderBy(_ => _random.Next())
                : backwards.Value ? Enumerable.Reverse(_waiting) : _waiting,
        ];
        _waiting.Clear();
        foreach (Submission submission in waiting)
        {
            Number(submission);
        }
    }

    private void Number(Submission submission)
    {
        if (IsHeld)
        {
            _waiting.Add(submission);
            return;
        }

        _sequence.Add(submission);
        OnNumber?.Invoke(_sequence.Count, submission.Tag);
        foreach (LabServer server in lab.Servers.Values)
        {
            server.FeedGrew();
        }
    }
}

/// <summary>What a catalog makes of the feed, the rules alone.</summary>
internal sealed class LabFeedState
{
    private readonly Dictionary<ObjectName, SortedDictionary<Tag, Submission>> _versions = [];

    public int Applied { get; private set; }

    public Dictionary<Tag, FeedOutcome> Outcomes { get; } = [];

    public Dictionary<Tag, Submission> Records { get; } = [];

    public Dictionary<string, Submission> Keys { get; } = new(StringComparer.Ordinal);

    public Tag Greatest(ObjectName name) =>
        _versions.TryGetValue(name, out SortedDictionary<Tag, Submission>? all) ? all.Keys.Last() : default;

    public bool HasConditionalAbove(ObjectName name, Uid uid) =>
        _versions.TryGetValue(name, out SortedDictionary<Tag, Submission>? all) && all.Any(v => v.Key.Uid > uid && v.Value.IsConditional);

    public FeedOutcome Take(Submission submission)
    {
        var number = new SequenceNumber((ulong)++Applied);
        if (Outcomes.TryGetValue(submission.Tag, out FeedOutcome first))
        {
            return first;
        }

        FeedOutcome outcome = Judge(submission, number);
        Outcomes.Add(submission.Tag, outcome);
        Records.Add(submission.Tag, submission);
        if (outcome.Verdict is not (FeedVerdict.Stale or FeedVerdict.Repeated))
        {
            Keys.Add(submission.Key, submission);
        }

        foreach (Operation operation in outcome.IsInEffect ? submission.Operations : [])
        {
            if (!_versions.TryGetValue(operation.Target, out SortedDictionary<Tag, Submission>? all))
            {
                _versions.Add(operation.Target, all = []);
            }

            all.Add(submission.Tag, submission);
        }

        return outcome;
    }

    private FeedOutcome Judge(Submission submission, SequenceNumber number)
    {
        if (Keys.TryGetValue(submission.Key, out Submission? first))
        {
            return new FeedOutcome(number, FeedVerdict.Repeated) { First = first.Tag };
        }

        bool isBelow = false;
        foreach (Operation operation in submission.Operations)
        {
            Tag greatest = Greatest(operation.Target);
            bool isLive = !greatest.IsNone && IsPut(Records[greatest], operation.Target);
            FeedVerdict verdict = greatest.Uid > submission.Tag.Uid && submission.IsDecidedByFeed ? FeedVerdict.Stale
                : operation.Precondition.IsMetBy(greatest.Uid, isLive) ? FeedVerdict.Applied : FeedVerdict.Refused;
            isBelow |= greatest.Uid > submission.Tag.Uid;
            if (verdict != FeedVerdict.Applied)
            {
                return new FeedOutcome(number, verdict)
                {
                    Target = operation.Target, Winner = greatest.Uid, IsWinnerLive = isLive,
                    Key = verdict == FeedVerdict.Stale ? submission.Key : null,
                };
            }
        }

        return new FeedOutcome(number, isBelow ? FeedVerdict.Superseded : FeedVerdict.Applied);
    }

    private static bool IsPut(Submission submission, ObjectName name) =>
        submission.Operations.First(o => o.Target == name).Kind == OperationKind.Put;
}
