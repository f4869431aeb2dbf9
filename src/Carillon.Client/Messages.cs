using System.Collections.Immutable;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Carillon.Client;

// The getters give the defaults once more: generated readers set every init property, those that the JSON lacks to null.

/// <summary>What a put answers.</summary>
public sealed record PutAnswer
{
    /// <summary>The version's UID.</summary>
    public string Uid { get => field ?? ""; init; } = "";

    /// <summary>Its number in the feed, once it has one.</summary>
    public long? Sequence { get; init; }

    /// <summary>Content in bytes.</summary>
    public long Size { get; init; }

    /// <summary>SHA-256 of the content, hexadecimal.</summary>
    public string Sha256 { get => field ?? ""; init; } = "";

    /// <summary>The submission's id.</summary>
    public string Submission { get => field ?? ""; init; } = "";
}

/// <summary>What a delete answers.</summary>
public sealed record DeleteAnswer
{
    /// <summary>The tombstone's UID.</summary>
    public string Uid { get => field ?? ""; init; } = "";

    /// <summary>Its number in the feed, once it has one.</summary>
    public long? Sequence { get; init; }

    /// <summary>The submission's id.</summary>
    public string Submission { get => field ?? ""; init; } = "";

    /// <summary>True if there was a current version.</summary>
    public bool Existed { get; init; }
}

/// <summary>One name's part in a changeset's answer.</summary>
public sealed record ChangesetOperationAnswer
{
    public string Bucket { get => field ?? ""; init; } = "";

    public string Name { get => field ?? ""; init; } = "";

    public string Uid { get => field ?? ""; init; } = "";
}

/// <summary>What a changeset answers.</summary>
public sealed record ChangesetAnswer
{
    /// <summary>The submission's id.</summary>
    public string Submission { get => field ?? ""; init; } = "";

    /// <summary>The UID that all its versions have.</summary>
    public string Uid { get => field ?? ""; init; } = "";

    /// <summary>Its number in the feed, once it has one.</summary>
    public long? Sequence { get; init; }

    public ImmutableArray<ChangesetOperationAnswer> Operations { get => field.IsDefault ? [] : field; init; } = [];
}

/// <summary>A bucket's settings. In a request, what is null is left to the server.</summary>
public sealed record BucketSettings
{
    /// <summary>Its name; only in answers.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Name { get; init; }

    /// <summary>Servers that hold each chunk.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Replicas { get; init; }

    /// <summary>Servers that must hold a chunk durably before a put is accepted.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Minimum { get; init; }

    /// <summary>Versions kept of each name.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public int? Versions { get; init; }

    /// <summary>Bytes of a chunk.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? ChunkSize { get; init; }

    /// <summary><c>none</c>, <c>brotli</c> or <c>deflate</c>.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Compression { get; init; }

    /// <summary>Buckets of one domain share chunks.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Deduplication { get; init; }

    /// <summary>False: a put answers only once it has its number in the feed.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? AckAgreed { get; init; }
}

/// <summary>All buckets.</summary>
public sealed record BucketList
{
    public ImmutableArray<BucketSettings> Buckets { get => field.IsDefault ? [] : field; init; } = [];
}

/// <summary>What a HEAD tells about a version.</summary>
public sealed record ObjectStat
{
    public string Uid { get => field ?? ""; init; } = "";

    /// <summary>Its number in the feed, once it has one.</summary>
    public long? Sequence { get; init; }

    public long Size { get; init; }

    /// <summary>SHA-256 of the content, hexadecimal.</summary>
    public string Sha256 { get => field ?? ""; init; } = "";

    public string ContentType { get => field ?? ""; init; } = "";

    public DateTimeOffset? Modified { get; init; }

    public ImmutableSortedDictionary<string, string> Metadata { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}

/// <summary>One line of a listing.</summary>
public sealed record ObjectEntry
{
    public string Name { get => field ?? ""; init; } = "";

    public string Uid { get => field ?? ""; init; } = "";

    /// <summary>Its number in the feed, once it has one.</summary>
    public long? Sequence { get; init; }

    public long Size { get; init; }

    public string? Sha256 { get; init; }

    public DateTimeOffset? Modified { get; init; }

    /// <summary><c>put</c>, or <c>delete</c> for a tombstone.</summary>
    public string Kind { get => field ?? "put"; init; } = "put";

    public string? ContentType { get; init; }

    public ImmutableDictionary<string, string>? Metadata { get; init; }
}

/// <summary>One page of a listing.</summary>
public sealed record ObjectPage
{
    /// <summary>The feed's number that the page is the state of.</summary>
    public long? Sequence { get; init; }

    public ImmutableArray<ObjectEntry> Objects { get => field.IsDefault ? [] : field; init; } = [];

    /// <summary>Where a delimiter was given: what names share up to it.</summary>
    public ImmutableArray<string> Prefixes { get => field.IsDefault ? [] : field; init; } = [];

    /// <summary>What to pass as <c>after</c> for the next page; null at the end.</summary>
    public string? Next { get; init; }
}

/// <summary>What is known about a submission.</summary>
public sealed record SubmissionStatus
{
    public string? Id { get; init; }

    /// <summary><c>pending</c>, <c>accepted</c> or <c>rejected</c>.</summary>
    public string Outcome { get => field ?? ""; init; } = "";

    public string? Uid { get; init; }

    public long? Sequence { get; init; }

    /// <summary>What the feed made of it, once it has its number: <c>applied</c>, <c>superseded</c>, <c>refused</c>, …</summary>
    public string? Verdict { get; init; }

    /// <summary>Who is known to have it durably.</summary>
    public ImmutableSortedDictionary<string, bool>? Vector { get; init; }
}

/// <summary>How many servers must be connected, and are.</summary>
public sealed record QuorumStatus
{
    public int Size { get; init; }

    public int Connected { get; init; }

    public bool Ok { get; init; }
}

/// <summary>One server as another one sees it.</summary>
public sealed record ServerStatus
{
    public string Name { get => field ?? ""; init; } = "";

    public string State { get => field ?? ""; init; } = "";

    public long? Incarnation { get; init; }

    public ImmutableArray<string> Roles { get => field.IsDefault ? [] : field; init; } = [];

    public double? RttMs { get; init; }

    public double? ClockOffsetMs { get; init; }

    public JsonElement Load { get; init; }

    /// <summary>Where clients reach it, if the server tells.</summary>
    public string? Http { get; init; }

    /// <summary>False for one that takes no part in agreement at present.</summary>
    public bool? Voting { get; init; }

    /// <summary>What is wrong with it, or missing there; or empty.</summary>
    public string Note { get => field ?? ""; init; } = "";
}

/// <summary>A cluster as one server sees it.</summary>
public sealed record ClusterStatus
{
    public string Cluster { get => field ?? ""; init; } = "";

    /// <summary>The server that says this.</summary>
    public string Self { get => field ?? ""; init; } = "";

    public JsonElement Configuration { get; init; }

    public QuorumStatus Quorum { get => field ?? new(); init; } = new();

    public ImmutableArray<ServerStatus> Servers { get => field.IsDefault ? [] : field; init; } = [];

    public JsonElement Feed { get; init; }

    public JsonElement Chunks { get; init; }

    public JsonElement Transport { get; init; }
}

/// <summary>An answer with the bytes it came from, so that fields which this version of the library does not know are not lost.</summary>
public sealed record Document<T>(T Value, ReadOnlyMemory<byte> Json)
    where T : class;
