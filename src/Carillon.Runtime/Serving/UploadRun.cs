using Carillon.Node;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Serving;

/// <summary>The chunks of one body on their way to their replicas.</summary>
internal sealed class UploadRun(EntryServer server, BucketSettings settings, Func<int> quorum, Tag tag)
{
    private readonly Queue<Task<ChunkPutOutcome>> _onTheirWay = new();

    /// <summary>What the chunks' put-intents name.</summary>
    public Tag Tag { get; } = tag;

    /// <summary>Why the upload failed, once it has.</summary>
    public StoreOutcome.Refused? Failure { get; private set; }

    /// <summary>Starts a chunk's put; waits while more than <paramref name="window"/> are on their way. The buffer's release is the
    /// node's.</summary>
    public async Task PutAsync(ChunkReference reference, ChunkBuffer stored, int window)
    {
        int minimum = settings.Minimum ?? quorum();
        int replicas = Math.Max(settings.Replicas, minimum);
        _onTheirWay.Enqueue(server.Ask<ChunkPutOutcome>(
            (node, now, answer) => node.PutChunk(Tag, reference.Id, stored, replicas, minimum, now, answer)));
        while (_onTheirWay.Count >= window)
        {
            await TakeAsync();
        }
    }

    /// <summary>Waits for all.</summary>
    public async Task FinishAsync()
    {
        while (_onTheirWay.Count > 0)
        {
            await TakeAsync();
        }
    }

    private async Task TakeAsync()
    {
        ChunkPutOutcome outcome = await _onTheirWay.Dequeue();
        if (outcome.Reason is { } reason)
        {
            Failure ??= new StoreOutcome.Refused(reason, outcome.Detail);
        }
    }
}
