using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <summary>A program that a server runs for a service under a guard process.</summary>
public sealed record ServiceCommand
{
    /// <summary>The primary's program and its arguments; empty where a program of the user's own holds the provider role by a
    /// session.</summary>
    public ImmutableArray<string> Arguments { get; init; } = [];

    /// <summary>What secondaries run meanwhile; empty for nothing.</summary>
    public ImmutableArray<string> Secondary { get; init; } = [];

    /// <summary>A file, relative to the service's working directory, that is carried to the secondaries whenever it changes; empty for
    /// none.</summary>
    public string CheckpointFile { get; init; } = "";

    /// <summary>Time from SIGTERM to SIGKILL; both fall inside the lease whatever it is.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>True if servers run nothing by themselves.</summary>
    public bool IsNone => Arguments.IsEmpty;

    /// <inheritdoc/>
    public bool Equals(ServiceCommand? other) =>
        other is not null && Arguments.SequenceEqual(other.Arguments) && Secondary.SequenceEqual(other.Secondary)
        && CheckpointFile == other.CheckpointFile && Grace == other.Grace;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Arguments.Length, Secondary.Length, Grace);
}

/// <summary>What an operator wants of a service: the part of the replica manager's table that is not found out but given.</summary>
public sealed record ServiceDefinition
{
    /// <summary>The most providers of a service.</summary>
    public const int MaxProviders = 64;

    /// <summary>Its name.</summary>
    public required ServiceName Name { get; init; }

    /// <summary>The servers that may provide it, each once.</summary>
    public required ImmutableArray<NodeId> Providers { get; init; }

    /// <summary>The server that is chosen where nothing else speaks for another, or none: then the one with the fewest services.</summary>
    public NodeId Preferred { get; init; }

    /// <summary>How many secondaries the primary keeps up to date; fewer while fewer providers are there.</summary>
    public int WantedSecondaries { get; init; }

    /// <summary>The service on whose primary's node this one's primary must be, or none.</summary>
    public ServiceName With { get; init; }

    /// <summary>What servers run for it.</summary>
    public ServiceCommand Command { get; init; } = new();

    /// <inheritdoc/>
    public bool Equals(ServiceDefinition? other) =>
        other is not null && Name == other.Name && Providers.SequenceEqual(other.Providers) && Preferred == other.Preferred
        && WantedSecondaries == other.WantedSecondaries && With == other.With && Command == other.Command;

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Name, WantedSecondaries, With);
}
