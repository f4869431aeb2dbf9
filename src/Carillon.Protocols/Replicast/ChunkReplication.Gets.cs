namespace Carillon.Protocols.Replicast;

/// <content>Gets: one server after another is asked, the designated ones first.</content>
public sealed partial class ChunkReplication
{
    // What a request counts on where the caller does not know: the usual chunk.
    private const uint UsualLength = 1 << 20;

    private readonly SortedDictionary<ulong, ChunkGet> _gets = [];

    /// <summary>
    /// Fetches a chunk that is not here. The arrival comes by <see cref="Arrived"/>; <paramref name="ended"/> is called with true when it
    /// came, with false if no server that can be reached has it.
    /// </summary>
    /// <param name="chunk">The chunk.</param>
    /// <param name="length">Its stored bytes, or 0 if that is not known: how long a server may take.</param>
    /// <param name="first">A server that is known to have it, or none.</param>
    /// <param name="now">The time.</param>
    /// <param name="ended">May be called before this returns.</param>
    public ulong Get(ChunkId chunk, uint length, NodeId first, Moment now, Action<bool> ended)
    {
        var get = new ChunkGet(++_lastNumber, chunk, length == 0 ? UsualLength : length, ended);
        if (_gets.Count >= _options.MaxGets)
        {
            ended(false);
            return get.Number;
        }

        if (!first.IsNone)
        {
            get.Candidates.Enqueue(first);
        }

        foreach (NodeId server in Table.Row(HashAllocationTable.RowOf(chunk)))
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
        if (!Awaits(number, chunk))
        {
            return false;
        }

        ChunkGet get = _gets[number];
        _gets.Remove(number);
        Figures.Fetches++;
        get.Ended(true);
        return true;
    }

    /// <summary>True if that chunk was asked for under that number, and has not come: an answer with another one is nobody's.</summary>
    public bool Awaits(ulong number, ChunkId chunk) => _gets.TryGetValue(number, out ChunkGet? get) && get.Chunk == chunk;

    /// <summary>A chunk that was asked for has come damaged: the next server is asked.</summary>
    public void ArrivedDamaged(ulong number, Moment now)
    {
        if (_gets.TryGetValue(number, out ChunkGet? get))
        {
            AskNext(get, now);
        }
    }

    private void AskNext(ChunkGet get, Moment now)
    {
        while (get.Candidates.TryDequeue(out NodeId server))
        {
            if (_host.IsConnected(server))
            {
                get.Asked = server;
                get.TryAt = now.Now + _options.RequestTimeout + TransferTime(get.Length);
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

    /// <summary>One chunk that is fetched.</summary>
    private sealed class ChunkGet(ulong number, ChunkId chunk, uint length, Action<bool> ended)
    {
        public ulong Number { get; } = number;

        public ChunkId Chunk { get; } = chunk;

        public uint Length { get; } = length;

        public Action<bool> Ended { get; } = ended;

        public Queue<NodeId> Candidates { get; } = new();

        public NodeId Asked { get; set; }

        public Instant TryAt { get; set; }
    }
}
