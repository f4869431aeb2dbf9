using System.Collections.Immutable;

namespace Carillon.Client;

/// <summary>What version to read, and how.</summary>
public sealed record GetOptions
{
    /// <summary>UID of the version to read; null: the current one.</summary>
    public string? Version { get; init; }

    /// <summary>True: what one server has applied, which may be old. False: linearizable.</summary>
    public bool Local { get; init; }

    /// <summary>Is told how the download goes.</summary>
    public ITransferObserver? Observer { get; init; }
}

/// <summary>How a download went.</summary>
public sealed record GetResult
{
    /// <summary>The version that was read.</summary>
    public required string Uid { get; init; }

    /// <summary>Content in bytes.</summary>
    public required long Bytes { get; init; }

    /// <summary>How many of them were there already from a former run.</summary>
    public required long Resumed { get; init; }

    /// <summary>SHA-256 of the content; what was written has it.</summary>
    public required string Sha256 { get; init; }

    public required TimeSpan Elapsed { get; init; }

    /// <summary>How often another server went on where one had stopped.</summary>
    public required int Migrations { get; init; }

    /// <summary>The longest time in which no byte came.</summary>
    public required TimeSpan LongestStall { get; init; }

    /// <summary>The servers that bytes came from, in order.</summary>
    public required ImmutableArray<Uri> Servers { get; init; }

    public string ContentType { get; init; } = "";

    public ImmutableSortedDictionary<string, string> Metadata { get; init; } = ImmutableSortedDictionary<string, string>.Empty;
}
