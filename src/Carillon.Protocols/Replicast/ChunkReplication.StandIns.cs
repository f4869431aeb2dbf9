using System.Collections.Immutable;

namespace Carillon.Protocols.Replicast;

/// <content>
/// Stand-ins: a server that keeps a copy in another's place gives it up only after every designated server has answered that it has its
/// own, read back and verified (rule R3). A designated server that is asked for a chunk it lacks fetches it.
/// </content>
public sealed partial class ChunkReplication
{
    private readonly SortedDictionary<ChunkId, LetGo> _lettingGo = [];
    private ChunkId _letGoAfter;
    private Instant _nextLetGo;

    private TimeSpan LetGoGap => _options.RepairInterval / 4;

    private void AdvanceLetGo(Moment now)
    {
        if (_nextLetGo > now.Now)
        {
            return;
        }

        _nextLetGo = now.Now + LetGoGap;
        foreach (ChunkId overdue in _lettingGo.Where(entry => entry.Value.Until <= now.Now).Select(entry => entry.Key).ToArray())
        {
            _lettingGo.Remove(overdue);
        }

        var questions = new SortedDictionary<NodeId, List<ChunkId>>();
        IReadOnlyList<ChunkId> step = _inventory.From(_letGoAfter, ChunkMessage.MaxItems);
        _letGoAfter = step.Count < ChunkMessage.MaxItems ? default : step[^1];
        foreach (ChunkId chunk in step)
        {
            if (_lettingGo.Count >= _options.LetGoWindow)
            {
                _letGoAfter = chunk;
                break;
            }

            if (!_lettingGo.ContainsKey(chunk) && IsStandIn(chunk, out ImmutableArray<NodeId> designated)
                && designated.All(_host.IsConnected))
            {
                _lettingGo.Add(chunk, new LetGo(designated, now.Now + _options.VerifyTimeout));
                Ask(questions, chunk, designated);
            }
        }

        foreach ((NodeId designated, List<ChunkId> chunks) in questions)
        {
            Send(designated, new ChunkMessage(ChunkMessageType.HoldQuestion, ++_lastNumber) { Chunks = [.. chunks] });
        }
    }

    private static void Ask(SortedDictionary<NodeId, List<ChunkId>> questions, ChunkId chunk, ImmutableArray<NodeId> designated)
    {
        foreach (NodeId server in designated)
        {
            questions.TryAdd(server, []);
            questions[server].Add(chunk);
        }
    }

    /// <summary>True if this server is not designated for a chunk that it holds, and no open put-intent asks it to keep it.</summary>
    private bool IsStandIn(ChunkId chunk, out ImmutableArray<NodeId> designated)
    {
        designated = [];
        if (!_inventory.TryDescribe(chunk, out _, out int replicas) || _inventory.HasIntent(chunk) || IsDesignated(_self, chunk, replicas))
        {
            return false;
        }

        ImmutableArray<NodeId> row = Table.Row(HashAllocationTable.RowOf(chunk));
        designated = row[..Math.Min(replicas, row.Length)];
        return true;
    }

    /// <summary>"Held" means verified: each chunk is read back before it is vouched for.</summary>
    private void OnHoldQuestion(NodeId from, ChunkMessage message, Moment now)
    {
        bool knowsReferences = _host.MayCollect;
        foreach (ChunkId chunk in message.Chunks)
        {
            if (!_inventory.Contains(chunk))
            {
                if (IsMissing(chunk, knowsReferences))
                {
                    Want(new Shortfall(chunk, 0, from));
                }

                continue;
            }

            Verify(chunk, now, isGood =>
            {
                if (isGood)
                {
                    Send(from, new ChunkMessage(ChunkMessageType.HoldAnswer, message.Number) { Chunks = [chunk] });
                }
            });
        }

        FetchMissing(now);
    }

    private void OnHoldAnswer(NodeId from, ChunkMessage message)
    {
        foreach (ChunkId chunk in message.Chunks)
        {
            if (!_lettingGo.TryGetValue(chunk, out LetGo? entry) || !entry.Designated.Contains(from))
            {
                continue;
            }

            entry.Confirmed.Add(from);
            if (entry.Confirmed.Count == entry.Designated.Length)
            {
                _lettingGo.Remove(chunk);
                if (IsStandIn(chunk, out ImmutableArray<NodeId> designated) && designated.All(entry.Confirmed.Contains))
                {
                    Sometimes.Reached("stand-in-let-go");
                    Figures.LetGo++;
                    _host.Drop(chunk);
                }
            }
        }
    }

    // What it said as another incarnation, or before it was away, says nothing about now.
    private void ForgetConfirmations(NodeId peer)
    {
        foreach (ChunkId chunk in _lettingGo.Where(entry => entry.Value.Designated.Contains(peer)).Select(entry => entry.Key).ToArray())
        {
            _lettingGo.Remove(chunk);
        }
    }

    /// <summary>A stand-in copy whose designated servers have been asked.</summary>
    private sealed class LetGo(ImmutableArray<NodeId> designated, Instant until)
    {
        public ImmutableArray<NodeId> Designated { get; } = designated;

        public Instant Until { get; } = until;

        public HashSet<NodeId> Confirmed { get; } = [];
    }
}
