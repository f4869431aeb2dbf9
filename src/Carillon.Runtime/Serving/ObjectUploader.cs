using System.Buffers;
using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Security.Cryptography;
using Carillon.Node;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Serving;

/// <summary>
/// Turns a body into a manifest: small content is kept in it, larger is cut into chunks that are hashed, compressed where asked and worth
/// it, and stored at the bucket's <c>minimum</c> of servers while the rest still arrives. A bounded number of chunks is on the way at once,
/// so memory does not grow with the body, and a slow replica slows the sender down.
/// </summary>
internal sealed class ObjectUploader(EntryServer server, ChunkBuffers buffers, Func<int> quorum)
{
    /// <summary>Content up to this many bytes stays in the manifest.</summary>
    public const int InlineBytes = 64 << 10;

    // Chunks on the way at once: enough to keep hashing, the disk and the wire busy side by side.
    private const int Window = 4;

    private readonly ChunkSealer _sealer = new(buffers.Scratch);

    public async Task<StoreOutcome> StoreAsync(
        string bucket, PipeReader body, long? length, string contentType, ImmutableArray<KeyValuePair<string, string>> metadata, Tag upload,
        CancellationToken cancellation)
    {
        BucketSettings? settings;
        try
        {
            settings = await server.BucketAsync(bucket);
        }
        catch (TimeoutException unavailable)
        {
            return new StoreOutcome.Refused(
                RejectionReason.NoQuorum, $"bucket '{bucket}' is not known here, and no quorum could be asked: {unavailable.Message}");
        }

        if (settings is null)
        {
            return new StoreOutcome.Refused(RejectionReason.BucketNotFound, $"there is no bucket '{bucket}'; create it first");
        }

        var manifest = new ObjectManifest
        {
            Size = 0, Sha256 = default, ContentType = contentType, Metadata = metadata, VersionsKept = (ushort)settings.Versions,
        };
        ReadResult start = length > InlineBytes
            ? default
            : await body.ReadAtLeastAsync(InlineBytes + 1, cancellation);
        if (length is null or <= InlineBytes && start.IsCompleted && start.Buffer.Length <= InlineBytes)
        {
            byte[] content = start.Buffer.ToArray();
            body.AdvanceTo(start.Buffer.End);
            return new StoreOutcome.Stored(manifest with { Size = content.Length, Sha256 = Digest.Of(content), Inline = content }, upload);
        }

        if (length is null or <= InlineBytes)
        {
            body.AdvanceTo(start.Buffer.Start);
        }

        return await StoreChunksAsync(body, settings, manifest, upload, cancellation);
    }

    private async Task<StoreOutcome> StoreChunksAsync(
        PipeReader body, BucketSettings settings, ObjectManifest manifest, Tag upload, CancellationToken cancellation)
    {
        Tag tag = upload;
        if (tag.IsNone)
        {
            (Tag? begun, RejectionReason fault) =
                await server.Ask<(Tag? Tag, RejectionReason Fault)>((node, now, answer) => node.BeginUpload(now, (t, f) => answer((t, f))));
            if (begun is not { } opened)
            {
                return new StoreOutcome.Refused(fault, fault == RejectionReason.NoQuorum
                    ? "too few entry servers are connected"
                    : "no upload can be begun here at present");
            }

            tag = opened;
        }

        var run = new UploadRun(server, settings, quorum, tag);
        try
        {
            return await StoreChunksAsync(body, settings, manifest, run, cancellation);
        }
        catch
        {
            server.Abandon(tag);
            throw;
        }
    }

    private async Task<StoreOutcome> StoreChunksAsync(
        PipeReader body, BucketSettings settings, ObjectManifest manifest, UploadRun run, CancellationToken cancellation)
    {
        using var whole = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        var references = new ChunkListBuilder();
        long size = 0;
        bool ended = false;
        while (!ended && run.Failure is null)
        {
            using PooledChunk buffer = await buffers.Content.RentAsync(settings.ChunkSize, cancellation);
            (int filled, ended) = await FillAsync(body, buffer.Memory[..settings.ChunkSize], cancellation);
            if (filled == 0)
            {
                break;
            }

            size += filled;
            whole.AppendData(buffer.Memory.Span[..filled]);
            (ChunkReference reference, ChunkBuffer stored) = await _sealer.SealAsync(buffer, filled, settings.Compression, cancellation);
            references.Add(reference);
            await run.PutAsync(reference, stored, Window);
            if (references.IsFull)
            {
                await StoreListPartAsync(references, run, settings, cancellation);
            }
        }

        await run.FinishAsync();
        if (run.Failure is { } failure)
        {
            server.Abandon(run.Tag);
            return failure;
        }

        Span<byte> digest = stackalloc byte[Digest.Size];
        whole.GetHashAndReset(digest);
        ObjectManifest complete = manifest with { Size = size, Sha256 = Digest.Read(digest) };
        return await CompleteAsync(complete, references, run, settings, cancellation);
    }

    private async Task<StoreOutcome> CompleteAsync(
        ObjectManifest manifest, ChunkListBuilder references, UploadRun run, BucketSettings settings, CancellationToken cancellation)
    {
        if (references.IsDirect)
        {
            return new StoreOutcome.Stored(manifest with { Form = ContentForm.Chunks, Chunks = references.Direct() }, run.Tag);
        }

        await StoreListPartAsync(references, run, settings, cancellation);
        await run.FinishAsync();
        if (run.Failure is { } failure)
        {
            server.Abandon(run.Tag);
            return failure;
        }

        return new StoreOutcome.Stored(manifest with { Form = ContentForm.ChunkedList, Chunks = references.Parts() }, run.Tag);
    }

    /// <summary>A run of references becomes a chunk itself (a list longer than 64 KiB is stored as chunks).</summary>
    private async Task StoreListPartAsync(
        ChunkListBuilder references, UploadRun run, BucketSettings settings, CancellationToken cancellation)
    {
        byte[] part = references.TakePart();
        if (part.Length == 0)
        {
            return;
        }

        using PooledChunk buffer = await buffers.Content.RentAsync(part.Length, cancellation);
        part.CopyTo(buffer.Memory);
        // Never compressed: hashes don't shrink, and every server reads the list to know what it names.
        (ChunkReference reference, ChunkBuffer stored) = await _sealer.SealAsync(buffer, part.Length, Compression.None, cancellation);
        references.AddPart(reference);
        await run.PutAsync(reference, stored, Window);
    }

    private static async Task<(int Filled, bool Ended)> FillAsync(PipeReader body, Memory<byte> into, CancellationToken cancellation)
    {
        int filled = 0;
        while (filled < into.Length)
        {
            ReadResult read = await body.ReadAsync(cancellation);
            ReadOnlySequence<byte> take = read.Buffer.Length <= into.Length - filled
                ? read.Buffer
                : read.Buffer.Slice(0, into.Length - filled);
            take.CopyTo(into.Span[filled..]);
            filled += (int)take.Length;
            body.AdvanceTo(take.End);
            if (read.IsCompleted && take.Length == read.Buffer.Length)
            {
                return (filled, true);
            }
        }

        return (filled, false);
    }
}
