using System.Globalization;
using System.Text;
using System.Text.Json;
using Carillon.Gateway.Json;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway;

/// <summary><c>GET /v1/buckets/{bucket}/objects</c>: one page of what this server has applied.</summary>
internal static class ListingRoute
{
    /// <summary>The longest page.</summary>
    public const int MaxLimit = 10_000;

    /// <summary>Entries of a page where the client says nothing.</summary>
    public const int DefaultLimit = 1000;

    private static readonly string[] Parameters = ["prefix", "delimiter", "after", "limit", "versions"];

    public static async Task AnswerAsync(Exchange exchange)
    {
        if (!Methods.IsRead(exchange.Request))
        {
            await Methods.RefuseAsync(exchange, "GET, HEAD");
            return;
        }

        if (!exchange.TryBucket(out string bucket, out Problem? problem)
            || !TryReadQuery(exchange, bucket, out ListQuery? query, out problem))
        {
            await exchange.FailAsync(problem!);
            return;
        }

        if (bucket != ObjectName.SystemBucket && await exchange.Server.BucketAsync(bucket) is null)
        {
            await exchange.FailAsync(ProblemTypes.BucketNotFound, $"There is no bucket '{bucket}'.");
            return;
        }

        ListPage page;
        try
        {
            page = await exchange.Server.ListAsync(query!);
        }
        catch (CatalogBehindException)
        {
            await exchange.FailAsync(ProblemTypes.ReadUnavailable, CatalogBehindException.Why);
            return;
        }

        await SendAsync(exchange, page);
    }

    private static bool TryReadQuery(Exchange exchange, string bucket, out ListQuery? query, out Problem? problem)
    {
        query = null;
        if (!exchange.TryQuery(Parameters, out QueryText text, out problem))
        {
            return false;
        }

        int limit = DefaultLimit;
        if (text["limit"] is { } number
            && (!int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out limit) || limit is < 1 or > MaxLimit))
        {
            problem = new Problem(ProblemTypes.BadRequest, $"The limit '{Shown.Text(number)}' is not 1 to {MaxLimit}.");
            return false;
        }

        if (text["versions"] is not (null or "true" or "false"))
        {
            problem = new Problem(ProblemTypes.BadRequest, $"versions is 'true' or 'false', not '{Shown.Text(text["versions"]!)}'.");
            return false;
        }

        foreach (string name in (ReadOnlySpan<string>)["prefix", "delimiter", "after"])
        {
            if (Encoding.UTF8.GetByteCount(text[name] ?? "") > ObjectName.MaxNameBytes)
            {
                problem = new Problem(ProblemTypes.BadRequest, $"{name} is longer than a name can be, {ObjectName.MaxNameBytes} bytes.");
                return false;
            }
        }

        query = new ListQuery(
            bucket, text["prefix"] ?? "", text["delimiter"] ?? "", text["after"] ?? "", limit, text["versions"] == "true");
        return true;
    }

    private static async Task SendAsync(Exchange exchange, ListPage page)
    {
        if (!page.Number.IsNone)
        {
            exchange.Response.Headers[Exchange.SequenceHeader] = page.Number.ToString();
        }

        await using var stream = new JsonStream(exchange.Response, exchange.Aborted);
        stream.Writer.WriteStartObject();
        WriteRequest.WriteSequence(stream.Writer, page.Number);
        stream.Writer.WriteStartArray("objects");
        foreach (ListedVersion entry in page.Objects)
        {
            Write(stream.Writer, entry);
            await stream.PieceAsync();
        }

        stream.Writer.WriteEndArray();
        stream.Writer.WriteStartArray("prefixes");
        foreach (string prefix in page.Prefixes)
        {
            stream.Writer.WriteStringValue(prefix);
            await stream.PieceAsync();
        }

        stream.Writer.WriteEndArray();
        if (page.Next.Length > 0)
        {
            stream.Writer.WriteString("next", page.Next);
        }
        else
        {
            stream.Writer.WriteNull("next");
        }

        stream.Writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, ListedVersion version)
    {
        writer.WriteStartObject();
        writer.WriteString("name", version.Target.Name);
        writer.WriteString("uid", version.Uid.ToString());
        WriteRequest.WriteSequence(writer, version.Number);
        writer.WriteNumber("size", version.Size);
        if (version.Kind == OperationKind.Put)
        {
            writer.WriteString("sha256", version.Sha256.ToString());
        }
        else
        {
            writer.WriteNull("sha256");
        }

        writer.WriteString("modified", ObjectMetadata.ModifiedOf(version.Uid, version.Metadata).UtcDateTime);
        writer.WriteString("kind", version.Kind == OperationKind.Put ? "put" : "delete");
        writer.WriteString("contentType", version.ContentType);
        writer.WriteStartObject("metadata");
        foreach ((string key, string value) in version.Metadata)
        {
            writer.WriteString(key, value);
        }

        writer.WriteEndObject();
        writer.WriteEndObject();
    }
}
