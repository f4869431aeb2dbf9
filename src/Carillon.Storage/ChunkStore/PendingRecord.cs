using Carillon.Protocols;

namespace Carillon.Storage.Chunks;

/// <summary>A record on its way to a segment: waiting for a batch, or in the one that is being written.</summary>
internal sealed class PendingRecord
{
    public required RecordKind Kind { get; init; }

    /// <summary>Its number; see <see cref="ChunkTicket"/>.</summary>
    public required ulong Sequence { get; init; }

    public ChunkId Id { get; init; }

    public Tag Tag { get; init; }

    public byte Replicas { get; set; }

    /// <summary>A chunk's bytes, in the caller's buffer, or the encoded ids of intents.</summary>
    public ReadOnlyMemory<byte> Payload { get; init; }

    /// <summary>
    /// See <see cref="RecordHeader"/>; that of a drop or an end is filled in with the batch if what it ends was still pending.
    /// </summary>
    public uint Detail { get; set; }

    /// <summary>True if nobody waits for it.</summary>
    public bool IsLazy { get; init; }

    /// <summary>The segment that compaction takes the chunk from; null for a new chunk.</summary>
    public ChunkSegment? MovedFrom { get; init; }

    public uint MovedFromOffset { get; init; }

    /// <summary>True if the chunk was dropped before it was durable: it is written, and never seen.</summary>
    public bool IsDropped { get; set; }

    public RecordHeader HeaderAt(ChunkSegment segment, uint offset, bool isFirst = false, bool isLast = false) => new()
    {
        Kind = Kind, IsFirstOfBatch = isFirst, IsLastOfBatch = isLast,
        Replicas = Replicas, Segment = segment.Number, Offset = offset, Id = Id,
        Length = (uint)Payload.Length, Detail = Detail, Tag = Tag,
    };
}
