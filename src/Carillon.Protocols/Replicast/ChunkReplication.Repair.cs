using System.Collections.Immutable;
using Carillon.Protocols.Cluster;

namespace Carillon.Protocols.Replicast;

/// <content>
/// Repair: each holder, at random intervals, shows each other server the digests of what that one should hold; where they differ the
/// inventories follow, and who
/// lacks a chunk fetches it. Stand-ins give up their copy once every designated server has shown that it can read its own.
/// </content>
public sealed partial class ChunkReplication
{
    private readonly SortedDictionary<NodeId, RepairPeer> _peers = [];
    private readonly Queue<(ChunkId Chunk, NodeId From)> _missing = new();
    private readonly HashSet<ChunkId> _wanted = [];
    private readonly Dictionary<ulong, HoldCheck> _holdChecks = [];
    private readonly Dictionary<ChunkId, List<(NodeId Asker, ulong Number)>> _verifying = [];
    private int _repairing;
    private Instant _nextRepair = Instant.Never;

    /// <summary>Copies of chunks held here of which it is not known that the server that should hold them does; those missing here
    /// included.</summary>
    public long UnderReplicated
    {
        get
        {
            long copies = _wanted.Count;
            foreach ((NodeId name, RepairPeer peer) in _peers)
            {
                copies += peer.InPlace is { } missing ? missing : Due(name);
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
        Want(chunk, default);
        FetchMissing(now);
    }

    private void AdvanceRepair(Moment now)
    {
        foreach ((NodeId name, RepairPeer peer) in _peers)
        {
            if (peer.CompareAt <= now.Now)
            {
                peer.CompareAt = now.Now + (_options.RepairInterval * (0.5 + _random.Fraction()));
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
    /// The lower of two servers' places in a row: chunks with more replicas than that belong on both, so their digests must be equal. (A
    /// copy kept as a
    /// stand-in is none of these; <see cref="AskToLetGo"/> brings it home.)
    /// </summary>
    private int CommonRank(int row, NodeId server)
    {
        int theirs = _table.RankOf(row, server);
        int own = _table.RankOf(row, _self);
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

    private void OnRowDigests(NodeId from, ChunkMessage message)
    {
        var rows = ImmutableArray.CreateBuilder<byte>();
        uint missing = 0;
        foreach (RowDigest theirs in message.Digests)
        {
            SetDigest own = _inventory.DigestOf(theirs.Row, theirs.Rank);
            if (own != theirs.Digest)
            {
                rows.Add(theirs.Row);
                missing += Math.Max(1, theirs.Digest.Count > own.Count ? theirs.Digest.Count - own.Count : 0);
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
        peer.InPlace = message.Rows.IsEmpty ? 0 : message.Missing;
        if (!message.Rows.IsEmpty)
        {
            peer.CompareAt = Instant.Min(peer.CompareAt, now.Now + TimeSpan.FromSeconds(1) + _random.Below(TimeSpan.FromSeconds(1)));
        }

        foreach (byte row in message.Rows)
        {
            SendInventory(from, row);
        }

        AskToLetGo(now);
    }

    private void SendInventory(NodeId to, byte row)
    {
        int rank = CommonRank(row, to);
        if (rank >= IChunkInventory.MaxReplicas)
        {
            return;
        }

        var after = new ChunkId(new Digest(row == 0 ? 0 : ((ulong)row << 56) - 1, ulong.MaxValue, ulong.MaxValue, ulong.MaxValue));
        after = row == 0 ? default : after;
        while (true)
        {
            IReadOnlyList<ChunkId> page = _inventory.From(after, ChunkMessage.MaxItems);
            var items = ImmutableArray.CreateBuilder<InventoryItem>();
            foreach (ChunkId chunk in page)
            {
                if (HashAllocationTable.RowOf(chunk) == row && _inventory.TryDescribe(chunk, out uint length, out int replicas)
                    && replicas > rank)
                {
                    items.Add(new InventoryItem(chunk, length, (byte)replicas));
                }
            }

            if (items.Count > 0)
            {
                Send(to, new ChunkMessage(ChunkMessageType.Inventory, ++_lastNumber) { Row = row, Items = items.ToImmutable() });
            }

            if (page.Count < ChunkMessage.MaxItems || HashAllocationTable.RowOf(page[^1]) != row)
            {
                return;
            }

            after = page[^1];
        }
    }

    private void OnInventory(NodeId from, ChunkMessage message, Moment now)
    {
        foreach (InventoryItem item in message.Items)
        {
            if (!_inventory.Contains(item.Chunk))
            {
                Want(item.Chunk, from);
            }
        }

        FetchMissing(now);
    }

    private void Want(ChunkId chunk, NodeId from)
    {
        if (_wanted.Count < _options.RepairQueue && _wanted.Add(chunk))
        {
            _missing.Enqueue((chunk, from));
        }
    }

    private void FetchMissing(Moment now)
    {
        while (_repairing < _options.RepairWindow && _missing.TryDequeue(out (ChunkId Chunk, NodeId From) next))
        {
            if (_inventory.Contains(next.Chunk))
            {
                _wanted.Remove(next.Chunk);
                continue;
            }

            _repairing++;
            Get(next.Chunk, next.From, now, came =>
            {
                _repairing--;
                _wanted.Remove(next.Chunk);
                if (came)
                {
                    Figures.Repairs++;
                }

                // The driver's next call goes on: the answer may come from deep inside another one.
                _nextRepair = default;
            });
        }
    }

    /// <summary>Offers up to a message's worth of copies that others should hold and this server should not.</summary>
    private void AskToLetGo(Moment now)
    {
        if (_holdChecks.Count > 0 || _inventory.Count == 0)
        {
            _holdChecks.Clear();
            return;
        }

        var extra = new SortedDictionary<NodeId, List<ChunkId>>();
        int found = 0;
        foreach (ChunkId chunk in _inventory.From(_letGoAfter, _options.CollectStep))
        {
            _letGoAfter = chunk;
            ImmutableArray<NodeId> row = _table.Row(HashAllocationTable.RowOf(chunk));
            _inventory.TryDescribe(chunk, out _, out int replicas);
            int rank = row.IndexOf(_self);
            if (rank >= 0 && rank < replicas || _inventory.HasIntent(chunk) || found >= 16)
            {
                continue;
            }

            found++;
            foreach (NodeId designated in row.Take(replicas))
            {
                extra.TryAdd(designated, []);
                extra[designated].Add(chunk);
            }
        }

        if (_inventory.From(_letGoAfter, 1).Count == 0)
        {
            _letGoAfter = default;
        }

        foreach ((NodeId designated, List<ChunkId> chunks) in extra)
        {
            if (_host.IsConnected(designated))
            {
                ulong number = ++_lastNumber;
                foreach (ChunkId chunk in chunks)
                {
                    _confirmed.Remove(chunk);
                }

                _holdChecks.Add(number, new HoldCheck(designated));
                Send(designated, new ChunkMessage(ChunkMessageType.HoldQuestion, number) { Chunks = [.. chunks] });
            }
        }
    }

    private readonly Dictionary<ChunkId, HashSet<NodeId>> _confirmed = [];
    private ChunkId _letGoAfter;

    /// <summary>"Held" means verified: each chunk is read back before it is vouched for.</summary>
    private void OnHoldQuestion(NodeId from, ChunkMessage message)
    {
        foreach (ChunkId chunk in message.Chunks.Take(16))
        {
            if (!_inventory.Contains(chunk))
            {
                Want(chunk, from);
                _nextRepair = default;
                continue;
            }

            if (!_verifying.TryGetValue(chunk, out List<(NodeId Asker, ulong Number)>? askers))
            {
                _verifying.Add(chunk, askers = []);
                _host.Scrub(chunk);
            }

            if (askers.Count < ClusterConfiguration.MaxServers)
            {
                askers.Add((from, message.Number));
            }
        }
    }

    private void OnHoldAnswer(NodeId from, ChunkMessage message)
    {
        if (!_holdChecks.TryGetValue(message.Number, out HoldCheck? check) || check.Server != from)
        {
            return;
        }

        foreach (ChunkId chunk in message.Chunks)
        {
            if (!_confirmed.TryGetValue(chunk, out HashSet<NodeId>? by))
            {
                _confirmed.Add(chunk, by = []);
            }

            by.Add(from);
            if (_inventory.TryDescribe(chunk, out _, out int replicas) && !_inventory.HasIntent(chunk)
                && _table.Row(HashAllocationTable.RowOf(chunk)).Take(replicas).All(by.Contains))
            {
                _confirmed.Remove(chunk);
                Figures.Collected++;
                _host.Drop(chunk);
            }
        }
    }

    /// <summary>What is known of another storage server.</summary>
    private sealed class RepairPeer
    {
        /// <summary>When it is compared with next; never while it is away.</summary>
        public Instant CompareAt { get; set; } = Instant.Never;

        /// <summary>Copies that it lacked at the last comparison in its present incarnation; null if there was none.</summary>
        public uint? InPlace { get; set; }
    }

    private sealed record HoldCheck(NodeId Server);
}
