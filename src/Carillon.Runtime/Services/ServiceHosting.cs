using Carillon.Runtime.Guarding;

namespace Carillon.Runtime.Services;

/// <summary>How a server runs the services that it provides.</summary>
public sealed record ServiceHosting
{
    /// <summary>How guards are started; null where this server runs no commands.</summary>
    public GuardLauncher? Guard { get; init; }

    /// <summary>Where commands find this server's HTTP interface (<c>CARILLON_SERVER</c>, unless it is set already); empty for
    /// nothing.</summary>
    public string ServerAddress { get; init; } = "";

    /// <summary>The wait before a command that ended is started again; doubled with each end that follows soon. Too low: a command that
    /// can't run keeps a processor busy.</summary>
    public TimeSpan RestartDelay { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The longest of these waits. Too high: a cure is noticed late.</summary>
    public TimeSpan LongestRestartDelay { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>A command that has run for so long was well: its earlier ends are forgotten.</summary>
    public TimeSpan WellAfter { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>After so many ends in a row, each soon after the start, the provider has failed and another server may take
    /// over.</summary>
    public int MaxShortLives { get; init; } = 3;

    /// <summary>How often a checkpoint file is looked at. Too high: more is lost with the primary.</summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromMilliseconds(250);

    /// <summary>How often a missing program is looked for.</summary>
    public TimeSpan ProgramInterval { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>A provider process that is silent for so long has lost its session.</summary>
    public TimeSpan SessionTimeout { get; init; } = TimeSpan.FromMilliseconds(1500);
}
