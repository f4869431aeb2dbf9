using Carillon.Protocols.Submissions;

namespace Carillon.Storage.Catalogs;

/// <summary>How a bucket's objects are kept: the content of its record in the bucket <c>.system</c>.</summary>
public sealed record BucketSettings
{
    /// <summary>Servers that shall hold each chunk; never under <see cref="Minimum"/>. More survives more, and costs as much more disk.</summary>
    public int Replicas { get; init; } = 3;

    /// <summary>Servers that must have a chunk durably before its submission goes on; null for as many as the entry quorum.</summary>
    public int? Minimum { get; init; }

    /// <summary>Versions kept of each name; tombstones don't count.</summary>
    public int Versions { get; init; } = 10;

    /// <summary>Bytes of a chunk before compression, 4 KiB to 64 MiB. Larger: less to keep track of; smaller: more is found twice.</summary>
    public int ChunkSize { get; init; } = 1 << 20;

    /// <summary>How chunks are compressed; skipped for a chunk that does not shrink.</summary>
    public Compression Compression { get; init; }

    /// <summary>Chunks are shared among the buckets of one domain; empty: the bucket is its own.</summary>
    public string Deduplication { get; init; } = "";
}
