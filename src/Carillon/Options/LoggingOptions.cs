using Microsoft.Extensions.Logging;

namespace Carillon.Options;

/// <summary>Section <c>logging</c>: what a server says, on its standard output.</summary>
public sealed record LoggingOptions
{
    /// <summary>The least grave news that is told. Lower: every connection and request; higher: only what goes wrong.</summary>
    public LogLevel Level { get; init; } = LogLevel.Information;
}
