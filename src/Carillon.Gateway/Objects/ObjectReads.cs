using System.Globalization;
using Carillon.Gateway.Metrics;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Objects;

/// <summary>GET and HEAD of an object.</summary>
internal static class ObjectReads
{
    private static readonly string[] Parameters = ["version", "consistency"];

    public static async Task ReadAsync(Exchange exchange, ObjectName target)
    {
        if (!TryReadQuery(exchange, out Uid? version, out Consistency consistency, out Problem? problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        switch (await exchange.Server.ReadAsync(target, version, consistency))
        {
            case ReadOutcome.Found found:
                await AnswerAsync(exchange, found);
                break;
            case ReadOutcome.Absent absent:
                await exchange.FailAsync(await AbsenceOfAsync(exchange, target, version, consistency, absent));
                break;
            case ReadOutcome.Unavailable unavailable:
                await exchange.FailAsync(ProblemTypes.ReadUnavailable, unavailable.Why);
                break;
            default:
                throw new InvalidOperationException("a read has no such outcome");
        }
    }

    private static bool TryReadQuery(Exchange exchange, out Uid? version, out Consistency consistency, out Problem? problem)
    {
        version = null;
        consistency = Consistency.Linearizable;
        if (!exchange.TryQuery(Parameters, out QueryText query, out problem))
        {
            return false;
        }

        if (query["version"] is { } text)
        {
            if (!Uid.TryParse(text, out Uid uid))
            {
                problem = new Problem(ProblemTypes.BadRequest, $"The version '{Shown.Text(text)}' is not a UID.");
                return false;
            }

            version = uid;
        }

        switch (query["consistency"])
        {
            case null or "linearizable":
                return true;
            case "local":
                consistency = Consistency.Local;
                return true;
            case { } other:
                problem = new Problem(
                    ProblemTypes.BadRequest, $"The consistency '{Shown.Text(other)}' is neither 'linearizable' nor 'local'.");
                return false;
        }
    }

    /// <summary>A name in a bucket that is not there is told apart, since the two have different remedies.</summary>
    private static async Task<Problem> AbsenceOfAsync(
        Exchange exchange, ObjectName target, Uid? version, Consistency consistency, ReadOutcome.Absent absent)
    {
        if (!absent.Tombstone.IsNone)
        {
            return new Problem(ProblemTypes.NotFound, $"'{target}' is deleted.")
            {
                Tombstone = absent.Tombstone.ToString(), Sequence = absent.Number,
            };
        }

        bool isChecked = consistency == Consistency.Linearizable && target.Bucket != ObjectName.SystemBucket;
        if (isChecked && await exchange.Server.BucketAsync(target.Bucket) is null)
        {
            return new Problem(ProblemTypes.BucketNotFound, $"There is no bucket '{target.Bucket}'.");
        }

        string which = version is null ? $"'{target}'" : $"'{target}' in version {version}";
        return new Problem(ProblemTypes.NotFound, $"There is no {which}.");
    }

    private static Task AnswerAsync(Exchange exchange, ReadOutcome.Found found)
    {
        HttpRequest request = exchange.Request;
        string uid = found.Uid.ToString();
        string tag = $"\"{uid}\"";
        if (request.Headers.IfMatch is { Count: > 0 } expected && !EntityTags.Match(expected, tag, weakToo: false))
        {
            return exchange.FailAsync(
                new Problem(ProblemTypes.PreconditionFailed, $"The version is {uid}, not one that If-Match names.") { Winner = uid });
        }

        Describe(exchange.Response, found, tag);
        if (request.Headers.IfNoneMatch is { Count: > 0 } known && EntityTags.Match(known, tag, weakToo: true))
        {
            exchange.Response.StatusCode = StatusCodes.Status304NotModified;
            return Task.CompletedTask;
        }

        return SendAsync(exchange, found, tag);
    }

    private static void Describe(HttpResponse response, ReadOutcome.Found found, string tag)
    {
        IHeaderDictionary headers = response.Headers;
        headers.ETag = tag;
        headers.LastModified = ObjectMetadata.ModifiedOf(found.Uid, found.Manifest.Metadata).ToString("R", CultureInfo.InvariantCulture);
        if (!found.Number.IsNone)
        {
            headers[Exchange.SequenceHeader] = found.Number.ToString();
        }

        headers["Carillon-Sha256"] = found.Manifest.Sha256.ToString();
        headers.AcceptRanges = "bytes";

        // A cache in between may keep the content, but a read of a name must reach a server, or it would not be linearizable.
        headers.CacheControl = "no-cache";

        // What somebody stored is shown as what it says it is, and runs nothing in the name of this interface.
        headers.XContentTypeOptions = "nosniff";
        headers.ContentSecurityPolicy = "sandbox";
        ObjectMetadata.Write(found.Manifest.Metadata, headers);
    }

    private static async Task SendAsync(Exchange exchange, ReadOutcome.Found found, string tag)
    {
        ObjectManifest manifest = found.Manifest;
        HttpResponse response = exchange.Response;
        response.ContentType = manifest.ContentType.Length > 0 ? manifest.ContentType : "application/octet-stream";
        if (HttpMethods.IsHead(exchange.Request.Method))
        {
            response.ContentLength = manifest.Size;
            return;
        }

        switch (ByteRange.Of(RangeHeader(exchange.Request, tag), manifest.Size, out ByteRange range))
        {
            case RangeVerdict.NotSatisfiable:
                var problem = new Problem(ProblemTypes.RangeNotSatisfiable, $"The object has {manifest.Size} bytes.");
                await exchange.FailAsync(problem, "Content-Range", $"bytes */{manifest.Size}");
                return;
            case RangeVerdict.Part:
                response.StatusCode = StatusCodes.Status206PartialContent;
                response.Headers.ContentRange = range.ContentRange(manifest.Size);
                break;
        }

        response.ContentLength = range.Length;
        if (range.Length == 0)
        {
            return;
        }

        if (manifest.Form == ContentForm.Inline)
        {
            await response.BodyWriter.WriteAsync(manifest.Inline.Slice((int)range.Offset, (int)range.Length), exchange.Aborted);
        }
        else
        {
            await exchange.Server.WriteContentAsync(manifest, range.Offset, range.Length, response.BodyWriter, exchange.Aborted);
        }

        GatewayMeter.Sent(range.Length);
    }

    /// <summary>
    /// The range, unless <c>If-Range</c> names another version: then the client's part is worth nothing and it needs the whole.
    /// </summary>
    private static string? RangeHeader(HttpRequest request, string tag)
    {
        if (request.Headers.Range.Count != 1)
        {
            return null;
        }

        return request.Headers.IfRange is { Count: > 0 } condition && condition != tag ? null : (string?)request.Headers.Range;
    }
}
