using System.Collections.Immutable;
using System.Text.Json.Serialization;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>What a group is to be made like; what is not given is the server's default.</summary>
public sealed record NewGroup
{
    /// <summary><c>durable</c> or <c>memory</c>: where messages are before they are acknowledged.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Durability { get; init; }

    /// <summary>Seconds for which messages are kept.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? RetainTime { get; init; }

    /// <summary>Bytes of messages that are kept at most.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public long? RetainBytes { get; init; }

    /// <summary>After how many messages of others an idle sender is forgotten.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public ulong? Lifetime { get; init; }

    /// <summary>True: each sender's messages are delivered in the order in which it sent them.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public bool? Fifo { get; init; }
}

/// <summary>What one server knows of a group.</summary>
public sealed record GroupInfo
{
    public string Name { get => field ?? ""; init; } = "";

    /// <summary><c>durable</c> or <c>memory</c>.</summary>
    public string Durability { get => field ?? ""; init; } = "";

    /// <summary>Seconds for which messages are kept.</summary>
    public double RetainTime { get; init; }

    /// <summary>Bytes of messages that are kept at most.</summary>
    public long RetainBytes { get; init; }

    /// <summary>After how many messages of others an idle sender is forgotten.</summary>
    public ulong Lifetime { get; init; }

    /// <summary>True: each sender's messages are delivered in the order in which it sent them.</summary>
    public bool Fifo { get; init; }

    /// <summary>The server that numbers its messages, or null.</summary>
    public string? Sequencer { get; init; }

    /// <summary>In which epoch.</summary>
    public ulong Epoch { get; init; }

    /// <summary>The greatest number that is committed, as far as that server knows.</summary>
    public ulong Committed { get; init; }

    /// <summary>The first number whose message that server still keeps.</summary>
    public ulong First { get; init; }

    /// <summary>Bytes that a memory-only group keeps at most, whatever it asks for; null for others.</summary>
    public long? MemoryBytes { get; init; }

    /// <summary>Messages that a memory-only group keeps at most.</summary>
    public ulong? MemoryMessages { get; init; }

    /// <summary>Tells it from another group that had, or will have, its name.</summary>
    public string Id { get => field ?? ""; init; } = "";

    /// <summary>Why its messages can't be numbered now, as far as that server knows; null where nothing is wrong.</summary>
    public string? Trouble { get; init; }
}

/// <summary>All groups.</summary>
public sealed record GroupList
{
    public ImmutableArray<GroupInfo> Groups { get => field.IsDefault ? [] : field; init; } = [];
}

/// <summary>The answer to making or removing a group.</summary>
public sealed record GroupChange
{
    public string Uid { get => field ?? ""; init; } = "";

    public string Submission { get => field ?? ""; init; } = "";

    /// <summary>True where an earlier attempt under the key was the one.</summary>
    public bool Replayed { get; init; }

    /// <summary>When one is removed: whether there was one.</summary>
    public bool? Existed { get; init; }
}

/// <summary>A message that was sent, in its place.</summary>
/// <param name="Number">Its place in the group's order, for good.</param>
/// <param name="Id">Its identity.</param>
public readonly record struct SentMessage(SequenceNumber Number, MessageId Id);

/// <summary>A message that was delivered.</summary>
/// <param name="Number">Its place in the group's order.</param>
/// <param name="Id">Its identity; the session is its sender.</param>
/// <param name="Payload">Its bytes. They share memory with a few of its neighbours: who keeps few messages for long copies them.</param>
public readonly record struct DeliveredMessage(SequenceNumber Number, MessageId Id, ReadOnlyMemory<byte> Payload);
