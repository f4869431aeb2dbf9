using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Replicast;

/// <summary>
/// Keeps chunks on their servers (seed 004; 5-replicast.md): puts them on <c>replicas</c> servers and answers once <c>minimum</c> have
/// them durably, fetches what is not here, compares what others should hold with what they do, reads everything back in time, and deletes
/// what nothing refers to. Replication never ends: lost servers, new rows and interrupted puts all heal by the same comparison, and there
/// is no central list.
/// </summary>
/// <remarks>
/// Synchronous and single-threaded. The inventory tells what is durable here; acknowledgements leave only after that (the node's part).
/// Negotiation and transfer are behind <see cref="IChunkHost"/>. docs/protocols/chunks.md has states, invariants and defaults.
/// </remarks>
public sealed partial class ChunkReplication
{
    private readonly NodeId _self;
    private readonly ChunkReplicationOptions _options;
    private readonly RandomSource _random;
    private readonly IChunkInventory _inventory;
    private readonly IChunkHost _host;
    private readonly PriorityQueue<ulong, Instant> _timers = new();

    // Begins anywhere: an answer to a question of an earlier incarnation must not pass for one to a question of this one.
    private ulong _lastNumber;

    public ChunkReplication(
        ClusterConfiguration configuration, NodeId self, ChunkReplicationOptions options, RandomSource random, IChunkInventory inventory,
        IChunkHost host, Moment now)
    {
        _self = self;
        _options = options;
        _random = random;
        _inventory = inventory;
        _host = host;
        _lastNumber = random.Next() >> 1;
        Table = new HashAllocationTable(configuration);
        foreach (ServerRecord server in configuration.Servers.Where(s => s.Storage && s.Name != self))
        {
            _peers.Add(server.Name, new RepairPeer());
        }

        _nextScrub = now.Now + ScrubGap();
        _nextCollection = now.Now + options.CollectInterval;
        _nextLetGo = now.Now + LetGoGap;
        _nextIntentCheck = now.Now + IntentCheckGap;
    }

    /// <summary>Figures for metrics.</summary>
    public ChunkFigures Figures { get; } = new();

    /// <summary>Where chunks go.</summary>
    public HashAllocationTable Table { get; private set; }

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline
    {
        get
        {
            Instant next = _timers.TryPeek(out _, out Instant due) ? due : Instant.Never;
            next = Instant.Min(Instant.Min(next, NextRepair), Instant.Min(_nextLetGo, NextVerification));
            return Instant.Min(Instant.Min(next, _nextScrub), Instant.Min(_nextCollection, _nextIntentCheck));
        }
    }

    /// <summary>Another version of the configuration is in force: rows have other orders; what is missing in them is repaired.</summary>
    public void Reconfigure(ClusterConfiguration configuration, Moment now)
    {
        Table = new HashAllocationTable(configuration);
        foreach (NodeId gone in _peers.Keys.Where(p => configuration.Find(p) is not { Storage: true }).ToArray())
        {
            PeerDown(gone, now);
            _peers.Remove(gone);
        }

        foreach (ServerRecord server in configuration.Servers.Where(s => s.Storage && s.Name != _self))
        {
            _peers.TryAdd(server.Name, new RepairPeer());
        }
    }

    /// <summary>Time went on.</summary>
    public void Advance(Moment now)
    {
        while (_timers.TryPeek(out ulong number, out Instant due) && due <= now.Now)
        {
            _timers.Dequeue();
            if (_puts.TryGetValue(number, out ChunkPut? put))
            {
                TickPut(put, now);
            }
            else if (_gets.TryGetValue(number, out ChunkGet? get) && now.Now >= get.TryAt)
            {
                AskNext(get, now);
            }
        }

        AdvanceRepair(now);
        AdvanceLetGo(now);
        AdvanceVerification(now);
        AdvanceScrub(now);
        AdvanceCollection(now);
    }

    /// <summary>Reads a peer's message; false if it can't be read.</summary>
    public bool Receive(NodeId from, ReadOnlySpan<byte> bytes, Moment now)
    {
        if (!ChunkMessage.TryRead(bytes, out ChunkMessage message))
        {
            return false;
        }

        switch (message.Type)
        {
            case ChunkMessageType.PayloadAck:
                OnAck(from, message.Number, now);
                break;
            case ChunkMessageType.PayloadNak:
                OnNak(from, message.Number, message.Reason, now);
                break;
            case ChunkMessageType.Request:
                OnRequest(from, message.Number, message.Chunks[0]);
                break;
            case ChunkMessageType.NotHere:
                OnNotHere(from, message.Number, now);
                break;
            case ChunkMessageType.RowDigests:
                OnRowDigests(from, message, now);
                break;
            case ChunkMessageType.RowsDiffer:
                OnRowsDiffer(from, message, now);
                break;
            case ChunkMessageType.Inventory:
                OnInventory(from, message, now);
                break;
            case ChunkMessageType.HoldQuestion:
                OnHoldQuestion(from, message, now);
                break;
            default:
                OnHoldAnswer(from, message);
                break;
        }

        return true;
    }

    /// <summary>A server can be talked to: it is compared with soon, and puts that lack a server may use it.</summary>
    public void PeerUp(NodeId peer, Moment now)
    {
        if (_peers.TryGetValue(peer, out RepairPeer? known))
        {
            known.CompareAt = now.Now + _random.Below(TimeSpan.FromMilliseconds(500));
            known.Forget();
        }

        foreach (ChunkPut put in _puts.Values.ToArray())
        {
            AskMore(put, now);
        }
    }

    /// <summary>
    /// A server is away, or has begun a new incarnation: what was asked of it is asked of others. What it holds is not known until it is
    /// compared with and asked again (rule R3).
    /// </summary>
    public void PeerDown(NodeId peer, Moment now)
    {
        if (_peers.TryGetValue(peer, out RepairPeer? known))
        {
            known.CompareAt = _host.IsConnected(peer) ? known.CompareAt : Instant.Never;
            known.Forget();
        }

        ForgetConfirmations(peer);
        foreach (ChunkPut put in _puts.Values.ToArray())
        {
            GiveUp(put, peer, now);
        }

        foreach (ChunkGet get in _gets.Values.Where(g => g.Asked == peer).ToArray())
        {
            AskNext(get, now);
        }
    }

    private TimeSpan TransferTime(uint length) => TimeSpan.FromSeconds((double)length / _options.MinimumRate);

    private void Send(NodeId to, ChunkMessage message) =>
        _host.Send(to, message.Encode(), isBulky: message.Type is ChunkMessageType.Inventory);
}
