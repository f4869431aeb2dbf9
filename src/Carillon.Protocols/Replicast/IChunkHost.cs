namespace Carillon.Protocols.Replicast;

/// <summary>The end of a chunk's put.</summary>
public enum ChunkPutResult
{
    /// <summary>At least <c>minimum</c> servers have it durably.</summary>
    Stored,

    /// <summary>Not in time.</summary>
    TimedOut,

    /// <summary>Too few servers are connected, or take it.</summary>
    TooFewServers,

    /// <summary>Too few servers have space.</summary>
    Full,

    /// <summary>Too many puts are under way here.</summary>
    Busy,
}

/// <summary>
/// What chunk replication asks of the node around it: how a chunk crosses the wire is the node's business (the tunnel's bulk stream
/// today, multicast later), when and where to is decided here.
/// </summary>
public interface IChunkHost
{
    /// <summary>True if messages and chunks can be sent to that server now.</summary>
    bool IsConnected(NodeId server);

    /// <summary>Sends a message; one that <paramref name="isBulky"/> must not delay others.</summary>
    void Send(NodeId to, ReadOnlyMemory<byte> message, bool isBulky);

    /// <summary>Stores a put's bytes here; ends with <see cref="ChunkReplication.StoredHere"/>.</summary>
    void StorePut(ulong put);

    /// <summary>Sends a put's bytes; false if they can't be queued.</summary>
    bool SendPut(ulong put, NodeId to, ChunkTransfer header);

    /// <summary>Sends a chunk from the disk, verified on the way; false if it can't be queued.</summary>
    bool SendStored(NodeId to, ChunkTransfer header);

    /// <summary>A put's bytes are no longer needed.</summary>
    void ReleasePut(ulong put);

    /// <summary>Reads a chunk back; ends with <see cref="ChunkReplication.Scrubbed"/>.</summary>
    void Scrub(ChunkId chunk);

    /// <summary>The chunk is not wanted here any more.</summary>
    void Drop(ChunkId chunk);

    /// <summary>True if the store takes chunks at present.</summary>
    bool CanStore { get; }

    /// <summary>True if collection may go on: this server merged its index with a quorum recently, and knows all chunk lists.</summary>
    bool MayCollect { get; }

    /// <summary>True if a kept version or an open submission is known here to refer to the chunk.</summary>
    bool IsReferenced(ChunkId chunk);

    /// <summary>Put-intents may have outlived their lease: find out what became of their submissions.</summary>
    void ResolveIntents();
}
