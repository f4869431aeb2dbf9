using System.Collections.Immutable;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Cluster;
using Carillon.Protocols.Replicast;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;
using Carillon.Storage.Catalogs;

namespace Carillon.Node;

/// <content>
/// <c>explain</c>: what is known of a name here, and what each server says of its chunks. The others are asked once; who does not answer in
/// time is named as such.
/// </content>
public sealed partial class ServerNode
{
    /// <summary>The most chunks, of all versions together, whose copies <c>explain</c> asks about.</summary>
    private const int MaxExplainedChunks = 100;

    // Explanations under way at once: each holds what it found until the others answer.
    private const int MaxExplanations = 64;
    private static readonly TimeSpan ExplainTimeout = TimeSpan.FromSeconds(1);

    private readonly SortedDictionary<ulong, Explanation> _explaining = [];
    private ulong _explainNumber;

    private Instant ExplainDeadline => _explaining.Count == 0 ? Instant.Never : _explaining.Values.Min(e => e.Until);

    /// <summary>Everything known of a name: its open submissions first, then its kept versions.</summary>
    public void Explain(ObjectName name, Moment now, Action<ImmutableArray<ExplainedVersion>> answer)
    {
        _now = now;
        var explanation = new Explanation(answer, now.Now + ExplainTimeout);
        int replicas = Reader.Bucket(name.Bucket)?.Replicas ?? new BucketSettings().Replicas;
        foreach ((Tag tag, TagState state, uint round, VoterSet bits, Submission submission) in Exchange.OpenOf(name))
        {
            Operation operation = submission.Operations.First(o => o.Target == name);
            string word = state == TagState.Open ? "open" : "agreed";
            var version = new ExplainedVersion(tag.Uid, tag, operation.Kind, word, round, Vector(bits), []);
            Add(explanation, version, operation.Manifest, replicas);
        }

        foreach (VersionEntry kept in Reader.Versions(name))
        {
            if (!explanation.Versions.Exists(v => v.Tag == kept.Tag))
            {
                Add(explanation, new ExplainedVersion(kept.Uid, kept.Tag, kept.Kind, "applied", 0, [], []), kept.Manifest, replicas);
            }
        }

        AskForCopies(explanation);
    }

    private void Add(Explanation explanation, ExplainedVersion version, ObjectManifest? manifest, int replicas)
    {
        var chunks = ImmutableArray.CreateBuilder<ExplainedChunk>();
        foreach (ChunkReference chunk in manifest?.Chunks ?? [])
        {
            if (explanation.Chunks.Count == MaxExplainedChunks && !explanation.Chunks.Contains(chunk.Id))
            {
                break;
            }

            explanation.Chunks.Add(chunk.Id);
            ImmutableArray<NodeId> row = Replication.Table.Row(HashAllocationTable.RowOf(chunk.Id));
            chunks.Add(new ExplainedChunk(chunk.Id, row[..Math.Min(replicas, row.Length)], []));
        }

        explanation.Versions.Add(version with { Chunks = chunks.DrainToImmutable() });
    }

    private void AskForCopies(Explanation explanation)
    {
        explanation.Held[Self.Name] = [.. explanation.Chunks.Where(Chunks.Contains)];
        ulong number = ++_explainNumber;
        if (explanation.Chunks.Count > 0 && _explaining.Count < MaxExplanations)
        {
            byte[] question = new CopiesMessage(IsQuestion: true, number, [.. explanation.Chunks]).Encode();
            foreach (ServerRecord server in Configuration.Servers)
            {
                if (server.Name != Self.Name && Members.IsConnected(server.Name))
                {
                    explanation.Asked.Add(server.Name);
                    Post(server.Name, TrafficKind.Agreement, Protocol.Node, question, 0);
                }
            }
        }

        if (explanation.Asked.Count == 0)
        {
            Answer(explanation);
        }
        else
        {
            _explaining.Add(number, explanation);
        }
    }

    private bool ReceiveCopies(ServerIdentity from, ReadOnlySpan<byte> payload)
    {
        if (!CopiesMessage.TryRead(payload, out CopiesMessage message))
        {
            return false;
        }

        if (message.IsQuestion)
        {
            ImmutableArray<ChunkId> here = [.. message.Chunks.Where(Chunks.Contains)];
            Post(from.Name, TrafficKind.Agreement, Protocol.Node, new CopiesMessage(IsQuestion: false, message.Number, here).Encode(), 0);
        }
        else if (_explaining.TryGetValue(message.Number, out Explanation? explanation) && explanation.Asked.Contains(from.Name))
        {
            explanation.Held[from.Name] = [.. message.Chunks];
            if (explanation.Asked.All(explanation.Held.ContainsKey))
            {
                _explaining.Remove(message.Number);
                Answer(explanation);
            }
        }

        return true;
    }

    private void AdvanceExplanations(Moment now)
    {
        if (ExplainDeadline > now.Now)
        {
            return;
        }

        foreach ((ulong number, Explanation overdue) in _explaining.Where(entry => entry.Value.Until <= now.Now).ToArray())
        {
            _explaining.Remove(number);
            Answer(overdue);
        }
    }

    private void Answer(Explanation explanation) => explanation.Then(
    [
        .. explanation.Versions.Select(version => version with
        {
            Chunks = [.. version.Chunks.Select(chunk => chunk with { Copies = CopiesOf(explanation, chunk) })],
        }),
    ]);

    // A server that should not have the chunk and does not is no news.
    private ImmutableArray<(NodeId Server, CopyState State)> CopiesOf(Explanation explanation, ExplainedChunk chunk)
    {
        var copies = ImmutableArray.CreateBuilder<(NodeId, CopyState)>();
        foreach (ServerRecord server in Configuration.Servers)
        {
            CopyState state = !explanation.Held.TryGetValue(server.Name, out HashSet<ChunkId>? held)
                ? explanation.Asked.Contains(server.Name) ? CopyState.Silent : CopyState.NotReachable
                : held.Contains(chunk.Chunk) ? CopyState.Held : CopyState.Absent;
            if (state == CopyState.Held || chunk.Designated.Contains(server.Name))
            {
                copies.Add((server.Name, state));
            }
        }

        return copies.ToImmutable();
    }

    /// <summary>An explanation that waits for other servers.</summary>
    private sealed class Explanation(Action<ImmutableArray<ExplainedVersion>> then, Instant until)
    {
        public Action<ImmutableArray<ExplainedVersion>> Then { get; } = then;

        public Instant Until { get; } = until;

        public List<ExplainedVersion> Versions { get; } = [];

        /// <summary>What is asked about.</summary>
        public SortedSet<ChunkId> Chunks { get; } = [];

        public SortedSet<NodeId> Asked { get; } = [];

        /// <summary>What each server that answered has, this one included.</summary>
        public SortedDictionary<NodeId, HashSet<ChunkId>> Held { get; } = [];
    }
}
