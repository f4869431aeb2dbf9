using System.Buffers;
using System.IO.Pipelines;
using Carillon.Gateway.Problems;
using Carillon.Gateway.Routing;
using Carillon.Protocols;
using Carillon.Protocols.Wire;
using Microsoft.AspNetCore.Http;

namespace Carillon.Gateway;

/// <summary><c>POST /v1/backup</c>: a checkpoint of the catalog. <c>GET /v1/chunks/{id}</c>: the stored bytes of a chunk. Together they are
/// all that a copy of the whole cluster needs.</summary>
internal static class BackupRoutes
{
    /// <summary>Names of 16 TiB of blocks; a catalog has at most as many.</summary>
    private const int MaxKnown = 1 << 18;

    private const string Bytes = "application/octet-stream";

    public static Task AnswerAsync(Exchange exchange)
    {
        if (!exchange.TryQuery([], out _, out Problem? problem))
        {
            return exchange.FailAsync(problem!);
        }

        return exchange.Kind == RouteKind.Chunk ? ChunkAsync(exchange) : BackupAsync(exchange);
    }

    private static async Task BackupAsync(Exchange exchange)
    {
        if (!HttpMethods.IsPost(exchange.Request.Method))
        {
            await Methods.RefuseAsync(exchange, "POST");
            return;
        }

        if (await ReadKnownAsync(exchange) is not { } known)
        {
            await exchange.FailAsync(
                ProblemTypes.BadRequest, $"The body is a row of blocks' names, {ChunkId.Size} bytes each, {MaxKnown} at most.");
            return;
        }

        // What is sent first is read from the catalog, so an answer that has begun is one of this server's.
        exchange.Response.ContentType = Bytes;
        await exchange.Server.WriteCheckpointAsync(known, exchange.Response.BodyWriter, exchange.Aborted);
    }

    private static async Task ChunkAsync(Exchange exchange)
    {
        if (!Methods.IsRead(exchange.Request))
        {
            await Methods.RefuseAsync(exchange, "GET, HEAD");
            return;
        }

        if (!Digest.TryParse(exchange.Route.Name, out Digest digest))
        {
            await exchange.FailAsync(ProblemTypes.BadRequest, "A chunk's id is 64 hexadecimal digits.");
            return;
        }

        exchange.Response.ContentType = Bytes;
        await exchange.Server.WriteChunkAsync(new ChunkId(digest), exchange.Response.BodyWriter, exchange.Aborted);
    }

    private static async Task<HashSet<ChunkId>?> ReadKnownAsync(Exchange exchange)
    {
        var known = new HashSet<ChunkId>();
        PipeReader body = exchange.Request.BodyReader;
        while (true)
        {
            ReadResult read = await body.ReadAsync(exchange.Aborted);
            ReadOnlySequence<byte> rest = read.Buffer;
            while (rest.Length >= ChunkId.Size)
            {
                known.Add(IdOf(rest));
                rest = rest.Slice(ChunkId.Size);
            }

            body.AdvanceTo(rest.Start, rest.End);
            if (known.Count > MaxKnown || (read.IsCompleted && rest.Length > 0))
            {
                return null;
            }

            if (read.IsCompleted)
            {
                return known;
            }
        }
    }

    private static ChunkId IdOf(ReadOnlySequence<byte> bytes)
    {
        Span<byte> id = stackalloc byte[ChunkId.Size];
        bytes.Slice(0, ChunkId.Size).CopyTo(id);
        var reader = new WireReader(id);
        return reader.Chunk();
    }
}
