using System.Buffers;
using System.Collections.Immutable;
using System.IO.Pipelines;
using System.Text;
using Carillon.Gateway.Objects;
using Carillon.Gateway.Metrics;
using Carillon.Gateway.Problems;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Runtime.Serving;

namespace Carillon.Gateway.Changesets;

/// <summary>
/// Stores a changeset's contents one after the other, all under one upload, and puts their manifests together. Unless it is
/// <see cref="Kept"/> in the end, what was stored is given up.
/// </summary>
internal sealed class ChangesetUpload(Exchange exchange, IReadOnlyList<PlannedOperation> plan) : IDisposable
{
    /// <summary>
    /// The most content that a changeset carries in its manifests; what is longer than the inline limit is stored as chunks and does not
    /// count.
    /// </summary>
    public const long MaxInlineBytes = 16 << 20;

    /// <summary>Room in a submission's record for its tags, key and digest.</summary>
    private const int RecordFrameBytes = 1024;

    private readonly ObjectManifest?[] _manifests = new ObjectManifest?[plan.Count];
    private long _inlineBytes;
    private long _recordBytes = RecordFrameBytes;

    /// <summary>The tag under which chunks were stored; none if there are none.</summary>
    public Tag Upload { get; private set; }

    /// <summary>True once it has been submitted.</summary>
    public bool Kept { get; set; }

    /// <summary>Stores what came in the JSON itself; null, or why it can't be.</summary>
    public async Task<Problem?> StoreInlineAsync()
    {
        for (int i = 0; i < plan.Count; i++)
        {
            _recordBytes += RecordBytes(plan[i].Target);
            if (plan[i].Content is not { } content)
            {
                continue;
            }

            PipeReader reader = PipeReader.Create(new ReadOnlySequence<byte>(content));
            if (await StoreAsync(i, reader, content.Length, plan[i].ContentType ?? "") is { } problem)
            {
                return problem;
            }
        }

        return null;
    }

    /// <summary>Stores a part of the form; null, or why it can't be.</summary>
    public async Task<Problem?> StoreFileAsync(string file, string? contentType, Stream content)
    {
        int index = IndexOf(file);
        if (index < 0)
        {
            return new Problem(ProblemTypes.BadChangeset, $"The part '{Shown.Text(file)}' is not named by any operation's 'file'.");
        }

        if (_manifests[index] is not null)
        {
            return new Problem(ProblemTypes.BadChangeset, $"The part '{Shown.Text(file)}' is there twice.");
        }

        string type = plan[index].ContentType ?? contentType ?? "";
        if (ObjectMetadata.FaultOf(type, plan[index].Metadata) is { } wrong)
        {
            return wrong with { Detail = $"'{plan[index].Target}': {wrong.Detail}" };
        }

        PipeReader reader = PipeReader.Create(content, new StreamPipeReaderOptions(bufferSize: 64 << 10, leaveOpen: true));
        try
        {
            return await StoreAsync(index, reader, null, type);
        }
        finally
        {
            await reader.CompleteAsync();
        }
    }

    /// <summary>The operations, once all content is there; null with the problem where some is not.</summary>
    public ImmutableArray<Operation>? Operations(out Problem? problem)
    {
        problem = null;
        var operations = ImmutableArray.CreateBuilder<Operation>(plan.Count);
        for (int i = 0; i < plan.Count; i++)
        {
            if (plan[i].Kind == OperationKind.Put && _manifests[i] is null)
            {
                problem = new Problem(
                    ProblemTypes.BadChangeset, $"The file '{Shown.Text(plan[i].File!)}' of '{plan[i].Target}' is not a part of the form.");
                return null;
            }

            operations.Add(new Operation(plan[i].Kind, plan[i].Target, _manifests[i]) { Precondition = plan[i].Precondition });
        }

        return operations.DrainToImmutable();
    }

    /// <summary>Gives up what was stored, unless it is kept.</summary>
    public void Dispose()
    {
        if (!Kept)
        {
            exchange.Server.Abandon(Upload);
        }
    }

    private async Task<Problem?> StoreAsync(int index, PipeReader content, long? length, string contentType)
    {
        PlannedOperation operation = plan[index];
        StoreOutcome outcome = await exchange.Server.StoreAsync(
            operation.Target.Bucket, content, length, contentType, operation.Metadata, Upload, exchange.Aborted);
        if (outcome is not StoreOutcome.Stored(var manifest, var upload))
        {
            var refused = (StoreOutcome.Refused)outcome;
            return new Problem(ProblemTypes.Of(refused.Reason), $"'{operation.Target}': {refused.Detail}");
        }

        Upload = upload;
        _manifests[index] = manifest;
        _inlineBytes += manifest.Inline.Length;
        _recordBytes += manifest.EncodedSize;
        GatewayMeter.Received(manifest.Size);
        return _inlineBytes > MaxInlineBytes
            ? new Problem(ProblemTypes.TooLarge, $"A changeset carries at most {MaxInlineBytes} bytes of small files; split it.")
            : _recordBytes > Submission.MaxBytes
            ? new Problem(
                ProblemTypes.TooLarge, $"The changeset's names, metadata and lists of chunks exceed {Submission.MaxBytes} bytes; split it.")
            : null;
    }

    private int IndexOf(string file)
    {
        for (int i = 0; i < plan.Count; i++)
        {
            if (plan[i].File == file)
            {
                return i;
            }
        }

        return -1;
    }

    private static int RecordBytes(ObjectName target) => 16 + target.Bucket.Length + Encoding.UTF8.GetByteCount(target.Name);
}
