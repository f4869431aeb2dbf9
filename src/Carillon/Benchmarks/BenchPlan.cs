using System.Collections.Immutable;

namespace Carillon.Benchmarks;

/// <summary>What a benchmark does.</summary>
internal sealed record BenchPlan
{
    /// <summary>True for puts, false for gets.</summary>
    public required bool Puts { get; init; }

    /// <summary>Numbers of clients, one level after the other.</summary>
    public required ImmutableArray<int> Clients { get; init; }

    /// <summary>Bytes of an object.</summary>
    public required long Size { get; init; }

    /// <summary>Operations a level; null: as many as the duration allows.</summary>
    public int? Count { get; init; }

    /// <summary>How long a level runs, where no count is given.</summary>
    public required TimeSpan Duration { get; init; }

    public required string Bucket { get; init; }

    /// <summary>What a put waits for, as <c>Carillon-Ack</c> says it; null: what a put waits for by itself.</summary>
    public string? Ack { get; init; }

    /// <summary>Folder for the machine's limits, and for gets to files; on the disk that is meant.</summary>
    public required string Scratch { get; init; }

    /// <summary>Gets write files, as <c>carillon get</c> does, instead of dropping the bytes.</summary>
    public bool ToFile { get; init; }
}

/// <summary>What one level of a benchmark came to.</summary>
internal sealed record BenchLevel
{
    public required int Clients { get; init; }

    public required long Operations { get; init; }

    /// <summary>Operations that did not come out, with one of their reasons.</summary>
    public required long Errors { get; init; }

    public string? FirstError { get; init; }

    public required double Seconds { get; init; }

    public required double MedianMs { get; init; }

    /// <summary>99 of 100 took no longer.</summary>
    public required double Percentile99Ms { get; init; }

    public required double LongestMs { get; init; }

    /// <summary>Flushes of all servers together per operation, as their metrics count them; null where they do not.</summary>
    public double? FlushesPerOperation { get; init; }

    public double PerSecond => Operations / Math.Max(Seconds, 1e-9);
}
