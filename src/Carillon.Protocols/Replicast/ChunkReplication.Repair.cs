using System.Collections.Immutable;

namespace Carillon.Protocols.Replicast;

/// <content>
/// Repair: each holder, at random intervals, shows each other server the digests of what both should hold; where they differ the
/// inventories follow, and who lacks a chunk fetches it. Nobody fetches what it knows to be unreferenced: what one server collected
/// must not come back from the next.
/// </content>
public sealed partial class ChunkReplication
{
    private readonly SortedDictionary<NodeId, RepairPeer> _peers = [];
    private readonly Queue<Shortfall> _missing = new();
    private readonly HashSet<ChunkId> _wanted = [];
    private int _repairing;
    private Instant _nextRepair = Instant.Never;

    // Fetches are paid for in advance at RepairRate; a second may be saved up.
    private Instant _paidUntil;

    /// <summary>
    /// Copies of chunks held here of which it is not known that the server that should hold them does; those missing here included.
    /// </summary>
    public long UnderReplicated
    {
        get
        {
            long copies = _wanted.Count;
            foreach ((NodeId name, RepairPeer peer) in _peers)
            {
                copies += peer.Missing is { } missing ? missing : Due(name);
            }

            return copies;
        }
    }

    private Instant NextRepair
    {
        get
        {
            Instant next = _nextRepair;
            foreach (RepairPeer peer in _peers.Values)
            {
                next = Instant.Min(next, peer.CompareAt);
            }

            return next;
        }
    }

    /// <summary>A chunk is known to be missing here (its copy was found bad): it is fetched again.</summary>
    public void Lost(ChunkId chunk, Moment now)
    {
        if (IsMissing(chunk, _host.MayCollect))
        {
            Want(new Shortfall(chunk, 0, default));
            FetchMissing(now);
        }
    }

    private void AdvanceRepair(Moment now)
    {
        foreach ((NodeId name, RepairPeer peer) in _peers)
        {
            if (peer.CompareAt <= now.Now)
            {
                double share = Buggify.Here("repair-hurried", 0.3) ? 0.02 : 0.5 + _random.Fraction();
                peer.CompareAt = now.Now + (_options.RepairInterval * share);
                if (_host.IsConnected(name))
                {
                    Send(name, new ChunkMessage(ChunkMessageType.RowDigests, ++_lastNumber) { Digests = DigestsFor(name) });
                }
            }
        }

        if (_nextRepair <= now.Now)
        {
            _nextRepair = Instant.Never;
            FetchMissing(now);
        }
    }

    /// <summary>What a server should hold of what is here, row by row.</summary>
    private ImmutableArray<RowDigest> DigestsFor(NodeId server)
    {
        var digests = ImmutableArray.CreateBuilder<RowDigest>();
        for (int row = 0; row < IChunkInventory.Rows; row++)
        {
            int rank = CommonRank(row, server);
            if (rank < IChunkInventory.MaxReplicas)
            {
                digests.Add(new RowDigest((byte)row, (byte)rank, _inventory.DigestOf(row, rank)));
            }
        }

        return digests.ToImmutable();
    }

    /// <summary>
    /// The greater of two servers' places in a row: chunks with more replicas than that belong on both, so their digests must be equal. (A
    /// copy kept as a stand-in is none of these; <see cref="AdvanceLetGo"/> brings it home.)
    /// </summary>
    private int CommonRank(int row, NodeId server)
    {
        int theirs = Table.RankOf(row, server);
        int own = Table.RankOf(row, _self);
        return theirs < 0 || own < 0 ? int.MaxValue : Math.Max(theirs, own);
    }

    private long Due(NodeId server)
    {
        long due = 0;
        for (int row = 0; row < IChunkInventory.Rows; row++)
        {
            int rank = CommonRank(row, server);
            due += rank < IChunkInventory.MaxReplicas ? _inventory.DigestOf(row, rank).Count : 0;
        }

        return due;
    }

