namespace Carillon.Protocols.Replicast;

/// <content>Puts and gets.</content>
public sealed partial class ChunkReplication
{
    private readonly SortedDictionary<ulong, ChunkPut> _puts = [];
    private readonly SortedDictionary<ulong, ChunkGet> _gets = [];

    /// <summary>
    /// Puts a chunk on <paramref name="replicas"/> servers under a put-intent of <paramref name="tag"/>; answers once
    /// <paramref name="minimum"/> have it durably, and goes on to the
    /// rest behind the answer.
    /// </summary>
    /// <returns>The put's number, by which the host knows its bytes. The answer may come before this returns.</returns>
    public ulong Put(ChunkId chunk, uint length, Tag tag, int replicas, int minimum, Moment now, Action<ChunkPutResult> answer)
    {
        replicas = Math.Clamp(replicas, minimum, IChunkInventory.MaxReplicas);
        var put = new ChunkPut(
            ++_lastNumber, chunk, length, tag, replicas, minimum, now.Now + _options.PutTimeout + TransferTime(length), answer);
        _puts.Add(put.Number, put);
        _timers.Enqueue(put.Number, put.Deadline);
        return put.Number;
    }

    /// <summary>Begins the transfers of a put; called when the host has its bytes at hand.</summary>
    public void StartPut(ulong number, Moment now)
    {
        if (_puts.TryGetValue(number, out ChunkPut? put))
        {
            AskMore(put, now);
        }
    }

