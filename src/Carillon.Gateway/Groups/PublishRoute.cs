using System.Globalization;
using System.IO.Pipelines;
using System.Security.Cryptography;
using Carillon.Gateway.Json;
using Carillon.Gateway.Problems;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Primitives;

namespace Carillon.Gateway.Groups;

/// <summary>
/// <c>POST /v1/groups/{group}/messages</c>: one message as the body, or many as a stream, in the body or over an upgraded connection.
/// </summary>
internal static class PublishRoute
{
    /// <summary>The request and response header with a message's identity.</summary>
    public const string IdHeader = "Carillon-Message-Id";

    /// <summary>The request and response header with what the sender knew when it sent the message first; in the answer to an upgrade, what
    /// is committed.</summary>
    public const string TimestampHeader = "Carillon-Timestamp";

    private const string SettledHeader = "Carillon-Settled";

    /// <summary>Reads and answers as large as a socket's buffers, so that a full stream costs few system calls.</summary>
    private const int StreamBufferBytes = 64 << 10;

    public static async Task AnswerAsync(Exchange exchange, IGroupGate groups, GroupName group)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (await groups.FindAsync(group) is not { } status)
        {
            await exchange.FailAsync(GroupRoutes.NotFound(group));
            return;
        }

        if (status.IsLost)
        {
            await exchange.FailAsync(GroupRoutes.Lost(status));
            return;
        }

