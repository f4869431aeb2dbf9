using System.Buffers.Binary;
using System.Net.Http.Headers;
using Carillon.Protocols;
using Carillon.Protocols.Wire;

namespace Carillon.Client.Backups;

/// <summary>What a copy of a whole cluster is made of: a checkpoint of the catalog, and chunks. Everything is verified by its name. All
/// methods may be called from any thread.</summary>
public sealed class BackupCalls
{
    /// <summary>A block of a checkpoint has 1 MiB at most, its list 36 bytes a block.</summary>
    private const int MaxPartBytes = 256 << 20;

    private const int MaxChunkBytes = 64 << 20;

    private readonly Transport _transport;

    internal BackupCalls(Transport transport) => _transport = transport;

    /// <summary>
    /// Asks for a checkpoint. Where a server fails in the midst of it, another one is asked for one of its own: blocks that came are good
    /// by themselves.
    /// </summary>
    /// <param name="known">Blocks that need not be sent; grows while blocks come.</param>
    /// <param name="block">Takes each block that was not known.</param>
    /// <param name="cancellation">The caller gives up.</param>
    /// <returns>The checkpoint's list.</returns>
    /// <exception cref="CarillonException">No server gave one.</exception>
    public Task<byte[]> CheckpointAsync(ISet<ChunkId> known, Action<ChunkId, byte[]> block, CancellationToken cancellation = default) =>
        ReadCall.StreamAsync(
            _transport,
            server =>
            {
                HttpRequestMessage request = _transport.Request(HttpMethod.Post, server, "/v1/backup");
                request.Content = new ByteArrayContent(Encode(known));
                request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/octet-stream");
                return request;
            },
            async (_, stream, guard) =>
            {
                while (await ReadPartAsync(stream, guard) is { Length: > 0 } part)
                {
                    ChunkId id = ChunkId.Of(part);
                    block(id, part);
                    known.Add(id);
                }

                return await ReadPartAsync(stream, guard);
            },
            cancellation);

    /// <summary>The stored bytes of a chunk, verified.</summary>
    /// <exception cref="CarillonException">No server has it, or could give it.</exception>
    public Task<byte[]> ChunkAsync(ChunkId id, CancellationToken cancellation = default) => ReadCall.StreamAsync(
        _transport,
        server => _transport.Request(HttpMethod.Get, server, $"/v1/chunks/{id}"),
        async (response, stream, guard) =>
        {
            using var bytes = new MemoryStream((int)Math.Min(MaxChunkBytes, response.Content.Headers.ContentLength ?? 0));
            byte[] buffer = new byte[128 << 10];
            while (await stream.ReadAsync(buffer, guard.Token) is var count && count > 0)
            {
                guard.Progress();
                bytes.Write(buffer, 0, count);
                if (bytes.Length > MaxChunkBytes)
                {
                    throw new InvalidDataException($"chunk {id} is longer than a chunk may be");
                }
            }

            byte[] whole = bytes.ToArray();
            return ChunkId.Of(whole) == id ? whole : throw new InvalidDataException($"the bytes of chunk {id} are not what its name says");
        },
        cancellation);

    private static byte[] Encode(ISet<ChunkId> ids)
    {
        byte[] bytes = new byte[ids.Count * ChunkId.Size];
        var writer = new WireWriter(bytes);
        foreach (ChunkId id in ids)
        {
            writer.Chunk(id);
        }

        return bytes;
    }

    private static async Task<byte[]> ReadPartAsync(Stream stream, StallGuard guard)
    {
        byte[] head = new byte[4];
        await stream.ReadExactlyAsync(head, guard.Token);
        int length = BinaryPrimitives.ReadInt32LittleEndian(head);
        if (length is < 0 or > MaxPartBytes)
        {
            throw new InvalidDataException($"a part of {length} bytes is not one of a checkpoint");
        }

        byte[] part = new byte[length];
        await stream.ReadExactlyAsync(part, guard.Token);
        guard.Progress();
        return part;
    }
}
