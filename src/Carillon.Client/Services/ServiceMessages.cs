using System.Collections.Immutable;
using System.Text.Json.Serialization;

namespace Carillon.Client.Services;

/// <summary>What an operator wants of a service.</summary>
public sealed record ServiceSettings
{
    /// <summary>The servers that may provide it.</summary>
    public ImmutableArray<string> Providers { get => field.IsDefault ? [] : field; init; } = [];

    /// <summary>The server that is chosen where nothing else speaks for another.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Prefer { get; init; }

    /// <summary>How many secondaries the primary keeps up to date.</summary>
    public int Secondaries { get; init; }

    /// <summary>The service on whose primary's server this one's primary must be, or null.</summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? With { get; init; }

    /// <summary>Program and arguments that the primary's server runs; empty where a program of one's own has a session.</summary>
    public ImmutableArray<string> Command { get => field.IsDefault ? [] : field; init; } = [];

    /// <summary>What the secondaries' servers run meanwhile; empty for nothing.</summary>
    public ImmutableArray<string> SecondaryCommand { get => field.IsDefault ? [] : field; init; } = [];

    /// <summary>A file below the service's working directory that is carried to the secondaries when it changes; empty for none.</summary>
    public string CheckpointFile { get => field ?? ""; init; } = "";

    /// <summary>Milliseconds from SIGTERM to SIGKILL, where the lease leaves so much.</summary>
    public long GraceMs { get; init; } = 1000;
}

/// <summary>What one server is to a service.</summary>
public sealed record ServiceProviderRole
{
    public string Node { get => field ?? ""; init; } = "";

    /// <summary><c>primary</c>, <c>secondary</c> or <c>spare</c>.</summary>
    public string Role { get => field ?? ""; init; } = "";
}

/// <summary>One change of primary.</summary>
public sealed record ServiceChange
{
    /// <summary>The epoch that began.</summary>
    public ulong Epoch { get; init; }

    /// <summary>Who became primary.</summary>
    public string? Primary { get; init; }

    /// <summary>When.</summary>
    public DateTimeOffset? At { get; init; }

    /// <summary>Why the one before ended.</summary>
    public string Reason { get => field ?? ""; init; } = "";

    /// <summary>Milliseconds without a primary; null where it is not known.</summary>
    public double? GapMs { get; init; }
}

/// <summary>A service as one server knows it.</summary>
public sealed record ServiceInfo
{
    public string Name { get => field ?? ""; init; } = "";

    /// <summary>The server that holds the lease, as far as is known; null for none.</summary>
    public string? Primary { get; init; }

    /// <summary>The newest epoch known.</summary>
    public ulong Epoch { get; init; }

    /// <summary>What goes on, in plain words.</summary>
    public string State { get => field ?? ""; init; } = "";

    public ImmutableArray<ServiceProviderRole> Roles { get => field.IsDefault ? [] : field; init; } = [];

    public ImmutableArray<string> Providers { get => field.IsDefault ? [] : field; init; } = [];

    public string? Prefer { get; init; }

    public int Secondaries { get; init; }

    public string? With { get; init; }

    public ImmutableArray<string> Command { get => field.IsDefault ? [] : field; init; } = [];

    public ImmutableArray<string> SecondaryCommand { get => field.IsDefault ? [] : field; init; } = [];

    public string CheckpointFile { get => field ?? ""; init; } = "";

    public long GraceMs { get; init; }

    /// <summary>The last changes, the newest first.</summary>
    public ImmutableArray<ServiceChange> History { get => field.IsDefault ? [] : field; init; } = [];
}

/// <summary>All services.</summary>
public sealed record ServiceList
{
    public ImmutableArray<ServiceInfo> Services { get => field.IsDefault ? [] : field; init; } = [];
}

/// <summary>How a wish about a service ended.</summary>
public sealed record ServiceAnswer
{
    public string Result { get => field ?? ""; init; } = "";

    public string Detail { get => field ?? ""; init; } = "";
}

/// <summary>Where a service's primary is.</summary>
public sealed record ServicePrimary
{
    public string Service { get => field ?? ""; init; } = "";

    /// <summary>The server.</summary>
    public string Primary { get => field ?? ""; init; } = "";

    public ulong Epoch { get; init; }

    /// <summary>The server's HTTP address, host:port.</summary>
    public string Http { get => field ?? ""; init; } = "";
}

/// <summary>Where to move a service.</summary>
internal sealed record ServiceTarget(string? Target);

/// <summary>How long a provider may go on as primary.</summary>
internal sealed record LeaseAnswer
{
    public ulong Epoch { get; init; }

    public double RemainingMs { get; init; }
}

/// <summary>How fresh a state is.</summary>
internal sealed record StateNumber
{
    public ulong Epoch { get; init; }

    public ulong Number { get; init; }
}

/// <summary>The beginning of a session.</summary>
internal sealed record SessionHello(StateNumber State);

/// <summary>One line of a session's stream.</summary>
internal sealed record SessionOrder
{
    public string Order { get => field ?? ""; init; } = "";

    public string Id { get => field ?? ""; init; } = "";

    public string Node { get => field ?? ""; init; } = "";

    public ulong Epoch { get; init; }

    public string Reason { get => field ?? ""; init; } = "";

    public string Role { get => field ?? ""; init; } = "";

    public StateNumber? State { get; init; }

    public byte[]? Content { get; init; }
}

/// <summary>What a provider tells.</summary>
internal sealed record SessionNews
{
    public required string News { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public ulong Epoch { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public string? Reason { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public StateNumber? State { get; init; }

    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)]
    public byte[]? Content { get; init; }
}
