using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Objects;

/// <summary>What all writes have in common: the idempotency key, what is to be waited for, the condition, and the end of a
/// submission.</summary>
internal static class WriteRequest
{
    /// <summary>Takes the request's key, or makes one; null, or why the request can't be taken.</summary>
    public static Problem? Open(Exchange exchange) => Open(exchange, out _);

    /// <summary>The same, and at what the write is to be answered.</summary>
    public static Problem? Open(Exchange exchange, out AckWanted ack)
    {
        Problem? problem = Open(exchange, out ack, out Precondition condition);
        return problem is null && !condition.IsNone
            ? new Problem(ProblemTypes.BadRequest, "A condition in a header is for one object; a changeset has its own for each name.")
            : problem;
    }

    /// <summary>The same of one object's write, with its condition.</summary>
    public static Problem? Open(Exchange exchange, out AckWanted ack, out Precondition condition)
    {
        ack = default;
        condition = default;
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

        return FaultOfAcknowledgement(headers["Carillon-Ack"], out ack)
            ?? (Conditions.TryRead(headers, out condition, out Problem? problem) ? null : problem);
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
        SubmitOutcome.Refused refused => RefusalOf(refused.Sequenced) with { Submission = refused.Tag.ToString() },
        SubmitOutcome.Rejected rejected => new Problem(ProblemTypes.Of(rejected.Reason), rejected.Detail),
        SubmitOutcome.Unknown unknown => new Problem(
            ProblemTypes.OutcomeUnknown, "The servers did not agree in time, and may yet: ask about the submission or the key.")
        {
            Submission = unknown.Tag.ToString(),
        },
        _ => new Problem(ProblemTypes.OutcomeUnknown, "The submission ended with an error in this server: ask about the key."),
    };

    /// <summary>Answers an accepted write: what all such answers tell, and the rest.</summary>
    public static async Task AnswerAsync(Exchange exchange, SubmitOutcome.Accepted accepted, Action<Utf8JsonWriter> writeRest)
    {
        JsonBody body = JsonBody.Rent();
        body.Writer.WriteStartObject();
        body.Writer.WriteString("uid", accepted.Tag.Uid.ToString());
        WriteSequence(body.Writer, accepted.Sequenced.Number);
        body.Writer.WriteString("submission", accepted.Tag.ToString());
        body.Writer.WriteBoolean("replayed", accepted.Replayed);
        writeRest(body.Writer);
        body.Writer.WriteEndObject();
        await body.SendAsync(exchange.Response, StatusOf(exchange, accepted));
    }

    /// <summary>The status of an accepted write: 200 in the feed's order, 202 where it is only agreed yet. Tells its number.</summary>
    public static int StatusOf(Exchange exchange, SubmitOutcome.Accepted accepted)
    {
        SequenceNumber number = accepted.Sequenced.Number;
        if (number.IsNone)
        {
            return StatusCodes.Status202Accepted;
        }

        exchange.Response.Headers[Exchange.SequenceHeader] = number.ToString();
        return StatusCodes.Status200OK;
    }

    /// <summary>Writes a number of the feed, or null where there is none yet.</summary>
    public static void WriteSequence(Utf8JsonWriter writer, SequenceNumber number)
    {
        if (number.IsNone)
        {
            writer.WriteNull("sequence");
        }
        else
        {
            writer.WriteNumber("sequence", number.Value);
        }
    }

    private static Problem RefusalOf(FeedOutcome outcome)
    {
        string why = outcome.IsWinnerLive ? $"it is in version {outcome.Winner}"
            : outcome.Winner.IsNone ? "it is not there" : "it is deleted";
        bool isDeleted = !outcome.IsWinnerLive && !outcome.Winner.IsNone;
        return new Problem(ProblemTypes.PreconditionFailed, $"'{outcome.Target}' does not meet the condition: {why}.")
        {
            Winner = outcome.IsWinnerLive ? outcome.Winner.ToString() : null,
            Tombstone = isDeleted ? outcome.Winner.ToString() : null,
            Sequence = outcome.Number,
        };
    }

    private static Problem? FaultOfAcknowledgement(StringValues acknowledge, out AckWanted ack)
    {
        ack = acknowledge == "agreed" ? AckWanted.Agreed : AckWanted.Sequenced;
        return acknowledge.Count == 0 || acknowledge == "agreed" || acknowledge == "sequenced" ? null
            : new Problem(ProblemTypes.BadRequest, $"Carillon-Ack is 'agreed' or 'sequenced', not '{Shown.Text(acknowledge.ToString())}'.");
    }
}
