using System.Collections.Immutable;
using Carillon.Protocols.Submissions;

namespace Carillon.Gateway.Changesets;

/// <summary>One operation as a changeset's JSON has it, before its content is stored.</summary>
internal sealed record PlannedOperation
{
    /// <summary>Put or delete.</summary>
    public OperationKind Kind { get; init; }

    /// <summary>What it is about.</summary>
    public ObjectName Target { get; init; }

    /// <summary>The part of the form that has the content, or null.</summary>
    public string? File { get; init; }

    /// <summary>The content where it is in the JSON itself, or null.</summary>
    public byte[]? Content { get; init; }

    /// <summary>Media type; null to take the part's.</summary>
    public string? ContentType { get; init; }

    /// <summary>In order of the keys.</summary>
    public ImmutableArray<KeyValuePair<string, string>> Metadata { get; init; } = [];

    /// <summary>What it expects of its name, which the feed decides.</summary>
    public Precondition Precondition { get; init; }
}