    /// <summary>What a put stores; false once it has ended.</summary>
    public bool TryDescribePut(ulong number, out ChunkTransfer transfer)
    {
        bool found = _puts.TryGetValue(number, out ChunkPut? put);
        transfer = found ? new ChunkTransfer(TransferPurpose.Put, number, put!.Chunk, put.Length, (byte)put.Replicas, put.Tag) : default;
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

    /// <summary>
    /// Fetches a chunk that is not here. The arrival comes by <see cref="Arrived"/>; <paramref name="ended"/> is called with false if no
    /// server has it, with true when it came.
    /// </summary>
    public ulong Get(ChunkId chunk, NodeId first, Moment now, Action<bool> ended)
    {
        var get = new ChunkGet(++_lastNumber, chunk, ended);
        if (!first.IsNone)
        {
            get.Candidates.Enqueue(first);
        }

        foreach (NodeId server in _table.Row(HashAllocationTable.RowOf(chunk)))
        {
            if (server != _self && server != first)
            {
                get.Candidates.Enqueue(server);
            }
        }

        _gets.Add(get.Number, get);
        AskNext(get, now);
        return get.Number;
    }

    /// <summary>A chunk that was asked for has come; false if nobody waits for it.</summary>
    public bool Arrived(ulong number, ChunkId chunk)
    {
        if (!_gets.TryGetValue(number, out ChunkGet? get) || get.Chunk != chunk)
        {
            return false;
        }

        _gets.Remove(number);
        Figures.Fetches++;
        get.Ended(true);
        return true;
    }

    /// <summary>A chunk that was asked for has come damaged: the next server is asked.</summary>
    public void ArrivedDamaged(ulong number, Moment now)
    {
        if (_gets.TryGetValue(number, out ChunkGet? get))
        {
            AskNext(get, now);
        }
    }

    /// <summary>Sends to as many servers as copies are still wanted: the designated ones first, then live ones later in the row stand
    /// in.</summary>
    private void AskMore(ChunkPut put, Moment now)
    {
        foreach (NodeId server in _table.Row(HashAllocationTable.RowOf(put.Chunk)))
        {
            if (put.Holders.Count + put.Waiting >= put.Replicas)
            {
                return;
            }

            if (put.Asked.Contains(server) || (server != _self && !_host.IsConnected(server)))
            {
                continue;
            }

            put.Asked.Add(server);
            put.Waiting++;
            if (server == _self)
            {
                _host.StorePut(put.Number);
            }
            else if (!_host.SendPut(
                put.Number, server, new ChunkTransfer(TransferPurpose.Put, put.Number, put.Chunk, put.Length, (byte)put.Replicas, put.Tag)))
            {
                put.GivenUp.Add(server);
                put.Waiting--;
            }
        }

        JudgePut(put, now);
    }

    private void OnAck(NodeId from, ulong number, Moment now)
    {
        if (!_puts.TryGetValue(number, out ChunkPut? put) || !put.Asked.Contains(from))
        {
            return;
        }

        if (!put.Holders.Contains(from))
        {
            put.Holders.Add(from);
            put.Waiting -= put.GivenUp.Remove(from) ? 0 : 1;
        }
        else if (!SeededBug.Is("chunk-count-nondistinct-servers"))
        {
            return;
        }

        int counted = SeededBug.Is("chunk-count-nondistinct-servers") ? ++put.Acknowledgements : put.Holders.Count;
        if (counted >= put.Minimum && !put.IsAnswered)
        {
            Figures.Puts++;
            Figures.PutBytes += put.Length;
            put.Answer(ChunkPutResult.Stored);
        }

        JudgePut(put, now);
    }

    private void OnNak(NodeId from, ulong number, NakReason reason, Moment now)
    {
        if (_puts.TryGetValue(number, out ChunkPut? put) && put.Asked.Contains(from) && !put.Holders.Contains(from))
        {
            put.SawFull |= reason == NakReason.Full;
            GoOn(put, from, now);
        }
    }

    /// <summary>A server is out of the question for a put: the next in the row stands in.</summary>
    private void GoOn(ChunkPut put, NodeId without, Moment now)
    {
        if (put.GivenUp.Add(without))
        {
            put.Waiting--;
            AskMore(put, now);
        }
    }

    private void JudgePut(ChunkPut put, Moment now)
    {
        if (put.Waiting > 0 && put.Holders.Count < put.Replicas)
        {
            return;
        }

        if (!put.IsAnswered)
        {
            Figures.FailedPuts++;
            put.Answer(put.SawFull ? ChunkPutResult.Full : ChunkPutResult.TooFewServers);
        }

        EndPut(put);
    }

    private void TickPut(ChunkPut put, Moment now)
    {
        if (now.Now < put.Deadline)
        {
            return;
        }

        if (!put.IsAnswered)
        {
            Figures.FailedPuts++;
            put.Answer(ChunkPutResult.TimedOut);
        }

        EndPut(put);
    }

    private void EndPut(ChunkPut put)
    {
        if (_puts.Remove(put.Number))
        {
            _host.ReleasePut(put.Number);
        }
    }

    private void AskNext(ChunkGet get, Moment now)
    {
        while (get.Candidates.TryDequeue(out NodeId server))
        {
            if (_host.IsConnected(server))
            {
                get.Asked = server;
                get.TryAt = now.Now + _options.RequestTimeout + TransferTime(Submissions.ObjectManifest.MaxChunkLength / 16);
                _timers.Enqueue(get.Number, get.TryAt);
                Send(server, new ChunkMessage(ChunkMessageType.Request, get.Number) { Chunks = [get.Chunk] });
                return;
            }
        }

        _gets.Remove(get.Number);
        get.Ended(false);
    }

    private void OnRequest(NodeId from, ulong number, ChunkId chunk)
    {
        if (!_inventory.TryDescribe(chunk, out uint length, out int replicas)
            || !_host.SendStored(from, new ChunkTransfer(TransferPurpose.Get, number, chunk, length, (byte)Math.Max(1, replicas), default)))
        {
            Send(from, new ChunkMessage(ChunkMessageType.NotHere, number));
        }
    }

    private void OnNotHere(NodeId from, ulong number, Moment now)
    {
        if (_gets.TryGetValue(number, out ChunkGet? get) && get.Asked == from)
        {
            AskNext(get, now);
        }
    }

    /// <summary>One put on its way.</summary>
    private sealed class ChunkPut(
        ulong number, ChunkId chunk, uint length, Tag tag, int replicas, int minimum, Instant deadline, Action<ChunkPutResult> answer)
    {
        public ulong Number { get; } = number;

        public ChunkId Chunk { get; } = chunk;

        public uint Length { get; } = length;

        public Tag Tag { get; } = tag;

        public int Replicas { get; } = replicas;

        public int Minimum { get; } = minimum;

        public Instant Deadline { get; } = deadline;

        /// <summary>Those that were sent the chunk, or asked to store it.</summary>
        public List<NodeId> Asked { get; } = [];

        /// <summary>Those that have it durably; each server once.</summary>
        public List<NodeId> Holders { get; } = [];

        public HashSet<NodeId> GivenUp { get; } = [];

        /// <summary>Asked, and neither holder nor given up.</summary>
        public int Waiting { get; set; }

        public int Acknowledgements { get; set; }

        public bool SawFull { get; set; }

        public bool IsAnswered { get; private set; }

        public void Answer(ChunkPutResult result)
        {
            IsAnswered = true;
            answer(result);
        }
    }

    /// <summary>One chunk that is fetched.</summary>
    private sealed class ChunkGet(ulong number, ChunkId chunk, Action<bool> ended)
    {
        public ulong Number { get; } = number;

        public ChunkId Chunk { get; } = chunk;

        public Action<bool> Ended { get; } = ended;

        public Queue<NodeId> Candidates { get; } = new();

        public NodeId Asked { get; set; }

        public Instant TryAt { get; set; }
    }
}
