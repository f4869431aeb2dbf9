using System.Collections.Immutable;
using Carillon.Node.Requests;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;
using Carillon.Protocols.VectorExchange;

namespace Carillon.Simulator.Workloads;

/// <summary>What the client library reports of a write.</summary>
internal enum LibraryVerdict
{
    /// <summary>Not known (yet).</summary>
    Unknown,

    /// <summary>Done.</summary>
    Accepted,

    /// <summary>Not done, and never will be.</summary>
    Rejected,

    /// <summary>Not done, and never will be: a precondition was not met.</summary>
    Refused,
}

/// <summary>What a write does to one name.</summary>
/// <param name="Kind">Put or delete.</param>
/// <param name="Target">The name.</param>
/// <param name="Value">The content's own text, unique in the run; null for a delete.</param>
/// <param name="Content">The content.</param>
/// <param name="Chunks">The content in pieces where it is to be stored as chunks; empty where it is inline.</param>
internal sealed record PlannedOperation(
    OperationKind Kind, ObjectName Target, string? Value, ReadOnlyMemory<byte> Content, ImmutableArray<ReadOnlyMemory<byte>> Chunks)
{
    /// <summary>On what it depends.</summary>
    public Precondition Precondition { get; init; }

    /// <summary>The value of the version that <see cref="Precondition"/> names; null for absent.</summary>
    public string? Expected { get; init; }

    /// <summary>How many of the last chunks hold the list of those before; 0 where the manifest lists all.</summary>
    public int Lists { get; init; }
}

/// <summary>How one attempt at one server ended, as that server said.</summary>
internal sealed record AttemptRecord(NodeId Server)
{
    /// <summary>What the server answered, whether or not the client heard it; null for nothing.</summary>
    public SubmitOutcome? Answer { get; set; }

    /// <summary>What the client made of it.</summary>
    public AnswerEnd? Heard { get; set; }
}

/// <summary>One write of a client, with all its attempts under one key.</summary>
internal sealed class WriteRecord(int number, string client, string key, ImmutableArray<PlannedOperation> operations, Instant invoked)
{
    public int Number => number;

    public string Client => client;

    public string Key => key;

    public ImmutableArray<PlannedOperation> Operations => operations;

    public Instant Invoked => invoked;

    /// <summary>When the library reported; null while it has not.</summary>
    public Instant? Returned { get; set; }

    /// <summary>What the library reported.</summary>
    public LibraryVerdict Verdict { get; set; }

    /// <summary>The accepted tag, as far as told.</summary>
    public Tag Tag { get; set; }

    /// <summary>Of a refused one: what it met.</summary>
    public FeedOutcome Refusal { get; set; }

    /// <summary>At what the client wants to be answered.</summary>
    public AckWanted Ack { get; init; }

    /// <summary>All attempts, in order.</summary>
    public List<AttemptRecord> Attempts { get; } = [];

    /// <inheritdoc/>
    public override string ToString() =>
        $"write {number} of {client} (key {key}: {string.Join(", ", operations.Select(o => $"{o.Kind} {o.Target} {o.Value}"))}; {Verdict}{(Tag.IsNone ? "" : $" as {Tag}")})";
}
