using Carillon.Protocols;
using Carillon.Gateway.Problems;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Objects;

/// <summary>What all writes have in common: the idempotency key, the conditions that need the feed, and the end of a submission.</summary>
internal static class WriteRequest
{
    /// <summary>Takes the request's key, or makes one; null, or why the request can't be taken.</summary>
    public static Problem? Open(Exchange exchange)
    {
        IHeaderDictionary headers = exchange.Request.Headers;
        StringValues key = headers["Idempotency-Key"];
        if (key.Count == 0)
        {
            exchange.Use(exchange.Gateway.MakeKey());
        }
        else if (FaultOfKey(key) is { } fault)
        {
            return new Problem(ProblemTypes.BadRequest, $"The idempotency key is not right: {fault}.");
        }
        else
        {
            exchange.Use(key[0]!);
        }

        return Condition(headers);
    }

    /// <summary>Why a text can't be an idempotency key, or null if it can.</summary>
    public static string? FaultOfKey(StringValues key) =>
        key.Count > 1 ? "it is given more than once"
        : string.IsNullOrEmpty(key[0]) ? "it is empty"
        : key[0]!.Length > Submission.MaxKeyBytes ? $"it has {key[0]!.Length} bytes, at most {Submission.MaxKeyBytes} are kept"
        : key[0].AsSpan().ContainsAnyExceptInRange(' ', '~') ? "it is not visible ASCII"
        : null;

    /// <summary>Runs a submission; an exception out of it leaves the outcome unknown, never "failed".</summary>
    public static async Task<SubmitOutcome?> RunAsync(Exchange exchange, Func<Task<SubmitOutcome>> submit)
    {
        try
        {
            return await submit();
        }
        catch (Exception exception)
        {
            exchange.Gateway.Log.SubmissionFailed(exception, exchange.RequestId);
            return null;
        }
    }

    /// <summary>What a submission that was not accepted is answered with.</summary>
    public static Problem ProblemOf(SubmitOutcome? outcome) => outcome switch
    {
        SubmitOutcome.Rejected rejected => new Problem(ProblemTypes.Of(rejected.Reason), rejected.Detail),
        SubmitOutcome.Unknown unknown => new Problem(
            ProblemTypes.OutcomeUnknown, "The servers did not agree in time, and may yet: ask about the submission or the key.")
        {
            Submission = unknown.Tag.ToString(),
        },
        _ => new Problem(ProblemTypes.OutcomeUnknown, "The submission ended with an error in this server: ask about the key."),
    };

    /// <summary>Conditions are decided in the order of the feed; until there is one they are refused, never ignored.</summary>
    private static Problem? Condition(IHeaderDictionary headers)
    {
        if (headers.IfMatch.Count > 0 || headers.IfNoneMatch.Count > 0 || headers.IfUnmodifiedSince.Count > 0)
        {
            return new Problem(ProblemTypes.NeedsFeed, "A write with a condition needs the feed, which decides it; write without one.");
        }

        StringValues acknowledge = headers["Carillon-Ack"];
        return acknowledge.Count == 0 || acknowledge == "agreed" ? null
            : acknowledge == "sequenced"
                ? new Problem(ProblemTypes.NeedsFeed, "A write is acknowledged as 'sequenced' by the feed; take 'agreed'.")
            : new Problem(ProblemTypes.BadRequest, $"Carillon-Ack is 'agreed' or 'sequenced', not '{Shown.Text(acknowledge.ToString())}'.");
    }
}