        IHttpUpgradeFeature? upgrade = exchange.Features.Get<IHttpUpgradeFeature>();
        if (upgrade is { IsUpgradableRequest: true } && exchange.Request.Headers.Upgrade == GroupStream.UpgradeName)
        {
            exchange.Response.Headers.Upgrade = GroupStream.UpgradeName;
            exchange.Response.Headers[TimestampHeader] = status.Committed.ToString();
            await UpgradeAsync(exchange, groups, group, upgrade);
        }
        else if (exchange.Request.ContentType == GroupStream.MessagesType)
        {
            await StreamAsync(exchange, groups, group);
        }
        else
        {
            await OneAsync(exchange, groups, status);
        }
    }

    private static async Task UpgradeAsync(Exchange exchange, IGroupGate groups, GroupName group, IHttpUpgradeFeature upgrade)
    {
        await using Stream connection = await upgrade.UpgradeAsync();
        PipeReader input = PipeReader.Create(connection, new StreamPipeReaderOptions(bufferSize: StreamBufferBytes, leaveOpen: true));
        PipeWriter output = PipeWriter.Create(
            connection, new StreamPipeWriterOptions(minimumBufferSize: StreamBufferBytes, leaveOpen: true));
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(exchange.Aborted, exchange.Gateway.Ending);
        try
        {
            await new PublishStream(groups, group, input, output).RunAsync(ended.Token);
        }
        catch (Exception gone) when (ended.IsCancellationRequested || gone is IOException)
        {
            // The client goes, or this server does: what is not answered is asked about again, under the same ids.
            exchange.Abort();
        }
        finally
        {
            await input.CompleteAsync();
            await output.CompleteAsync();
        }
    }

    private static async Task StreamAsync(Exchange exchange, IGroupGate groups, GroupName group)
    {
        if (exchange.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } rate)
        {
            // A sender may have nothing to say for a while.
            rate.MinDataRate = null;
        }

        HttpResponse response = exchange.Response;
        response.ContentType = GroupStream.AnswersType;
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(exchange.Aborted, exchange.Gateway.Ending);
        var stream = new PublishStream(groups, group, exchange.Request.BodyReader, response.BodyWriter);
        try
        {
            await stream.RunAsync(ended.Token);
        }
        catch (OperationCanceledException) when (exchange.Gateway.Stopping)
        {
            exchange.Abort();
        }
    }

    private static async Task OneAsync(Exchange exchange, IGroupGate groups, GroupStatus group)
    {
        ulong timestamp = group.Committed.Value;
        if (!TryId(exchange.Request.Headers, out MessageId id, out ulong settled, out string fault)
            || !TryTimestamp(exchange.Request.Headers, ref timestamp, out fault))
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, fault);
            return;
        }

        byte[]? payload = await BodyBytes.ReadAsync(exchange.Request.BodyReader, GroupSettings.MaxPayloadBytes, exchange.Aborted);
        if (payload is null)
        {
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A message has at most {GroupSettings.MaxPayloadBytes} bytes.");
            return;
        }

        // Who sends it again says so with this number: then it is known again even where its session was forgotten meanwhile.
        exchange.Response.Headers[TimestampHeader] = timestamp.ToString(CultureInfo.InvariantCulture);
        Task<PublishOutcome> publishing = groups.PublishAsync(group.Name, id, settled, timestamp, payload, exchange.Aborted);
        groups.Send();
        PublishOutcome outcome = await RunAsync(exchange, publishing);
        if (outcome is PublishOutcome.Committed committed)
        {
            exchange.Response.Headers[IdHeader] = id.ToString();
            JsonBody body = JsonBody.Rent();
            body.Writer.WriteStartObject();
            body.Writer.WriteNumber("sequence", committed.Number.Value);
            body.Writer.WriteString("messageId", id.ToString());
            body.Writer.WriteEndObject();
            await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
            return;
        }

        Problem problem = ProblemOf(outcome) with { MessageId = id.ToString(), Timestamp = timestamp };
        await (outcome is PublishOutcome.Refused refused
            ? exchange.FailAsync(problem, "Retry-After", Seconds(refused.RetryAfter)) : exchange.FailAsync(problem));
    }

    /// <summary>An exception out of it leaves the outcome unknown, never "failed".</summary>
    private static async Task<PublishOutcome> RunAsync(Exchange exchange, Task<PublishOutcome> publishing)
    {
        try
        {
            return await publishing;
        }
        catch (Exception fault) when (!exchange.Aborted.IsCancellationRequested)
        {
            if (fault is not OperationCanceledException)
            {
                exchange.Gateway.Log.SubmissionFailed(fault, exchange.RequestId);
            }

            return new PublishOutcome.Unknown("This server could not see it through");
        }
    }

    private static bool TryId(IHeaderDictionary headers, out MessageId id, out ulong settled, out string fault)
    {
        settled = 0;
        fault = "";
        StringValues given = headers[IdHeader];
        StringValues told = headers[SettledHeader];
        if (given.Count == 0)
        {
            // A session of one message: who wants to send it again takes the id from the answer.
            id = new MessageId(DrawSession(), 1);
            fault = told.Count > 0 ? $"{SettledHeader} goes with {IdHeader}." : "";
            return fault.Length == 0;
        }

        if (given.Count != 1 || !MessageId.TryParse(given[0], out id))
        {
            id = default;
            fault = $"{IdHeader} is SESSION.COUNTER: 32 hexadecimal digits, a dot, and a number from 1 on.";
            return false;
        }

        if (told.Count > 0 && !ulong.TryParse(told.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out settled))
        {
            fault = $"{SettledHeader} is a number from 0 on, not '{Shown.Text(told.ToString())}'.";
            return false;
        }

        fault = settled >= id.Counter ? $"{SettledHeader} is less than the message's own counter." : "";
        return fault.Length == 0;
    }

    private static bool TryTimestamp(IHeaderDictionary headers, ref ulong timestamp, out string fault)
    {
        StringValues given = headers[TimestampHeader];
        fault = given.Count == 0 || ulong.TryParse(given.ToString(), NumberStyles.None, CultureInfo.InvariantCulture, out timestamp)
            ? "" : $"{TimestampHeader} is a number from 0 on, not '{Shown.Text(given.ToString())}'.";
        return fault.Length == 0;
    }

    private static SessionId DrawSession()
    {
        Span<byte> bytes = stackalloc byte[SessionId.Size];
        RandomNumberGenerator.Fill(bytes);
        return SessionId.From(bytes);
    }

    private static Problem ProblemOf(PublishOutcome outcome) => outcome switch
    {
        PublishOutcome.Refused refused => new Problem(ProblemTypes.GroupBusy, Sentence(refused.Why)),
        PublishOutcome.Expired => new Problem(
            ProblemTypes.MessageExpired, "Whether it was committed once can't be told; what is sent next needs a new session."),
        PublishOutcome.Overtaken => new Problem(
            ProblemTypes.MessageOvertaken, "Not sent: a message of the session with a greater counter has its number already."),
        PublishOutcome.Settled => new Problem(
            ProblemTypes.MessageSettled, $"A {SettledHeader} that came before covers this message; its number is forgotten."),
        PublishOutcome.Conflict conflict => new Problem(ProblemTypes.MessageMismatch, Sentence($"Not sent: {conflict.Why}")),
        PublishOutcome.Unknown unknown => new Problem(
            ProblemTypes.OutcomeUnknown, $"{Sentence(unknown.Why)} Send it again under the same message id, to any server."),
        _ => throw new ArgumentOutOfRangeException(nameof(outcome), outcome, "an outcome without an answer"),
    };

    private static string Sentence(string text) => text.EndsWith('.') ? text : text + ".";

    /// <summary>Whole seconds, rounded up: the header knows no others.</summary>
    private static string Seconds(TimeSpan span) =>
        Math.Max(1, Math.Ceiling(span.TotalSeconds)).ToString("0", CultureInfo.InvariantCulture);
}
