using Carillon.Node.Feeds;
using Carillon.Node.Works;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>
/// Checkpoints of the catalog: each server makes one at the same numbers; what an advertised one covers may be collected; and who lacks
/// what was collected fetches it, block by block, from any of the others, and goes on behind it.
/// </content>
public sealed partial class ServerNode
{
    /// <summary>Blocks that are asked for at once.</summary>
    private const int FetchedAtOnce = 4;

    private static readonly TimeSpan FetchTimeout = TimeSpan.FromMilliseconds(500);

    private readonly CheckpointFiles _checkpointFiles;

    // Numbers at which a batch of the catalog ends, since a checkpoint is due there.
    private readonly Queue<ulong> _checkpointsDue = new();
    private CheckpointFetching? _fetchedCheckpoint;
    private bool _isWritingCheckpoint;
    private bool _loadWanted;

    private Instant CheckpointDeadline => _fetchedCheckpoint?.AskAt ?? Instant.Never;

    internal void CheckpointDue(SequenceNumber number, ReadOnlyMemory<byte> sessions)
    {
        _checkpointsDue.Enqueue(number.Value);
        if (number > Feed.Applied)
        {
            _sessionStates.Enqueue((number, sessions));
        }
    }

    internal void BeginFetch(CheckpointMark mark)
    {
        Sometimes.Reached("feed-fetches-a-checkpoint");
        _fetchedCheckpoint?.GiveUp();
        _loadWanted = false;
        _fetchedCheckpoint = new CheckpointFetching(mark) { AskAt = _now.Now };
    }

    private void OpenCheckpoints()
    {
        if (_checkpointFiles.Newest() is { } newest && newest.Number <= Reader.AppliedNumber)
        {
            _feed.Member.CheckpointTaken(MarkOf(newest), _now.Now);
        }
    }

    private static CheckpointMark MarkOf(CatalogCheckpoint checkpoint) =>
        new(checkpoint.Number, (ulong)checkpoint.Size, checkpoint.Digest);

    /// <summary>Where a checkpoint is due a batch ends: the snapshot is taken before the next begins.</summary>
    private void TakeSnapshot(SequenceNumber applied)
    {
        while (_checkpointsDue.TryPeek(out ulong passed) && passed < applied.Value)
        {
            // With a checkpoint of others, or while the last one was being written: the others make this one.
            _checkpointsDue.Dequeue();
        }

        if (!_checkpointsDue.TryPeek(out ulong due) || due > applied.Value || _isWritingCheckpoint)
        {
            // While nothing comes, it is made once the last one is written.
            return;
        }

        _checkpointsDue.Dequeue();

        Sometimes.Reached("feed-makes-a-checkpoint");
        _isWritingCheckpoint = true;
        CatalogReader reader = _catalog.OpenReader();
        var writer = new CatalogCheckpointWriter(reader);
        List<ReadOnlyMemory<byte>>? blocks = null;
        CatalogCheckpoint? list = null;
        if (_catalog.IsInMemory)
        {
            blocks = [];
            list = writer.Write(block => blocks.Add(block.ToArray()));
            writer.Dispose();
        }

        _world.Run(new CheckpointWriteWork(_checkpointFiles, writer, blocks, list, (checkpoint, failure) =>
        {
            _isWritingCheckpoint = false;
            if (blocks is null)
            {
                writer.Dispose();
                reader.Dispose();
            }

            if (failure is null && checkpoint is not null)
            {
                _feed.Member.CheckpointTaken(MarkOf(checkpoint), _now.Now);
                _feed.IsDirty = true;
            }
            else
            {
                Tell(NodeEventKind.StorageTrouble, Self.Name, $"a checkpoint can't be written: {failure?.Message}");
            }
        }));
    }

    /// <summary>True where the entries don't follow what the catalog has, since that was lost: it is to come from a checkpoint.</summary>
    private bool IsBehindEntries()
    {
        if (_entries.Count == 0 || _entries[0].Number <= Feed.Applied.Next)
        {
            return false;
        }

        if (_fetchedCheckpoint is null)
        {
            BeginFetch(_feed.Member.Advertised);
        }

        return true;
    }

    private void AdvanceCheckpoints(Moment now)
    {
        if (_fetchedCheckpoint is not { } fetching || now.Now < fetching.AskAt)
        {
            return;
        }

        fetching.AskAt = now.Now + FetchTimeout;
        if (fetching.IsComplete)
        {
            return;
        }

        NodeId[] others = [.. Configuration.Voters.Where(v => v != Self.Name && Members.IsConnected(v))];
        if (others.Length > 0)
        {
            foreach (uint index in fetching.Missing(FetchedAtOnce))
            {
                var ask = new CheckpointMessage(IsAnswer: false, fetching.Mark.Number, index, default);
                Post(others[fetching.Turn++ % others.Length], TrafficKind.Merge, Protocol.Checkpoints, ask.Encode(), 0);
            }
        }

        if (_feed.Member.Advertised.Number > fetching.Mark.Number && fetching.Turn > 64 * FetchedAtOnce)
        {
            // It may be gone everywhere, and a newer one is there.
            BeginFetch(_feed.Member.Advertised);
        }
    }

