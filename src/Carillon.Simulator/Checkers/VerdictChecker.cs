using Carillon.Protocols;
using Carillon.Protocols.VectorExchange;
using Carillon.Simulator.Workloads;

namespace Carillon.Simulator.Checkers;

/// <summary>
/// A4, one verdict per id: what one server called accepted, no other calls rejected, whenever and however it is asked. A5: a key has one
/// accepted version, whoever is asked and however often it is retried. What has no precondition is never refused in the feed: behind a
/// greater one it is an older version.
/// </summary>
internal sealed class VerdictChecker(SubmissionRegistry registry)
{
    private readonly Dictionary<Tag, string> _accepted = [];
    private readonly Dictionary<Tag, string> _rejected = [];
    private readonly Dictionary<string, (Tag Tag, string Who)> _acceptedKeys = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _rejectedKeys = new(StringComparer.Ordinal);

    /// <summary>Goes over all that servers said.</summary>
    public static void Check(Evidence evidence, SubmissionRegistry registry)
    {
        var checker = new VerdictChecker(registry);
        foreach (WriteRecord write in evidence.Writes)
        {
            foreach (AttemptRecord attempt in write.Attempts)
            {
                checker.TakeAnswer(write, attempt);
            }
        }

        foreach (ShownState shown in evidence.Shown)
        {
            checker.TakeShown(shown);
        }
    }

    private void TakeAnswer(WriteRecord write, AttemptRecord attempt)
    {
        switch (attempt.Answer)
        {
            case SubmitOutcome.Accepted accepted:
                Accept(accepted.Tag, $"{attempt.Server}'s answer");
                AcceptKey(write.Key, accepted.Tag, $"{attempt.Server}'s answer");
                break;
            case SubmitOutcome.Rejected { Reason: RejectionReason.KeyFenced }:
                RejectKey(write.Key, $"{attempt.Server}'s answer");
                break;
            case SubmitOutcome.Refused refused when write.Operations.All(operation => operation.Precondition.IsNone):
                throw Violation.Of("refusal", $"{attempt.Server} refuses {write} at {refused.Sequenced.Number}, and it has no precondition");
            default:
                break;
        }
    }

    private void TakeShown(ShownState shown)
    {
        string who = $"{shown.Server}'s show";
        switch (shown.State)
        {
            case SubmissionState.Accepted:
                Accept(shown.Tag, who);
                if (shown.Key is not null)
                {
                    AcceptKey(shown.Key, shown.Tag, who);
                }

                break;
            case SubmissionState.Rejected when shown.Key is not null:
                RejectKey(shown.Key, who);
                break;
            case SubmissionState.Rejected:
                Reject(shown.Tag, who);
                break;
            default:
                break;
        }
    }

    private void Accept(Tag tag, string who)
    {
        _accepted.TryAdd(tag, who);
        Contradict(tag, tag, who);
        foreach (Tag replaced in registry.ReplacedBy(tag))
        {
            // A tag that was stamped afresh is rejected only if its successor is.
            _accepted.TryAdd(replaced, $"{who}, as {tag}");
            Contradict(replaced, tag, who);
        }
    }

    private void Contradict(Tag tag, Tag accepted, string who)
    {
        if (_rejected.TryGetValue(tag, out string? other))
        {
            throw Violation.Of("A4", $"{tag} is accepted{(tag == accepted ? "" : $" as {accepted}")} ({who}) and rejected ({other})");
        }
    }

    private void Reject(Tag tag, string who)
    {
        _rejected.TryAdd(tag, who);
        if (_accepted.TryGetValue(tag, out string? other))
        {
            throw Violation.Of("A4", $"{tag} is rejected ({who}) and accepted ({other})");
        }
    }

    private void AcceptKey(string key, Tag tag, string who)
    {
        if (_rejectedKeys.TryGetValue(key, out string? other))
        {
            throw Violation.Of("A4", $"{key} is fenced ({other}), and yet {tag} of it is accepted ({who})");
        }

        if (!_acceptedKeys.TryAdd(key, (tag, who)) && _acceptedKeys[key].Tag != tag)
        {
            throw Violation.Of("A5", $"{key} is accepted as {_acceptedKeys[key].Tag} ({_acceptedKeys[key].Who}) and as {tag} ({who})");
        }
    }

    private void RejectKey(string key, string who)
    {
        _rejectedKeys.TryAdd(key, who);
        if (_acceptedKeys.TryGetValue(key, out (Tag Tag, string Who) other))
        {
            throw Violation.Of("A4", $"{key} is fenced ({who}), and yet {other.Tag} of it is accepted ({other.Who})");
        }
    }
}
