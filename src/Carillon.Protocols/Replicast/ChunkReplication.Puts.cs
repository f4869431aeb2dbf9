namespace Carillon.Protocols.Replicast;

/// <content>Puts: which servers a chunk goes to, and when enough of them have it.</content>
public sealed partial class ChunkReplication
{
    private readonly SortedDictionary<ulong, ChunkPut> _puts = [];

    /// <summary>What became of a copy that a put asked a server to store.</summary>
    private enum CopyState
    {
        /// <summary>The server was sent the chunk.</summary>
        Asked,

        /// <summary>It has been silent for so long that another one was asked as well; its acknowledgement still counts.</summary>
        Overdue,

        /// <summary>It has the chunk durably.</summary>
        Stored,

        /// <summary>It refused, failed or went away.</summary>
        GivenUp,
    }

    /// <summary>Puts that have not ended.</summary>
    public int PutsUnderWay => _puts.Count;

    /// <summary>
    /// Puts a chunk on <paramref name="replicas"/> servers under a put-intent of <paramref name="tag"/>; answers once
    /// <paramref name="minimum"/> have it durably, and goes on to the rest behind the answer. Begins with <see cref="StartPut"/>.
    /// </summary>
    /// <returns>The put's number, by which the host knows its bytes.</returns>
    public ulong Put(ChunkId chunk, uint length, Tag tag, int replicas, int minimum, Moment now, Action<ChunkPutResult> answer)
    {
        minimum = Math.Clamp(minimum, 1, IChunkInventory.MaxReplicas);
        replicas = Math.Clamp(replicas, minimum, IChunkInventory.MaxReplicas);
        Instant deadline = now.Now + _options.PutTimeout + TransferTime(length);
        var put = new ChunkPut(++_lastNumber, chunk, length, tag, replicas, minimum, deadline, answer);
        _puts.Add(put.Number, put);
        _timers.Enqueue(put.Number, put.Deadline);
        return put.Number;
    }

    /// <summary>
    /// Begins the transfers of a put; called when the host has its bytes at hand. The answer may come before this returns.
    /// </summary>
    public void StartPut(ulong number, Moment now)
    {
        if (!_puts.TryGetValue(number, out ChunkPut? put))
        {
            return;
        }

        if (_puts.Count > _options.MaxPuts)
        {
            EndPut(put, ChunkPutResult.Busy);
            return;
        }

        AskMore(put, now);
    }

    /// <summary>What a put stores; false once it has ended.</summary>
    public bool TryDescribePut(ulong number, out ChunkTransfer transfer)
    {
        bool found = _puts.TryGetValue(number, out ChunkPut? put);
        transfer = found ? put!.Header : default;
        return found;
    }

    /// <summary>This server's own copy of a put is durable, or was refused.</summary>
    public void StoredHere(ulong number, NakReason? refusal, Moment now)
    {
        if (refusal is { } reason)
        {
            OnNak(_self, number, reason, now);
        }
        else
        {
            OnAck(_self, number, now);
        }
    }

    private void OnAck(NodeId from, ulong number, Moment now)
    {
        if (!_puts.TryGetValue(number, out ChunkPut? put) || put.Find(from) is not { } copy)
        {
            return;
        }

        put.Acknowledgements++;
        copy.State = CopyState.Stored;
        AskMore(put, now);
    }

    private void OnNak(NodeId from, ulong number, NakReason reason, Moment now)
    {
        if (_puts.TryGetValue(number, out ChunkPut? put))
        {
            put.SawFull |= reason == NakReason.Full;
            GiveUp(put, from, now);
        }
    }

    /// <summary>A server is out of the question for a put: the next in the row stands in.</summary>
    private void GiveUp(ChunkPut put, NodeId without, Moment now)
    {
        if (put.Find(without) is { State: CopyState.Asked or CopyState.Overdue } copy)
        {
            copy.State = CopyState.GivenUp;
            AskMore(put, now);
        }
    }

    private void TickPut(ChunkPut put, Moment now)
    {
        if (now.Now >= put.Deadline)
        {
            EndPut(put, ChunkPutResult.TimedOut);
            return;
        }

        if (put.IsAnswered)
        {
            return;
        }

        foreach (PutCopy copy in put.Copies)
        {
            if (copy.State == CopyState.Asked && copy.OverdueAt <= now.Now)
            {
                Sometimes.Reached("stand-in-asked");
                copy.State = CopyState.Overdue;
            }
        }

        AskMore(put, now);
    }

    /// <summary>Sends to as many servers as copies are still wanted, and judges what there is.</summary>
    private void AskMore(ChunkPut put, Moment now)
    {
        if (!_puts.ContainsKey(put.Number))
        {
            return;
        }

        while (NextServer(put, out bool isNewDomain) is { IsNone: false } server && IsWanted(put, isNewDomain))
        {
            var copy = new PutCopy(server, now.Now + _options.StandInAfter + TransferTime(put.Length));
            put.Copies.Add(copy);
            if (server == _self)
            {
                _host.StorePut(put.Number);
            }
            else if (!Buggify.Here("chunk-put-not-queued", 0.1) && _host.SendPut(put.Number, server, put.Header))
            {
                _timers.Enqueue(put.Number, copy.OverdueAt);
            }
            else
            {
                copy.State = CopyState.GivenUp;
            }
        }

        Judge(put);
    }