    private bool ReceiveCheckpoint(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (!CheckpointMessage.TryRead(payload, out CheckpointMessage message))
        {
            return false;
        }

        if (message.IsAnswer)
        {
            TakeBlock(message);
        }
        else
        {
            _world.Run(new CheckpointReadWork(_checkpointFiles, message.Number, message.Index, bytes =>
                Post(from.Name, TrafficKind.Merge, Protocol.Checkpoints,
                    new CheckpointMessage(IsAnswer: true, message.Number, message.Index, bytes).Encode(), 0)));
        }

        return true;
    }

    private void TakeBlock(CheckpointMessage message)
    {
        if (_fetchedCheckpoint is not { IsComplete: false } fetching || message.Number != fetching.Mark.Number || message.Bytes.IsEmpty)
        {
            return;
        }

        if (message.Index == 0)
        {
            if (fetching.Checkpoint is null && CatalogCheckpoint.TryRead(message.Bytes.Span, out CatalogCheckpoint? list)
                && MarkOf(list) == fetching.Mark)
            {
                BeginStoring(fetching, list);
            }

            return;
        }

        int index = (int)message.Index - 1;
        if (!fetching.Take(index, message.Bytes.Span))
        {
            return;
        }

        fetching.AskAt = fetching.AskedAllOut ? _now.Now : fetching.AskAt;
        _world.Run(new CheckpointStoreWork(
            _checkpointFiles, fetching, index, message.Bytes, fetching.IsComplete, failure => BlockStored(fetching, failure)));
    }

    private void BeginStoring(CheckpointFetching fetching, CatalogCheckpoint list)
    {
        try
        {
            fetching.Begin(list, _checkpointFiles.Create(list.Number));
            fetching.AskAt = _now.Now;
        }
        catch (StorageException refusal)
        {
            // The list is asked for again.
            Tell(NodeEventKind.StorageTrouble, Self.Name, $"a checkpoint can't be stored: {refusal.Message}");
        }
    }

    private void BlockStored(CheckpointFetching fetching, StorageException? failure)
    {
        bool isWhole = fetching.Stored();
        if (_fetchedCheckpoint != fetching)
        {
            return;
        }

        if (failure is not null)
        {
            Tell(NodeEventKind.StorageTrouble, Self.Name, $"a checkpoint can't be stored: {failure.Message}");
            BeginFetch(fetching.Mark);
            _fetchedCheckpoint!.AskAt = _now.Now + FetchTimeout;
        }
        else if (isWhole)
        {
            _loadWanted = true;
        }
    }

    /// <summary>The catalog is free: a checkpoint that is here is loaded.</summary>
    private bool BeginLoad()
    {
        if (!_loadWanted || _fetchedCheckpoint is not { Checkpoint: { } checkpoint } fetching)
        {
            return false;
        }

        _loadWanted = false;
        _catalogBusy = true;
        _world.Run(new CheckpointLoadWork(_checkpointFiles, _catalog, checkpoint, (verdict, failure) =>
            Loaded(fetching, verdict, failure)));
        return true;
    }

    private void Loaded(CheckpointFetching fetching, CheckpointVerdict verdict, StorageException? failure)
    {
        _catalogBusy = false;
        _fetchedCheckpoint = null;
        switch (verdict)
        {
            case var _ when failure is not null:
                CatalogFailed(failure);
                break;
            case CheckpointVerdict.Loaded:
                Sometimes.Reached("feed-loads-a-checkpoint");
                Tell(NodeEventKind.Rebuilt, Self.Name, $"the catalog goes on behind the checkpoint at {fetching.Mark.Number}");
                CheckpointLoaded(fetching.Mark);
                break;
            case CheckpointVerdict.NotAhead:
                // The feed came as far by itself meanwhile.
                break;
            default:
                Tell(NodeEventKind.StorageTrouble, Self.Name, $"the checkpoint at {fetching.Mark.Number} can't be loaded: {verdict}");
                BeginFetch(_feed.Member.Advertised);
                break;
        }

        _feed.IsDirty = true;
    }

    /// <summary>What the catalog says is another state now: who keeps something of the old one learns of it.</summary>
    private void CheckpointLoaded(CheckpointMark mark)
    {
        int passed = 0;
        while (passed < _entries.Count && _entries[passed].Number <= mark.Number)
        {
            _entryBytes -= _entries[passed++].Submission?.Encoded.Length ?? 0;
        }

        _entries.RemoveRange(0, passed);
        while (_sessionStates.TryPeek(out (SequenceNumber Number, ReadOnlyMemory<byte> State) state) && state.Number <= mark.Number)
        {
            _sessionStates.Dequeue();
        }

        while (_checkpointsDue.TryPeek(out ulong due) && due <= mark.Number.Value)
        {
            _checkpointsDue.Dequeue();
        }

        Applied.Reset();
        _feed.Applied(mark.Number, _now.Now);
        _feed.Store.MadeDurable(mark.Number);
        LearnConfigurations();
        _feed.Member.Install(mark, Reader.Sessions().State, _now.Now);
        Exchange.CaughtUp(_now);
        _feed.Store.DropApplied(tag => Reader.Sequenced(tag).Verdict != Protocols.Submissions.FeedVerdict.None);
        if (Reader.Current(Protocols.Submissions.ObjectName.ServiceTable)?.Manifest is { } table && LearnTable(table))
        {
            SetTable();
        }

        LearnAllGroups();
        _listDeadline = _now.Now;
        Volatile.Write(ref _deliveredNumber, Math.Max(_deliveredNumber, mark.Number.Value));
        Feed.HasApplied(mark.Number);
    }
}
