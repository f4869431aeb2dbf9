using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Replicast;

/// <summary>
/// Keeps chunks on their servers (seed 004; 5-replicast.md): puts them on <c>replicas</c> servers and answers once <c>minimum</c> have them
/// durably, fetches what is not
/// here, compares what others should hold with what they do, reads everything back in time, and deletes what nothing refers to. Replication
/// never ends: lost servers,
/// new rows and interrupted puts all heal by the same comparison, and there is no central list.
/// </summary>
/// <remarks>
/// Synchronous and single-threaded. The inventory tells what is durable here; acknowledgements leave only after that (the node's part).
/// Negotiation and transfer are
/// behind <see cref="IChunkHost"/>.
/// </remarks>
public sealed partial class ChunkReplication
{
    private readonly NodeId _self;
    private readonly ChunkReplicationOptions _options;
    private readonly RandomSource _random;
    private readonly IChunkInventory _inventory;
    private readonly IChunkHost _host;
    private readonly HashAllocationTable _table;
    private readonly ClusterConfiguration _configuration;
    private readonly PriorityQueue<ulong, Instant> _timers = new();
    private ulong _lastNumber;

    public ChunkReplication(
        ClusterConfiguration configuration, NodeId self, ChunkReplicationOptions options, RandomSource random, IChunkInventory inventory,
            IChunkHost host,
        Moment now)
    {
        _configuration = configuration;
        _self = self;
        _options = options;
        _random = random;
        _inventory = inventory;
        _host = host;
        _table = new HashAllocationTable(configuration);
        foreach (ServerRecord server in configuration.Servers.Where(s => s.Storage && s.Name != self))
        {
            _peers.Add(server.Name, new RepairPeer());
        }

        _nextScrub = now.Now + ScrubGap();
        _nextCollection = now.Now + options.CollectInterval;
    }

    /// <summary>Figures for metrics.</summary>
    public ChunkFigures Figures { get; } = new();

    /// <summary>Where chunks go.</summary>
    public HashAllocationTable Table => _table;

    /// <summary>When <see cref="Advance"/> is to be called next.</summary>
    public Instant NextDeadline
    {
        get
        {
            Instant next = _timers.TryPeek(out _, out Instant due) ? due : Instant.Never;
            return Instant.Min(Instant.Min(next, NextRepair), Instant.Min(_nextScrub, _nextCollection));
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
                OnRowDigests(from, message);
                break;
            case ChunkMessageType.RowsDiffer:
                OnRowsDiffer(from, message, now);
                break;
            case ChunkMessageType.Inventory:
                OnInventory(from, message, now);
                break;
            case ChunkMessageType.HoldQuestion:
                OnHoldQuestion(from, message);
                break;
            default:
                OnHoldAnswer(from, message);
                break;
        }

        return true;
    }

    /// <summary>A server can be talked to: it is compared with soon.</summary>
    public void PeerUp(NodeId peer, Moment now)
    {
        if (_peers.TryGetValue(peer, out RepairPeer? known))
        {
            known.CompareAt = now.Now + _random.Below(TimeSpan.FromMilliseconds(500));
        }
    }

    /// <summary>A server is away: what was asked of it is asked of others. What it holds is not known until it is compared with
    /// again.</summary>
    public void PeerDown(NodeId peer, Moment now)
    {
        if (_peers.TryGetValue(peer, out RepairPeer? known))
        {
            known.CompareAt = Instant.Never;
            known.InPlace = null;
        }

        foreach (ChunkPut put in _puts.Values.ToArray())
        {
            if (put.Asked.Contains(peer) && !put.Holders.Contains(peer))
            {
                GoOn(put, peer, now);
            }
        }

        foreach (ChunkGet get in _gets.Values.Where(g => g.Asked == peer).ToArray())
        {
            AskNext(get, now);
        }
    }

    private TimeSpan TransferTime(uint length) => TimeSpan.FromSeconds((double)length / _options.MinimumRate);

    private void Send(NodeId to, ChunkMessage message) => _host.Send(to, message.Encode());
}
