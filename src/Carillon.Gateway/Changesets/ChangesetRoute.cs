using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Text.Json;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.WebUtilities;
using Microsoft.Net.Http.Headers;

namespace Carillon.Gateway.Changesets;

/// <summary>
/// <c>POST /v1/changesets</c>: several names in one submission. A form (multipart/form-data) with the JSON first and then the files that it
/// names, or the JSON alone where it names none.
/// </summary>
internal static class ChangesetRoute
{
    /// <summary>16 MiB inline as base64 are 22 MiB; the rest is for names, metadata and the JSON itself.</summary>
    public const int MaxJsonBytes = 32 << 20;

    /// <summary>Up to this a body is small, and does not wait for its turn.</summary>
    private const long SmallBodyBytes = 1 << 20;

    /// <summary>RFC 2046 section 5.1.1.</summary>
    private const int MaxBoundaryLength = 70;

    public static async Task AnswerAsync(Exchange exchange)
    {
        if (!HttpMethods.IsPost(exchange.Request.Method))
        {
            await Methods.RefuseAsync(exchange, "POST");
            return;
        }

        if (!exchange.TryQuery([], out _, out Problem? problem) || (problem = WriteRequest.Open(exchange, out AckWanted ack)) is not null)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (exchange.Request.ContentLength <= SmallBodyBytes)
        {
            await RunAsync(exchange, ack);
            return;
        }

        await exchange.Gateway.LargeChangesets.WaitAsync(exchange.Aborted);
        try
        {
            await RunAsync(exchange, ack);
        }
        finally
        {
            exchange.Gateway.LargeChangesets.Release();
        }
    }

    private static async Task RunAsync(Exchange exchange, AckWanted ack)
    {
        if (!MediaTypeHeaderValue.TryParse(exchange.Request.ContentType, out MediaTypeHeaderValue? type))
        {
            await exchange.FailAsync(
                ProblemTypes.UnsupportedMedia, "A changeset is multipart/form-data, or application/json where it names no files.");
            return;
        }

        if (type.MediaType.Equals("application/json", StringComparison.OrdinalIgnoreCase))
        {
            await RunJsonAsync(exchange, ack);
            return;
        }

        string boundary = HeaderUtilities.RemoveQuotes(type.Boundary).ToString();
        if (!type.MediaType.Equals("multipart/form-data", StringComparison.OrdinalIgnoreCase)
            || boundary.Length is 0 or > MaxBoundaryLength)
        {
            await exchange.FailAsync(
                ProblemTypes.UnsupportedMedia,
                $"A changeset is multipart/form-data with a boundary of 1 to {MaxBoundaryLength} characters, "
                + "or application/json where it names no files.");
            return;
        }

        try
        {
            await RunFormAsync(exchange, new MultipartReader(boundary, exchange.Request.Body, bufferSize: 64 << 10), ack);
        }
        catch (Exception exception) when (exception is InvalidDataException || IsEndOfForm(exception, exchange))
        {
            await exchange.FailAsync(
                ProblemTypes.BadChangeset, "The form ends early, or one of its parts is not well formed; nothing was stored.");
        }
    }

    /// <summary>
    /// A form that ends before its last boundary; not a body that Kestrel itself finds cut off, nor a client that has gone.
    /// </summary>
    private static bool IsEndOfForm(Exception exception, Exchange exchange) =>
        exception is IOException and not BadHttpRequestException && !exchange.Aborted.IsCancellationRequested;

    private static async Task RunJsonAsync(Exchange exchange, AckWanted ack)
    {
        byte[]? json = await BodyBytes.ReadAsync(exchange.Request.BodyReader, MaxJsonBytes, exchange.Aborted);
        if (await PlanAsync(exchange, json) is { } plan)
        {
            using var upload = new ChangesetUpload(exchange, plan);
            if (await upload.StoreInlineAsync() is { } problem)
            {
                await exchange.FailAsync(problem);
                return;
            }

            await SubmitAsync(exchange, upload, ack);
        }
    }

