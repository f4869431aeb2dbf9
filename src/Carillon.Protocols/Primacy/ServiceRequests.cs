using System.Collections.Immutable;

namespace Carillon.Protocols.Primacy;

/// <summary>What a user asks of the replica manager; any server takes it and passes it on to the one that holds that role.</summary>
public abstract record ServiceRequest(ServiceName Service)
{
    /// <summary>Add a service, or change the definition of one (RMM-36).</summary>
    public sealed record Add(ServiceDefinition Definition, bool Replace) : ServiceRequest(Definition.Name);

    /// <summary>Remove a service (RMM-37).</summary>
    public sealed record Remove(ServiceName Service) : ServiceRequest(Service);

    /// <summary>Move its primary, and those that must be with it, to a server; none: to the best of the others (RMM-35).</summary>
    public sealed record Move(ServiceName Service, NodeId Target) : ServiceRequest(Service);

    /// <summary>Let a server provide it too (RMM-38).</summary>
    public sealed record Register(ServiceName Service, NodeId Provider) : ServiceRequest(Service);

    /// <summary>A server provides it no longer (RMM-39).</summary>
    public sealed record Unregister(ServiceName Service, NodeId Provider) : ServiceRequest(Service);
}

/// <summary>How a request ended.</summary>
public enum ServiceResult : byte
{
    /// <summary>It is in the table of a quorum. A move has only begun: the service's state tells how it goes on.</summary>
    Done = 0,

    /// <summary>It can't be satisfied, and nothing was done; the detail says why.</summary>
    Refused = 1,

    /// <summary>There is no such service.</summary>
    NotFound = 2,

    /// <summary>No replica manager answered in time; the request may be made again.</summary>
    Unavailable = 3,
}

/// <summary>An answer to a <see cref="ServiceRequest"/>.</summary>
public readonly record struct ServiceAnswer(ServiceResult Result, string Detail);

/// <summary>One change of primary, as the replica manager's table keeps it.</summary>
/// <param name="Epoch">The epoch that began.</param>
/// <param name="Primary">Who.</param>
/// <param name="At">When, by the replica manager's wall clock.</param>
/// <param name="Reason">Why the one before ended.</param>
/// <param name="Gap">How long there was no primary; null where it is not known.</param>
public sealed record PrimaryChange(Epoch Epoch, NodeId Primary, WallTime At, string Reason, TimeSpan? Gap);

/// <summary>What one server knows of a service, for <c>service ls</c> and <c>show</c>.</summary>
public sealed record ServiceStatus
{
    /// <summary>What is wanted.</summary>
    public required ServiceDefinition Definition { get; init; }

    /// <summary>The node whose statement that it holds its lease was heard lately, or none.</summary>
    public required NodeId Primary { get; init; }

    /// <summary>The newest epoch known here.</summary>
    public required Epoch Epoch { get; init; }

    /// <summary>Roles as the table has them.</summary>
    public required ImmutableArray<(NodeId Node, ServiceRole Role)> Roles { get; init; }

    /// <summary>The last changes of primary, the newest first.</summary>
    public required ImmutableArray<PrimaryChange> History { get; init; }

    /// <summary>What goes on here, in plain words: "primary, lease for 1.4 s", "waits for db-1".</summary>
    public required string State { get; init; }
}
