using Carillon.Protocols;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Buckets;

/// <summary><c>/v1/buckets</c> and <c>/v1/buckets/{bucket}</c></summary>
internal static class BucketRoutes
{
    /// <summary>Settings are a few hundred bytes.</summary>
    private const int MaxBodyBytes = 64 << 10;

    private static readonly string[] PutParameters = ["change"];

    public static Task AnswerAsync(Exchange exchange)
    {
        if (exchange.Kind == RouteKind.Buckets)
        {
            return Methods.IsRead(exchange.Request) ? ListAsync(exchange) : Methods.RefuseAsync(exchange, "GET, HEAD");
        }

        if (!exchange.TryBucket(out string bucket, out Problem? problem))
        {
            return exchange.FailAsync(problem!);
        }

        return Methods.IsRead(exchange.Request) ? ShowAsync(exchange, bucket)
            : HttpMethods.IsPut(exchange.Request.Method) ? PutAsync(exchange, bucket)
            : HttpMethods.IsDelete(exchange.Request.Method) ? DeleteAsync(exchange, bucket)
            : Methods.RefuseAsync(exchange, "GET, HEAD, PUT, DELETE");
    }

    private static async Task ListAsync(Exchange exchange)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        int quorum = exchange.Server.Status().QuorumSize;
        IReadOnlyList<KeyValuePair<string, BucketSettings>> buckets = exchange.Server.Buckets();
        await using var stream = new JsonStream(exchange.Response, exchange.Aborted);
        stream.Writer.WriteStartObject();
        stream.Writer.WriteStartArray("buckets");
        foreach ((string name, BucketSettings settings) in buckets)
        {
            BucketJson.Write(stream.Writer, name, settings, quorum);
            await stream.PieceAsync();
        }

        stream.Writer.WriteEndArray();
        stream.Writer.WriteEndObject();
    }

    private static async Task ShowAsync(Exchange exchange, string bucket)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (await exchange.Server.BucketAsync(bucket) is not { } settings)
        {
            await exchange.FailAsync(ProblemTypes.BucketNotFound, $"There is no bucket '{bucket}'.");
            return;
        }

        JsonBody body = JsonBody.Rent();
        BucketJson.Write(body.Writer, bucket, settings, exchange.Server.Status().QuorumSize);
        await body.SendAsync(exchange.Response, StatusCodes.Status200OK);
    }

    private static async Task PutAsync(Exchange exchange, string bucket)
    {
        if (!exchange.TryQuery(PutParameters, out QueryText query, out Problem? problem)
            || (problem = WriteRequest.Open(exchange)) is not null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (query["change"] is not (null or "true" or "false"))
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, $"change is 'true' or 'false', not '{Shown.Text(query["change"]!)}'.");
            return;
        }

        if (await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxBodyBytes, exchange.Aborted) is not { } json)
        {
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A bucket's settings have at most {MaxBodyBytes} bytes.");
            return;
        }

        bool change = query["change"] == "true";
        (BucketSettings? settings, problem) = await SettingsOfAsync(exchange, bucket, json, change);
        if (settings is null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        SubmitOutcome? outcome = await WriteRequest.RunAsync(
            exchange, () => exchange.Server.PutBucketAsync(bucket, settings, change, exchange.Key!));
        int quorum = exchange.Server.Status().QuorumSize;
        await EndAsync(exchange, outcome, writer => BucketJson.WriteFields(writer, bucket, settings, quorum));
    }

    /// <summary>
    /// The settings that the request asks for: over the defaults when it makes a bucket, over those in force when it changes one.
    /// </summary>
    private static async Task<(BucketSettings? Settings, Problem? Problem)> SettingsOfAsync(
        Exchange exchange, string bucket, byte[] json, bool ofExisting)
    {
        if (BucketJson.Read(json, out string fault) is not { } given)
        {
            return (null, new Problem(ProblemTypes.BadSettings, $"The settings can't be read: {fault}."));
        }

        BucketSettings? before = new();
        if (ofExisting && (before = await exchange.Server.BucketAsync(bucket)) is null)
        {
            return (null, new Problem(ProblemTypes.BucketNotFound, $"There is no bucket '{bucket}'."));
        }

        BucketSettings settings = given.Over(before);
        string wrong = string.Join("; ", settings.Validate());
        return wrong.Length > 0 ? (null, new Problem(ProblemTypes.BadSettings, $"The settings are not right: {wrong}.")) : (settings, null);
    }

    private static async Task DeleteAsync(Exchange exchange, string bucket)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem) || (problem = WriteRequest.Open(exchange)) is not null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        bool existed = exchange.Server.Buckets().Any(known => known.Key == bucket);
        SubmitOutcome? outcome = await WriteRequest.RunAsync(exchange, () => exchange.Server.DeleteBucketAsync(bucket, exchange.Key!));
        await EndAsync(exchange, outcome, writer => writer.WriteBoolean("existed", existed));
    }

    private static async Task EndAsync(Exchange exchange, SubmitOutcome? outcome, Action<Utf8JsonWriter> writeRest)
    {
        if (outcome is not SubmitOutcome.Accepted accepted)
        {
            await exchange.FailAsync(WriteRequest.ProblemOf(outcome));
            return;
        }

        await WriteRequest.AnswerAsync(exchange, accepted, writeRest);
    }
}