    // One more copy, where replicas are still wanted; or beyond those, where enough servers have it, but not in enough domains.
    private bool IsWanted(ChunkPut put, bool isNewDomain) =>
        put.Count(CopyState.Stored) + put.Count(CopyState.Asked) < put.Replicas
        || (isNewDomain && !put.IsAnswered && put.Count(CopyState.Asked) == 0 && !IsEnough(put));

    /// <summary>
    /// The next server to ask: the first of the row that is connected, was not asked yet and is in a failure domain without a copy; where
    /// there is none such, the first of the others.
    /// </summary>
    private NodeId NextServer(ChunkPut put, out bool isNewDomain)
    {
        NodeId second = default;
        isNewDomain = true;
        foreach (NodeId server in Table.Row(HashAllocationTable.RowOf(put.Chunk)))
        {
            bool wasAsked = put.Find(server) is not null && !SeededBug.Is("chunk-count-nondistinct-servers");
            if (wasAsked || (server != _self && !_host.IsConnected(server)))
            {
                continue;
            }

            int domain = Table.DomainOf(server);
            if (!put.Copies.Exists(copy => copy.State != CopyState.GivenUp && Table.DomainOf(copy.Server) == domain)
                || SeededBug.Is("chunk-count-nondistinct-servers"))
            {
                return server;
            }

            second = second.IsNone ? server : second;
        }

        isNewDomain = false;
        return second;
    }

    private void Judge(ChunkPut put)
    {
        int stored = put.Count(CopyState.Stored);
        int underWay = put.Count(CopyState.Asked) + put.Count(CopyState.Overdue);
        if (!put.IsAnswered && IsEnough(put))
        {
            Figures.Puts++;
            Figures.PutBytes += put.Length;
            put.Answer(ChunkPutResult.Stored);
        }

        if (stored >= put.Replicas && put.IsAnswered)
        {
            EndPut(put, ChunkPutResult.Stored);
        }
        else if (underWay == 0)
        {
            // Nobody is left to ask.
            EndPut(put, put.SawFull ? ChunkPutResult.Full : ChunkPutResult.TooFewServers);
        }
    }

    /// <summary>
    /// True if <c>minimum</c> distinct servers have the chunk durably, in as many failure domains as can be had now (invariant C1): a
    /// domain that is away as a whole must not stop puts that the others can keep.
    /// </summary>
    private bool IsEnough(ChunkPut put)
    {
        if (SeededBug.Is("chunk-count-nondistinct-servers"))
        {
            return put.Acknowledgements >= put.Minimum;
        }

        if (put.Count(CopyState.Stored) < put.Minimum)
        {
            return false;
        }

        var used = new HashSet<int>();
        var reachable = new HashSet<int>();
        foreach (NodeId server in Table.Row(HashAllocationTable.RowOf(put.Chunk)))
        {
            CopyState? state = put.Find(server)?.State;
            if (state == CopyState.Stored)
            {
                used.Add(Table.DomainOf(server));
            }

            if (state == CopyState.Stored || (state != CopyState.GivenUp && (server == _self || _host.IsConnected(server))))
            {
                reachable.Add(Table.DomainOf(server));
            }
        }

        return used.Count >= Math.Min(put.Minimum, reachable.Count);
    }

    private void EndPut(ChunkPut put, ChunkPutResult result)
    {
        if (!_puts.Remove(put.Number))
        {
            return;
        }

        if (!put.IsAnswered)
        {
            Figures.FailedPuts++;
            put.Answer(result);
        }

        _host.ReleasePut(put.Number);
    }

    /// <summary>One server's part in a put.</summary>
    private sealed class PutCopy(NodeId server, Instant overdueAt)
    {
        public NodeId Server { get; } = server;

        public Instant OverdueAt { get; } = overdueAt;

        public CopyState State { get; set; } = CopyState.Asked;
    }

    /// <summary>One put on its way.</summary>
    private sealed class ChunkPut(
        ulong number, ChunkId chunk, uint length, Tag tag, int replicas, int minimum, Instant deadline, Action<ChunkPutResult> answer)
    {
        public ulong Number { get; } = number;

        public ChunkId Chunk { get; } = chunk;

        public uint Length { get; } = length;

        public int Replicas { get; } = replicas;

        public int Minimum { get; } = minimum;

        public Instant Deadline { get; } = deadline;

        public ChunkTransfer Header { get; } = new(TransferPurpose.Put, number, chunk, length, (byte)replicas, tag);

        /// <summary>Every server asked, once each: so acknowledgements are counted by server, not by message.</summary>
        public List<PutCopy> Copies { get; } = [];

        public int Acknowledgements { get; set; }

        public bool SawFull { get; set; }

        public bool IsAnswered { get; private set; }

        public PutCopy? Find(NodeId server) => Copies.Find(copy => copy.Server == server);

        public int Count(CopyState state) => Copies.Count(copy => copy.State == state);

        public void Answer(ChunkPutResult result)
        {
            IsAnswered = true;
            answer(result);
        }
    }
}
