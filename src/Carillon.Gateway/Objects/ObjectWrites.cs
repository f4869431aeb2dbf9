using System.Collections.Immutable;
using Carillon.Gateway.Json;
using Carillon.Gateway.Metrics;
using Carillon.Gateway.Problems;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Runtime.Serving;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway.Objects;

/// <summary>PUT and DELETE of an object.</summary>
internal static class ObjectWrites
{
    /// <summary>The request header with the content's SHA-256, to be checked before anything is submitted.</summary>
    private const string HashHeader = "Carillon-Sha256";

    /// <summary>Body to chunks, chunks to manifest, manifest to submission. Nothing is submitted unless the whole body came.</summary>
    public static async Task PutAsync(Exchange exchange, ObjectName target)
    {
        if (Check(exchange, out var terms, out var metadata, out Digest? hash) is { } wrong
            || !FenceHeader.TryRead(exchange.Request.Headers, out Fence fence, out wrong))
        {
            await exchange.FailAsync(wrong!);
            return;
        }

        HttpRequest request = exchange.Request;
        long? length = LengthOf(request);
        StoreOutcome stored = await exchange.Server.StoreAsync(
            target.Bucket, request.BodyReader, length, request.ContentType ?? "", metadata, default, exchange.Aborted);
        if (stored is not StoreOutcome.Stored(var manifest, var upload))
        {
            var refused = (StoreOutcome.Refused)stored;
            await exchange.FailAsync(ProblemTypes.Of(refused.Reason), refused.Detail);
            return;
        }

        if (CheckContent(manifest, length, hash) is { } broken)
        {
            exchange.Server.Abandon(upload);
            await exchange.FailAsync(broken);
            return;
        }

        GatewayMeter.Received(manifest.Size);
        var operation = new Operation(OperationKind.Put, target, manifest) { Precondition = terms.Condition };
        var submit = new SubmitRequest([operation], exchange.Key!, upload, fence) { Ack = terms.Ack };
        await SubmitAsync(exchange, submit, existed: null);
    }

    /// <summary>A delete is a submission too; whether there was something to delete is told from what this server had applied.</summary>
    public static async Task DeleteAsync(Exchange exchange, ObjectName target)
    {
        (AckWanted Ack, Precondition Condition) terms = default;
        if ((exchange.TryQuery([], out _, out Problem? wrong)
                ? WriteRequest.Open(exchange, out terms.Ack, out terms.Condition) : wrong) is { } problem
            || !FenceHeader.TryRead(exchange.Request.Headers, out Fence fence, out problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        bool existed = await exchange.Server.ReadAsync(target, null, Consistency.Local) is ReadOutcome.Found;
        var operation = new Operation(OperationKind.Delete, target, null) { Precondition = terms.Condition };
        var submit = new SubmitRequest([operation], exchange.Key!, default, fence) { Ack = terms.Ack };
        await SubmitAsync(exchange, submit, existed);
    }

    /// <summary>By the framing: a request of HTTP/1.1 with neither length nor encoding has no body; in HTTP/2 its end tells.</summary>
    private static long? LengthOf(HttpRequest request)
    {
        bool isOpen = request.Headers.TransferEncoding.Count > 0 || !HttpProtocol.IsHttp11(request.Protocol);
        return request.ContentLength ?? (isOpen ? null : 0);
    }

    private static Problem? Check(
        Exchange exchange, out (AckWanted Ack, Precondition Condition) terms, out ImmutableArray<KeyValuePair<string, string>> metadata,
        out Digest? hash)
    {
        terms = default;
        hash = null;
        metadata = [];
        if (!exchange.TryQuery([], out _, out Problem? problem)
            || (problem = WriteRequest.Open(exchange, out terms.Ack, out terms.Condition)) is not null)
        {
            return problem;
        }

        HttpRequest request = exchange.Request;
        if (request.ContentLength > HttpGateway.MaxObjectBytes)
        {
            return new Problem(
                ProblemTypes.TooLarge, $"An object has at most {HttpGateway.MaxObjectBytes} bytes, this one {request.ContentLength}.");
        }

        if (request.Headers.ContentRange.Count > 0)
        {
            return new Problem(ProblemTypes.BadRequest, "An object is put as a whole: Content-Range is not taken.");
        }

        if (request.Headers.ContentEncoding is { Count: > 0 } encoding && encoding != "identity")
        {
            return new Problem(
                ProblemTypes.UnsupportedMedia,
                $"Content-Encoding '{Shown.Text(encoding.ToString())}' is not kept: send the content as it is, or without this header.");
        }

        if (request.Headers[HashHeader] is { Count: > 0 } given)
        {
            if (!Digest.TryParse(given.ToString(), out Digest digest))
            {
                return new Problem(ProblemTypes.BadRequest, $"{HashHeader} is not 64 hexadecimal digits.");
            }

            hash = digest;
        }

        return ObjectMetadata.TryRead(request.Headers, out metadata, out problem)
            ? ObjectMetadata.FaultOf(request.ContentType ?? "", metadata) : problem;
    }

    /// <summary>The last look before a body becomes an object: the framing promised this length, the client perhaps this hash.</summary>
    private static Problem? CheckContent(ObjectManifest manifest, long? length, Digest? hash)
    {
        if (length is { } promised && promised != manifest.Size)
        {
            return new Problem(ProblemTypes.Incomplete, $"{promised} bytes were announced, {manifest.Size} came; nothing was stored.");
        }

        return hash is { } expected && expected != manifest.Sha256
            ? new Problem(
                ProblemTypes.Integrity, $"The content's SHA-256 is {manifest.Sha256}, not {expected}; nothing was stored.") : null;
    }

    private static async Task SubmitAsync(Exchange exchange, SubmitRequest submit, bool? existed)
    {
        SubmitOutcome? outcome = await WriteRequest.RunAsync(exchange, () => exchange.Server.SubmitAsync(submit));
        if (outcome is not SubmitOutcome.Accepted accepted)
        {
            await exchange.FailAsync(WriteRequest.ProblemOf(outcome));
            return;
        }

        string tag = accepted.Tag.ToString();
        string uid = accepted.Tag.Uid.ToString();
        exchange.Response.Headers.ETag = $"\"{uid}\"";
        JsonBody body = JsonBody.Rent();
        body.Writer.WriteStartObject();
        body.Writer.WriteString("uid", uid);
        WriteRequest.WriteSequence(body.Writer, accepted.Sequenced.Number);
        body.Writer.WriteNumber("size", submit.Operations[0].Manifest?.Size ?? 0);
        if (submit.Operations[0].Manifest is { } manifest)
        {
            body.Writer.WriteString("sha256", manifest.Sha256.ToString());
        }
        else
        {
            body.Writer.WriteNull("sha256");
        }

        body.Writer.WriteString("submission", tag);
        body.Writer.WriteBoolean("replayed", accepted.Replayed);
        if (existed is { } was)
        {
            body.Writer.WriteBoolean("existed", was);
        }

        body.Writer.WriteEndObject();
        await body.SendAsync(exchange.Response, WriteRequest.StatusOf(exchange, accepted));
    }
}