    private void OnRowDigests(NodeId from, ChunkMessage message, Moment now)
    {
        if (!_peers.TryGetValue(from, out RepairPeer? peer))
        {
            return;
        }

        // Begun anywhere, so that a server that is far behind is not shown the same first rows each time.
        int start = message.Digests.Length == 0 ? 0 : _random.Below(message.Digests.Length);
        long room = _host.CanStore ? _options.RepairQueue - _wanted.Count : 0;
        var rows = ImmutableArray.CreateBuilder<byte>();
        uint missing = 0;
        for (int i = 0; i < message.Digests.Length; i++)
        {
            RowDigest theirs = message.Digests[(start + i) % message.Digests.Length];
            SetDigest own = _inventory.DigestOf(theirs.Row, theirs.Rank);
            if (own == theirs.Digest)
            {
                continue;
            }

            uint differing = Math.Max(1, theirs.Digest.Count > own.Count ? theirs.Digest.Count - own.Count : 0);
            bool isSettled = peer.Settled.TryGetValue(theirs.Row, out SettledRow known)
                && known.Theirs == theirs.Digest && known.Own == own;
            if (isSettled && known.Until > now.Now)
            {
                continue;
            }

            missing += isSettled ? 0 : differing;
            room -= differing;
            if (rows.Count < _options.RowsPerComparison && room >= 0)
            {
                rows.Add(theirs.Row);
            }
        }

        Send(from, new ChunkMessage(ChunkMessageType.RowsDiffer, message.Number) { Missing = missing, Rows = rows.ToImmutable() });
    }

    private void OnRowsDiffer(NodeId from, ChunkMessage message, Moment now)
    {
        if (!_peers.TryGetValue(from, out RepairPeer? peer))
        {
            return;
        }

        // A row may differ because the other holds more: then its own comparison with this server brings that here.
        peer.Missing = message.Missing;
        if (message.Missing > 0)
        {
            peer.CompareAt = Instant.Min(peer.CompareAt, now.Now + (_options.RepairInterval * (0.1 + (0.1 * _random.Fraction()))));
        }

        int room = _options.RepairQueue;
        foreach (byte row in message.Rows)
        {
            room -= SendInventory(from, row, room);
        }
    }

    /// <summary>Lists a row's chunks that the receiver should hold; returns how many.</summary>
    private int SendInventory(NodeId to, byte row, int room)
    {
        int rank = CommonRank(row, to);
        if (rank >= IChunkInventory.MaxReplicas)
        {
            return 0;
        }

        int sent = 0;
        const ulong Last = ulong.MaxValue;
        ChunkId after = row == 0 ? default : new ChunkId(new Digest(((ulong)row << 56) - 1, Last, Last, Last));
        while (sent < room)
        {
            IReadOnlyList<ChunkId> page = _inventory.From(after, Math.Min(ChunkMessage.MaxItems, room - sent));
            var items = ImmutableArray.CreateBuilder<InventoryItem>();
            foreach (ChunkId chunk in page)
            {
                if (HashAllocationTable.RowOf(chunk) == row
                    && _inventory.TryDescribe(chunk, out uint length, out int replicas) && replicas > rank)
                {
                    items.Add(new InventoryItem(chunk, length, (byte)replicas));
                }
            }

            bool isLast = page.Count == 0 || HashAllocationTable.RowOf(page[^1]) != row || _inventory.From(page[^1], 1).Count == 0;
            Send(to, new ChunkMessage(ChunkMessageType.Inventory, ++_lastNumber)
            {
                Row = row, Digest = _inventory.DigestOf(row, rank), IsLast = isLast, Items = items.ToImmutable(),
            });
            sent += Math.Max(1, items.Count);
            if (isLast)
            {
                break;
            }

            after = page[^1];
        }

        return sent;
    }

