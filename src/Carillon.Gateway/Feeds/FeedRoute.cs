using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Gateway.Streams;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Feeds;

/// <summary><c>GET /v1/feed</c>: every change of the catalog from a number on, and then each as it is applied here.</summary>
internal static class FeedRoute
{
    private static readonly string[] Parameters = ["from", "bucket", "prefix"];

    public static async Task AnswerAsync(Exchange exchange)
    {
        if (!HttpMethods.IsGet(exchange.Request.Method))
        {
            await Methods.RefuseAsync(exchange, "GET");
            return;
        }

        if (!exchange.TryQuery(Parameters, out QueryText query, out Problem? problem)
            || (problem = ReadFilter(query, out FeedFilter filter)) is not null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        // Who was answered here before finds that behind him.
        await exchange.Server.CatchUpAsync();

        // Nothing is read from up there; it tells how far the feed goes here, in one snapshot.
        FeedHub hub = exchange.Gateway.Feed;
        FeedPage end = hub.Read(new FeedQuery(new SequenceNumber(long.MaxValue), Limit: 1));
        Problem TooOldNow(SequenceNumber first) => TooOld(first, end.Applied);
        problem = StreamStart.Read(query, StreamStart.Seen(exchange), end.Oldest, end.Applied, TooOldNow, out SequenceNumber start);
        if (problem is not null)
        {
            await exchange.FailAsync(problem);
            return;
        }

        StreamFormat<FeedItem> format = FeedFormat.Of(exchange.Request.Headers.Accept.ToString());
        StreamStart.Begin(exchange, format.ContentType, start);
        await StreamStart.RunAsync(exchange, new FeedSource(hub, filter, start), format, TooOldNow);
    }

    private static Problem? ReadFilter(in QueryText query, out FeedFilter filter)
    {
        filter = new FeedFilter(query["bucket"] ?? "", query["prefix"] ?? "");
        return filter.Bucket.Length > 0 && filter.Bucket != ObjectName.SystemBucket && ObjectName.FaultOfBucket(filter.Bucket) is { } rule
            ? new Problem(ProblemTypes.BadBucketName, $"'{Shown.Text(filter.Bucket)}': {rule}.")
            : filter.Prefix.Length > ObjectName.MaxNameBytes
                ? new Problem(ProblemTypes.BadRequest, $"prefix is longer than a name can be, {ObjectName.MaxNameBytes} bytes.") : null;
    }

    /// <summary>Never a dead end: what is there now can be listed, and the feed goes on behind it.</summary>
    private static Problem TooOld(SequenceNumber first, SequenceNumber applied) => new(
        ProblemTypes.FeedTooOld,
        $"Entries before {first} are no longer kept: list what is there, at {applied} or later (Carillon-Sequence tells), and go on behind "
        + $"that number; or start from {first}.")
    {
        First = first.Value, Checkpoint = applied.Value,
    };
}
