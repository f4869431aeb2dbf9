namespace Carillon.Client;

/// <summary>What to list.</summary>
public sealed record ListOptions
{
    /// <summary>Only names that begin with this.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>Names that share what comes up to this after the prefix are told as one prefix; null: all names.</summary>
    public string? Delimiter { get; init; }

    /// <summary>Only names after this one, or where a former page ended.</summary>
    public string? After { get; init; }

    /// <summary>Names a page. Too low: round trips; too high: memory at both ends.</summary>
    public int PageSize { get; init; } = 1000;

    /// <summary>Every kept version and tombstone, not only the current versions.</summary>
    public bool Versions { get; init; }
}
