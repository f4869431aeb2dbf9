using Carillon.Protocols.Replicast;

namespace Carillon.Protocols.Tests.Replicast;

/// <summary>One server of a <see cref="ChunkLab"/>: a core, and the least node around it that does what a node must.</summary>
internal sealed class LabServer : IChunkHost
{
    private static readonly TimeSpan MessageTime = TimeSpan.FromMilliseconds(1);
    private static readonly TimeSpan DiskTime = TimeSpan.FromMilliseconds(5);

    private readonly ChunkLab _lab;
    private int _life;

    public LabServer(ChunkLab lab, NodeId name)
    {
        _lab = lab;
        Name = name;
        Core = null!;
        Restart();
    }

    public NodeId Name { get; }

    public ChunkReplication Core { get; private set; }

    public LabInventory Inventory { get; } = new();

    public HashSet<NodeId> Unreachable { get; } = [];

    public bool IsUp { get; set; }

    public bool IsFull { get; set; }

    /// <summary>True: takes everything and answers nothing, as a process that hangs.</summary>
    public bool IsSilent { get; set; }

    /// <summary>False: its index is stale.</summary>
    public bool IsFresh { get; set; } = true;

    public HashSet<Tag> DecidedTags { get; } = [];

    public bool CanStore => !IsFull;

    public bool MayCollect => IsFresh;

    public void Restart()
    {
        _life++;
        IsUp = true;
        Core = new ChunkReplication(_lab.Configuration, Name, _lab.Options, _lab.Random.Fork(), Inventory, this, _lab.Moment);
    }

    /// <summary>Begins a put; the answer is written as an effect and given to <paramref name="answer"/>.</summary>
    public void Put(ChunkId chunk, uint length, Tag tag, int replicas, int minimum, Action<ChunkPutResult>? answer = null)
    {
        ulong number = Core.Put(chunk, length, tag, replicas, minimum, _lab.Moment, result =>
        {
            Effect($"answers {result}");
            answer?.Invoke(result);
        });
        Core.StartPut(number, _lab.Moment);
    }

    public void Get(ChunkId chunk, Action<bool>? ended = null) => Core.Get(chunk, 0, default, _lab.Moment, came =>
    {
        Effect(came ? "has it" : "finds it nowhere");
        ended?.Invoke(came);
    });

    public bool IsConnected(NodeId server) => server != Name && _lab.AreConnected(this, _lab[server]);

    public void Send(NodeId to, ReadOnlyMemory<byte> message, bool isBulky)
    {
        ChunkMessage.TryRead(message.Span, out ChunkMessage read);
        if (read.Type is not (ChunkMessageType.RowDigests or ChunkMessageType.RowsDiffer))
        {
            Effect($"sends {Describe(read)} to {to}");
        }

        Deliver(to, MessageTime, peer => peer.Core.Receive(Name, message.Span, _lab.Moment));
    }

    public void StorePut(ulong put)
    {
        Core.TryDescribePut(put, out ChunkTransfer transfer);
        Effect("stores it");
        Store(transfer, refusal => Core.StoredHere(put, refusal, _lab.Moment));
    }

    public bool SendPut(ulong put, NodeId to, ChunkTransfer header)
    {
        Effect($"sends the chunk to {to}");
        Deliver(to, DiskTime, peer => peer.Store(header, refusal => peer.Send(
            Name,
            (refusal is { } reason
                ? new ChunkMessage(ChunkMessageType.PayloadNak, header.Transfer) { Reason = reason }
                : new ChunkMessage(ChunkMessageType.PayloadAck, header.Transfer)).Encode(),
            isBulky: false)));
        return true;
    }

    public bool SendStored(NodeId to, ChunkTransfer header)
    {
        if (Inventory.Rotten.Contains(header.Chunk))
        {
            Inventory.Remove(header.Chunk);
            Effect("finds its copy damaged");
            Core.Scrubbed(header.Chunk, isGood: false, _lab.Moment);
            return false;
        }

        Effect($"sends the chunk to {to}");
        Deliver(to, DiskTime, peer =>
        {
            int rank = peer.Core.Table.RankOf(HashAllocationTable.RowOf(header.Chunk), peer.Name);
            if (rank < header.Replicas && !peer.IsFull)
            {
                peer.Inventory.Store(header.Chunk, header.Length, header.Replicas, default);
                peer.Effect("stores it");
            }

            peer.Core.Arrived(header.Transfer, header.Chunk);
        });
        return true;
    }

    public void ReleasePut(ulong put) => Effect("lets go of the bytes");

    public void Scrub(ChunkId chunk) => After(DiskTime, () =>
    {
        bool isGood = Inventory.Contains(chunk) && !Inventory.Rotten.Contains(chunk);
        if (!isGood)
        {
            Inventory.Remove(chunk);
            Effect("finds its copy damaged");
        }

        Core.Scrubbed(chunk, isGood, _lab.Moment);
    });

    public void Drop(ChunkId chunk)
    {
        Effect("drops it");
        Inventory.Remove(chunk);
    }

    public bool IsReferenced(ChunkId chunk) => _lab.Referenced.Contains(chunk);

    public void ResolveIntents()
    {
        foreach (Tag tag in DecidedTags)
        {
            Inventory.EndIntents(tag);
        }
    }

    private static string Describe(ChunkMessage message) => message.Type switch
    {
        ChunkMessageType.PayloadNak => $"PayloadNak ({message.Reason})",
        ChunkMessageType.Inventory => $"Inventory of {message.Items.Length}",
        ChunkMessageType.HoldQuestion or ChunkMessageType.HoldAnswer => $"{message.Type} about {message.Chunks.Length}",
        _ => message.Type.ToString(),
    };

    private void Store(ChunkTransfer transfer, Action<NakReason?> then) => After(DiskTime, () =>
    {
        if (IsFull)
        {
            then(NakReason.Full);
            return;
        }

        Inventory.Rotten.Remove(transfer.Chunk);
        Inventory.Store(transfer.Chunk, transfer.Length, transfer.Replicas, transfer.Intent);
        then(null);
    });

    private void Effect(string text) => _lab.Effects?.Add($"{(_lab.Now.Ticks - 10_000_000) / 10_000} ms: {Name} {text}");

    private void Deliver(NodeId to, TimeSpan delay, Action<LabServer> arrive)
    {
        LabServer peer = _lab[to];
        int life = peer._life;
        if (!_lab.AreConnected(this, peer))
        {
            return;
        }

        _lab.After(delay, () =>
        {
            if (_lab.AreConnected(this, peer) && peer._life == life && !peer.IsSilent)
            {
                arrive(peer);
            }
        });
    }

    private void After(TimeSpan delay, Action action)
    {
        int life = _life;
        _lab.After(delay, () =>
        {
            if (IsUp && life == _life)
            {
                action();
            }
        });
    }
}
