using System.Text.Json.Serialization;

namespace Carillon.Simulator.Checkers;

/// <summary>What a client asked for.</summary>
public enum HistoryAction
{
    /// <summary>Give a name a value.</summary>
    Put,

    /// <summary>Take a name's value away.</summary>
    Delete,

    /// <summary>Tell a name's value, linearizably.</summary>
    Get,
}

/// <summary>What the client knows of the end.</summary>
public enum HistoryOutcome
{
    /// <summary>It was done.</summary>
    Ok,

    /// <summary>It was not done, and never will be.</summary>
    Failed,

    /// <summary>It may have been done, may be done later, or never.</summary>
    Unknown,
}

/// <summary>One operation of one client on one name, as the client saw it.</summary>
public sealed record HistoryEntry
{
    /// <summary>Who asked; for people who read a verdict.</summary>
    public string Client { get; init; } = "";

    /// <summary>What was asked.</summary>
    public required HistoryAction Action { get; init; }

    /// <summary>Bucket and name.</summary>
    public required string Name { get; init; }

    /// <summary>
    /// The value written, or read; null for "absent" (and for a delete). Any text that stands for the content: writers that use a value
    /// once make the check both stronger and faster.
    /// </summary>
    public string? Value { get; init; }

    /// <summary>
    /// True for a put or delete that takes effect only where the name has the value <see cref="Expected"/>. One that was refused is a get
    /// of what it met.
    /// </summary>
    [JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingDefault)]
    public bool IsConditional { get; init; }

    /// <summary>What a conditional one expects; null for "absent".</summary>
    public string? Expected { get; init; }

    /// <summary>When it was asked, on one clock for the whole history, in any unit.</summary>
    public required long Invoked { get; init; }

    /// <summary>When the answer came; null where none did. Only looked at where <see cref="Outcome"/> is ok.</summary>
    public long? Returned { get; init; }

    /// <summary>How it ended.</summary>
    public required HistoryOutcome Outcome { get; init; }
}

/// <summary>JSON of histories: one entry a line, camel case, enumerations as text.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, UseStringEnumConverter = true,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(HistoryEntry))]
internal sealed partial class HistoryJson : JsonSerializerContext;
