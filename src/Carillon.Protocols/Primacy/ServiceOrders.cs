namespace Carillon.Protocols.Primacy;

/// <summary>What a provider of a service is.</summary>
public enum ServiceRole : byte
{
    /// <summary>It may be promoted, and has no state yet.</summary>
    Spare = 0,

    /// <summary>It applies the primary's checkpoints, and may take over.</summary>
    Secondary = 1,

    /// <summary>It holds the lease of an epoch and acts.</summary>
    Primary = 2,
}

/// <summary>Why a primary stops.</summary>
public enum DemotionReason : byte
{
    /// <summary>Its lease is about to end: too few voters renew it.</summary>
    LeaseEnding = 0,

    /// <summary>It was asked to move; its state is handed over first.</summary>
    Moved = 1,

    /// <summary>The service was removed, or this server is no longer its provider.</summary>
    Removed = 2,

    /// <summary>The server stops in an orderly way.</summary>
    Stopping = 3,

    /// <summary>The service on whose node it must be is no longer here.</summary>
    Companion = 4,
}

/// <summary>What primacy tells the provider of a service on this server. Carried out in the order given per service.</summary>
public abstract record ServiceOrder(ServiceName Service)
{
    /// <summary>This server provides the service from now on, as a spare, or its definition has changed. Answered by
    /// <see cref="ServiceNews.ProviderUp"/> once it could take over (for a command: at once, if its program exists).</summary>
    public sealed record Provide(ServiceDefinition Definition) : ServiceOrder(Definition.Name);

    /// <summary>This server no longer provides the service: forget it. A primary was demoted before.</summary>
    public sealed record Leave(ServiceName Service) : ServiceOrder(Service);

    /// <summary>
    /// Act as primary in this epoch until <paramref name="LeaseEnd"/> and not a moment longer; <see cref="ExtendLease"/> moves that end.
    /// Nothing of an earlier epoch may run on this server any more when it begins, whatever an earlier life of the server started.
    /// Answered by <see cref="ServiceNews.Started"/>, or <see cref="ServiceNews.ProviderDown"/>.
    /// </summary>
    /// <param name="Service">The service.</param>
    /// <param name="Epoch">The fencing token.</param>
    /// <param name="LeaseEnd">By this server's monotonic clock.</param>
    /// <param name="State">The newest checkpoint that this server has, whose bytes came by <see cref="ApplyCheckpoint"/> or were taken
    /// here; default for none.</param>
    public sealed record BecomePrimary(ServiceName Service, Epoch Epoch, Instant LeaseEnd, Freshness State) : ServiceOrder(Service);

    /// <summary>The lease of this epoch goes on until then. Comes several times a second; later ends only.</summary>
    public sealed record ExtendLease(ServiceName Service, Epoch Epoch, Instant LeaseEnd) : ServiceOrder(Service);

    /// <summary>
    /// Stop acting before <paramref name="Deadline"/>, which is never after the lease's end: drain, take a last checkpoint where there is
    /// one (<see cref="ServiceNews.CheckpointTaken"/>), then <see cref="ServiceNews.Drained"/>. What has not stopped by then is killed.
    /// </summary>
    public sealed record Demote(ServiceName Service, Epoch Epoch, Instant Deadline, DemotionReason Reason) : ServiceOrder(Service);

    /// <summary>Be a secondary (or, again, a spare): start or stop the secondary's command.</summary>
    public sealed record BecomeStandby(ServiceName Service, ServiceRole Role) : ServiceOrder(Service);

    /// <summary>Put this state in place; answered by <see cref="ServiceNews.CheckpointApplied"/> once it is durable.</summary>
    public sealed record ApplyCheckpoint(ServiceName Service, Freshness State, ReadOnlyMemory<byte> Content) : ServiceOrder(Service);

    /// <summary>Requests for the service here wait (seed 002, step 404), until released or their own deadline.</summary>
    public sealed record HoldRequesters(ServiceName Service) : ServiceOrder(Service);

    /// <summary>They go on (step 412), to this primary; none: there is no primary, answer so.</summary>
    public sealed record ReleaseRequesters(ServiceName Service, NodeId Primary, Epoch Epoch) : ServiceOrder(Service);
}

/// <summary>What the runtime tells of a service's provider on this server.</summary>
public abstract record ServiceNews(ServiceName Service)
{
    /// <summary>The provider is there and could take over, with the state that it kept on disk (default for none).</summary>
    public sealed record ProviderUp(ServiceName Service, Freshness State) : ServiceNews(Service);

    /// <summary>The provider is not there, or failed while its node did not (RMM-40). A failed primary is replaced; a node whose provider
    /// fails again and again loses its rank for longer each time.</summary>
    public sealed record ProviderDown(ServiceName Service, string Reason, bool IsFailure) : ServiceNews(Service);

    /// <summary>The primary of this epoch serves.</summary>
    public sealed record Started(ServiceName Service, Epoch Epoch) : ServiceNews(Service);

    /// <summary>The primary of this epoch has stopped for good: nothing of it runs here any more.</summary>
    public sealed record Drained(ServiceName Service, Epoch Epoch) : ServiceNews(Service);

    /// <summary>The primary's state, numbered from 1 in its epoch: it goes to the secondaries. At most
    /// <see cref="MaxCheckpointBytes"/>.</summary>
    public sealed record CheckpointTaken(ServiceName Service, Freshness State, ReadOnlyMemory<byte> Content) : ServiceNews(Service);

    /// <summary>A checkpoint is in place here, durably.</summary>
    public sealed record CheckpointApplied(ServiceName Service, Freshness State) : ServiceNews(Service);

    /// <summary>The largest checkpoint, in bytes: it crosses in one message.</summary>
    public const int MaxCheckpointBytes = 8 << 20;
}
