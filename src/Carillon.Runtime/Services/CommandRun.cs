using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Guarding;

namespace Carillon.Runtime.Services;

/// <summary>One run of a command under its guard.</summary>
internal sealed class CommandRun(GuardProcess guard, bool isPrimary, Epoch epoch, ImmutableArray<string> command, Instant since)
{
    public GuardProcess Guard { get; } = guard;

    public bool IsPrimary { get; } = isPrimary;

    /// <summary>A primary's.</summary>
    public Epoch Epoch { get; } = epoch;

    public ImmutableArray<string> Command { get; } = command;

    public Instant Since { get; } = since;

    /// <summary>It was asked to stop: its end is no failure.</summary>
    public bool StopAsked { get; set; }

    /// <summary>Its lease came to an end, and its guard stops it.</summary>
    public bool Lapsed { get; set; }

    /// <summary>How the command ended.</summary>
    public string Status { get; set; } = "unknown";
}
