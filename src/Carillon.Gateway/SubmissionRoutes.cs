using System.Collections.Immutable;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway;

/// <summary><c>/v1/submissions/{id}</c>, <c>/v1/submissions?key=</c> and <c>/v1/explain/{bucket}/{name…}</c>: what became of it.</summary>
internal static class SubmissionRoutes
{
    private static readonly string[] KeyParameters = ["key"];

    public static Task AnswerAsync(Exchange exchange) =>
        !Methods.IsRead(exchange.Request) ? Methods.RefuseAsync(exchange, "GET, HEAD")
        : exchange.Kind switch
        {
            RouteKind.Submission => ShowAsync(exchange),
            RouteKind.SubmissionByKey => ShowByKeyAsync(exchange),
            _ => ExplainAsync(exchange),
        };

    private static async Task ShowAsync(Exchange exchange)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (!PercentCoding.TryDecode(exchange.Route.Name, plusIsSpace: false, out string text, out _) || !Tag.TryParse(text, out Tag tag))
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, $"'{Shown.Text(text)}' is not the id of a submission.");
            return;
        }

        await SendAsync(exchange, await exchange.Server.ShowAsync(tag));
    }

    private static async Task ShowByKeyAsync(Exchange exchange)
    {
        if (!exchange.TryQuery(KeyParameters, out QueryText query, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        string? key = query["key"];
        if (key is null || WriteRequest.FaultOfKey(key) is not null)
        {
            string fault = key is null ? "it is missing" : WriteRequest.FaultOfKey(key)!;
            await exchange.FailAsync(ProblemTypes.BadRequest, $"The query parameter 'key' is not right: {fault}.");
            return;
        }

        exchange.Use(key);
        if (await exchange.Server.ShowAsync(key) is not { } report)
        {
            await exchange.FailAsync(ProblemTypes.ReadUnavailable, "No quorum answered about the key; ask again, or another server.");
            return;
        }

        await SendAsync(exchange, report);
    }

    private static async Task SendAsync(Exchange exchange, SubmissionReport report)
    {
        JsonBody body = JsonBody.Rent();
        Utf8JsonWriter writer = body.Writer;
        writer.WriteStartObject();
        WriteTextOrNull(writer, "id", report.Id.IsNone ? null : report.Id.ToString());
        writer.WriteString("outcome", OutcomeOf(report.State));
        WriteTextOrNull(writer, "uid", report.State == SubmissionState.Accepted && !report.Id.IsNone ? report.Id.Uid.ToString() : null);
        WriteRequest.WriteSequence(writer, report.Sequenced.Number);
        WriteTextOrNull(writer, "verdict", VerdictOf(report.Sequenced.Verdict));
        WriteVector(writer, report.Vector);
        writer.WriteEndObject();
        await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static async Task ExplainAsync(Exchange exchange)
    {
        if (!exchange.TryTarget(out ObjectName target, out Problem? problem) || !exchange.TryQuery([], out _, out problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        ImmutableArray<ExplainedVersion> versions = await exchange.Server.ExplainAsync(target);
        await using var stream = new JsonStream(exchange.Response, exchange.Aborted);
        stream.Writer.WriteStartObject();
        stream.Writer.WriteString("bucket", target.Bucket);
        stream.Writer.WriteString("name", target.Name);
        stream.Writer.WriteStartArray("versions");
        foreach (ExplainedVersion version in versions)
        {
            await WriteAsync(stream, version);
        }

        stream.Writer.WriteEndArray();
        stream.Writer.WriteEndObject();
    }

    private static async Task WriteAsync(JsonStream stream, ExplainedVersion version)
    {
        Utf8JsonWriter writer = stream.Writer;
        writer.WriteStartObject();
        writer.WriteString("uid", version.Uid.ToString());
        writer.WriteString("tag", version.Tag.ToString());
        writer.WriteString("kind", version.Kind == OperationKind.Put ? "put" : "delete");
        writer.WriteString("state", version.State);
        WriteVector(writer, version.Vector);
        writer.WriteNumber("round", version.Round);
        writer.WriteStartArray("chunks");
        foreach (ExplainedChunk chunk in version.Chunks.IsDefault ? [] : version.Chunks)
        {
            writer.WriteStartObject();
            writer.WriteString("id", chunk.Chunk.ToString());
            WriteNames(writer, "designated", chunk.Designated);
            WriteNames(writer, "holders", chunk.Copies.Where(copy => copy.State == CopyState.Held).Select(copy => copy.Server));
            writer.WriteStartObject("copies");
            foreach ((NodeId server, CopyState state) in chunk.Copies)
            {
                writer.WriteString(server.Name, WordFor(state));
            }

            writer.WriteEndObject();
            writer.WriteEndObject();
            await stream.PieceAsync();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }

    private static string WordFor(CopyState state) => state switch
    {
        CopyState.Held => "held",
        CopyState.Absent => "absent",
        CopyState.Silent => "no answer",
        _ => "not reachable",
    };

    private static void WriteNames(Utf8JsonWriter writer, string property, IEnumerable<NodeId> names)
    {
        writer.WriteStartArray(property);
        foreach (NodeId name in names)
        {
            writer.WriteStringValue(name.Name);
        }

        writer.WriteEndArray();
    }

    private static void WriteVector(Utf8JsonWriter writer, ImmutableArray<(NodeId Server, bool Bit)> vector)
    {
        writer.WriteStartObject("vector");
        foreach ((NodeId server, bool bit) in vector.IsDefault ? [] : vector)
        {
            writer.WriteBoolean(server.Name, bit);
        }

        writer.WriteEndObject();
    }

    private static void WriteTextOrNull(Utf8JsonWriter writer, string name, string? value)
    {
        if (value is null)
        {
            writer.WriteNull(name);
        }
        else
        {
            writer.WriteString(name, value);
        }
    }

    /// <summary>What the feed made of it, at its number.</summary>
    private static string? VerdictOf(FeedVerdict verdict) => verdict switch
    {
        FeedVerdict.None => null,
        FeedVerdict.Applied => "applied",
        FeedVerdict.Superseded => "superseded",
        FeedVerdict.Stale => "stale",
        FeedVerdict.Refused => "refused",
        FeedVerdict.Repeated => "repeated",
        _ => throw new ArgumentOutOfRangeException(nameof(verdict), verdict, "a verdict without a name"),
    };

    private static string OutcomeOf(SubmissionState state) => state switch
    {
        SubmissionState.Pending => "pending",
        SubmissionState.Accepted => "accepted",
        SubmissionState.Rejected => "rejected",
        SubmissionState.Forgotten => "forgotten",
        _ => throw new ArgumentOutOfRangeException(nameof(state), state, "a state without a name"),
    };
}
