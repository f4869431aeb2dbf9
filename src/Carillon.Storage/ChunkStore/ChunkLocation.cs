using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <summary>
/// Where a chunk is, as the loop found it; may be taken to any thread and read there. It stays good when compaction moves the
/// chunk: the old segment is not removed while it is being read, and forwards whoever comes later.
/// </summary>
public readonly record struct ChunkLocation
{
    internal ChunkLocation(ChunkId id, uint length, ChunkSegment segment, uint offset)
    {
        Id = id;
        Length = length;
        Segment = segment;
        Offset = offset;
    }

    /// <summary>The chunk.</summary>
    public ChunkId Id { get; }

    /// <summary>Its stored bytes: the least size of the span to read it into.</summary>
    public uint Length { get; }

    internal ChunkSegment Segment { get; }

    internal uint Offset { get; }
}

/// <summary>What came of reading a chunk.</summary>
public enum ChunkRead
{
    /// <summary>The bytes are there, and are what their name says.</summary>
    Ok,

    /// <summary>The bytes are not what their name says. They must not be used; drop this copy and heal it.</summary>
    Corrupt,

    /// <summary>The device could not read them.</summary>
    Failed,

    /// <summary>The chunk was dropped since it was located.</summary>
    Gone,
}

/// <summary>
/// A promise of durability: kept when the batch that covers it completes without failure. Tickets count up, and a batch covers
/// all that were given out before it began, so that waiters can stand in a queue.
/// </summary>
/// <param name="Sequence">The record's number; 0 where there is nothing to wait for.</param>
public readonly record struct ChunkTicket(ulong Sequence)
{
    /// <summary>True if what it stands for was durable when it was given out.</summary>
    public bool IsDurable => Sequence == 0;
}

/// <summary>How a store is.</summary>
public enum ChunkStoreHealth
{
    /// <summary>All works.</summary>
    Good,

    /// <summary>The device is full up to the reserve: chunks are refused, everything else goes on.</summary>
    Full,

    /// <summary>The device takes no writes; reads go on, and writes again once it takes them.</summary>
    ReadOnly,

    /// <summary>A write or flush failed. Nothing is written again; reads, each verified, go on until the server is stopped.</summary>
    Failed,
}

/// <summary>Something on the disk that is not what was written.</summary>
/// <param name="Segment">The segment's number.</param>
/// <param name="Offset">Where in the file.</param>
/// <param name="Id">The chunk that it cost, where that is known.</param>
/// <param name="What">What was found.</param>
public readonly record struct ChunkDamage(uint Segment, uint Offset, ChunkId? Id, string What);