    private void OnInventory(NodeId from, ChunkMessage message, Moment now)
    {
        if (!_peers.TryGetValue(from, out RepairPeer? peer))
        {
            return;
        }

        if (peer.InventoryRow != message.Row)
        {
            (peer.InventoryRow, peer.InventoryLacks) = (message.Row, false);
        }

        bool knowsReferences = _host.MayCollect;
        foreach (InventoryItem item in message.Items)
        {
            if (IsDesignated(_self, item.Chunk, item.Replicas) && IsMissing(item.Chunk, knowsReferences))
            {
                peer.InventoryLacks = true;
                Want(new Shortfall(item.Chunk, item.Length, from));
            }
        }

        if (message.IsLast)
        {
            int rank = CommonRank(message.Row, from);
            peer.InventoryRow = -1;
            if (!peer.InventoryLacks && rank < IChunkInventory.MaxReplicas)
            {
                Instant until = now.Now + (3 * _options.RepairInterval);
                peer.Settled[message.Row] = new SettledRow(message.Digest, _inventory.DigestOf(message.Row, rank), until);
            }
        }

        FetchMissing(now);
    }

    private bool IsDesignated(NodeId server, ChunkId chunk, int replicas) =>
        Table.RankOf(HashAllocationTable.RowOf(chunk), server) is var rank && rank >= 0 && rank < replicas;

    /// <summary>True for a chunk that is not here and may be wanted. What this server would collect, it does not fetch (rule R2).</summary>
    private bool IsMissing(ChunkId chunk, bool knowsReferences) =>
        !_inventory.Contains(chunk) && (!knowsReferences || _host.IsReferenced(chunk) || _inventory.HasIntent(chunk));

    private void Want(Shortfall shortfall)
    {
        if (_wanted.Count < _options.RepairQueue && _wanted.Add(shortfall.Chunk))
        {
            _missing.Enqueue(shortfall);
        }
    }

    private void FetchMissing(Moment now)
    {
        while (_repairing < _options.RepairWindow && _missing.TryPeek(out Shortfall next))
        {
            if (_inventory.Contains(next.Chunk) || !_host.CanStore)
            {
                _missing.Dequeue();
                _wanted.Remove(next.Chunk);
                continue;
            }

            if (_paidUntil > now.Now)
            {
                _nextRepair = _paidUntil;
                return;
            }

            _missing.Dequeue();
            uint length = next.Length == 0 ? UsualLength : next.Length;
            _paidUntil = Later(_paidUntil, now.Now - TimeSpan.FromSeconds(1)) + TimeSpan.FromSeconds((double)length / _options.RepairRate);
            _repairing++;
            Get(next.Chunk, next.Length, next.From, now, came =>
            {
                _repairing--;
                _wanted.Remove(next.Chunk);
                if (came)
                {
                    Sometimes.Reached("chunk-repaired");
                    Figures.Repairs++;
                }

                // The driver's next call goes on: the answer may come from deep inside another one.
                _nextRepair = default;
            });
        }
    }

    private static Instant Later(Instant a, Instant b) => a > b ? a : b;

    /// <summary>A chunk that is missing here, and a server that has it.</summary>
    private readonly record struct Shortfall(ChunkId Chunk, uint Length, NodeId From);

    /// <summary>
    /// Both digests of a row that differed by nothing that is wanted here: while they stay as they are, the difference is chunks that
    /// one of the two has collected already. Looked at again from time to time: a reference may have come to be known.
    /// </summary>
    private readonly record struct SettledRow(SetDigest Theirs, SetDigest Own, Instant Until);

    /// <summary>What is known of another storage server.</summary>
    private sealed class RepairPeer
    {
        /// <summary>When it is compared with next; never while it is away.</summary>
        public Instant CompareAt { get; set; } = Instant.Never;

        /// <summary>Copies that it lacked at the last comparison in its present incarnation; null if there was none.</summary>
        public uint? Missing { get; set; }

        /// <summary>Rows whose inventories named nothing that is wanted here.</summary>
        public Dictionary<byte, SettledRow> Settled { get; } = [];

        /// <summary>The row whose inventory is coming in; -1 between two.</summary>
        public int InventoryRow { get; set; } = -1;

        /// <summary>True if that inventory named a chunk that is wanted here.</summary>
        public bool InventoryLacks { get; set; }

        public void Forget()
        {
            Missing = null;
            Settled.Clear();
            InventoryRow = -1;
        }
    }
}
