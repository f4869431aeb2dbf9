using System.Globalization;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Groups;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Carillon.Gateway.Streams;

/// <summary>What all streams have in common before their first entry: where they start, and the answer's head.</summary>
internal static class StreamStart
{
    /// <summary>The response header with the number that the stream starts at, which <c>begin</c> and <c>now</c> leave open.</summary>
    private const string NextHeader = "Carillon-Next";

    /// <summary>The id of the event that was seen last, or empty: a browser asks again with the first address and where it was, and that
    /// is what counts then.</summary>
    public static string Seen(Exchange exchange) => exchange.Request.Headers["Last-Event-ID"].ToString();

    /// <summary>Reads where a stream starts, between the first number that is kept and the last that there is; a problem where it is no
    /// place, or too old.</summary>
    /// <param name="query">The request's.</param>
    /// <param name="seen">The number that was seen last (<see cref="Seen"/>), or empty.</param>
    /// <param name="first">The first number that is kept.</param>
    /// <param name="last">The last that there is.</param>
    /// <param name="tooOld">The problem of one who is too late.</param>
    /// <param name="start">The number to start at.</param>
    public static Problem? Read(
        in QueryText query, string seen, SequenceNumber first, SequenceNumber last, Func<SequenceNumber, Problem> tooOld,
        out SequenceNumber start)
    {
        string from = seen.Length > 0 ? Behind(seen) : query["from"] ?? "now";
        ulong number = from switch
        {
            "begin" => Math.Max(1, first.Value),
            "now" => last.Value + 1,
            _ => long.TryParse(from, NumberStyles.None, CultureInfo.InvariantCulture, out long given) ? (ulong)given : 0,
        };
        start = new SequenceNumber(number);
        return number == 0
            ? new Problem(ProblemTypes.BadRequest, $"from is a number from 1 on, 'begin' or 'now', not '{Shown.Text(from)}'.")
            : start < first ? tooOld(first) : null;
    }

    /// <summary>Writes the answer's head, and lets the client be as slow as it likes: it holds up nobody, and its entries are read only as
    /// fast as it reads them.</summary>
    public static void Begin(Exchange exchange, string contentType, SequenceNumber start)
    {
        if (exchange.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate)
        {
            rate.MinDataRate = null;
        }

        HttpResponse response = exchange.Response;
        response.ContentType = contentType;
        response.Headers[NextHeader] = start.ToString();
        response.Headers.CacheControl = "no-store";
    }

    /// <summary>Sends entries until their end, the client's or the gateway's.</summary>
    public static async Task RunAsync<T>(
        Exchange exchange, IStreamSource<T> source, StreamFormat<T> format, Func<SequenceNumber, Problem> tooOld)
    {
        try
        {
            // Where the gateway stops it ends here, whole as far as it goes; another server goes on with it.
            await new EntryStream<T>(source, exchange.Response.BodyWriter, format, exchange.Gateway.Streams, exchange.Aborted).RunAsync();
        }
        catch (FeedTooOldException late)
        {
            // Where the answer has begun it is cut off, and who asks again is told.
            await exchange.FailAsync(tooOld(late.First));
        }
    }

    private static string Behind(string last) =>
        ulong.TryParse(last, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number < ulong.MaxValue
            ? (number + 1).ToString(CultureInfo.InvariantCulture) : last;
}