    private static async Task RunFormAsync(Exchange exchange, MultipartReader form, AckWanted ack)
    {
        MultipartSection? section = await form.ReadNextSectionAsync(exchange.Aborted);
        if (section is null)
        {
            await exchange.FailAsync(ProblemTypes.BadChangeset, "The form has no parts; the first is the changeset's JSON.");
            return;
        }

        var options = new StreamPipeReaderOptions(bufferSize: 64 << 10, leaveOpen: true);
        byte[]? json = await BodyBytes.ReadAsync(PipeReader.Create(section.Body, options), MaxJsonBytes, exchange.Aborted);
        if (await PlanAsync(exchange, json) is not { } plan)
        {
            return;
        }

        using var upload = new ChangesetUpload(exchange, plan);
        Problem? problem = await upload.StoreInlineAsync();
        while (problem is null && (section = await form.ReadNextSectionAsync(exchange.Aborted)) is not null)
        {
            problem = await StorePartAsync(upload, section);
        }

        if (problem is not null)
        {
            await exchange.FailAsync(problem);
            return;
        }

        await SubmitAsync(exchange, upload, ack);
    }

    private static async Task<IReadOnlyList<PlannedOperation>?> PlanAsync(Exchange exchange, byte[]? json)
    {
        if (json is null)
        {
            await exchange.FailAsync(ProblemTypes.TooLarge, $"A changeset's JSON has at most {MaxJsonBytes} bytes.");
            return null;
        }

        IReadOnlyList<PlannedOperation>? plan = ChangesetJson.Read(json, out Problem? problem);
        if (plan is null)
        {
            await exchange.FailAsync(problem!);
        }

        return plan;
    }

    private static async Task<Problem?> StorePartAsync(ChangesetUpload upload, MultipartSection section)
    {
        if (!ContentDispositionHeaderValue.TryParse(section.ContentDisposition, out ContentDispositionHeaderValue? disposition)
            || HeaderUtilities.RemoveQuotes(disposition.Name).ToString() is not { Length: > 0 } name)
        {
            return new Problem(ProblemTypes.BadChangeset, "A part has no name (Content-Disposition: form-data; name=…).");
        }

        string encoding = section.Headers!.GetValueOrDefault("Content-Transfer-Encoding").ToString();
        return encoding is "" or "binary" or "8bit" or "7bit"
            ? await upload.StoreFileAsync(name, section.ContentType, section.Body)
            : new Problem(
                ProblemTypes.UnsupportedMedia, $"The part '{Shown.Text(name)}' is encoded as '{Shown.Text(encoding)}'; send its bytes.");
    }

    private static async Task SubmitAsync(Exchange exchange, ChangesetUpload upload, AckWanted ack)
    {
        if (upload.Operations(out Problem? problem) is not { } operations)
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (!FenceHeader.TryRead(exchange.Request.Headers, out Fence fence, out problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        upload.Kept = true;
        var submit = new SubmitRequest(operations, exchange.Key!, upload.Upload, fence) { Ack = ack };
        SubmitOutcome? outcome = await WriteRequest.RunAsync(exchange, () => exchange.Server.SubmitAsync(submit));
        if (outcome is not SubmitOutcome.Accepted accepted)
        {
            await exchange.FailAsync(WriteRequest.ProblemOf(outcome));
            return;
        }

        await WriteRequest.AnswerAsync(exchange, accepted, writer =>
            WriteOperations(writer, accepted.Tag.Uid.ToString(), operations));
    }

    private static void WriteOperations(Utf8JsonWriter writer, string uid, ImmutableArray<Operation> operations)
    {
        writer.WriteStartArray("operations");
        foreach (Operation operation in operations)
        {
            writer.WriteStartObject();
            writer.WriteString("bucket", operation.Target.Bucket);
            writer.WriteString("name", operation.Target.Name);
            writer.WriteString("uid", uid);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
