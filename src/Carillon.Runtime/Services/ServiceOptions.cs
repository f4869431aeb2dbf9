using Carillon.Runtime.Guarding;

namespace Carillon.Runtime.Services;

/// <summary>How a server runs the services that it provides.</summary>
public sealed record ServiceOptions
{
    /// <summary>How guards are started; null where this server runs no commands.</summary>
    public GuardLauncher? Guard { get; init; }

    /// <summary>Whether this server runs the commands of services. Off: it provides only what programs of one's own have sessions
    /// for.</summary>
    public bool Commands { get; init; } = true;

    /// <summary>Where commands find a server (<c>CARILLON_SERVER</c>); empty for this server's own address.</summary>
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

    /// <summary>All faults of these settings, none if they are good.</summary>
    public IEnumerable<string> Validate()
    {
        if (RestartDelay < TimeSpan.FromMilliseconds(10) || LongestRestartDelay < RestartDelay)
        {
            yield return "services.restartDelay is at least 10 ms, and services.longestRestartDelay not below it";
        }

        if (MaxShortLives < 1 || WellAfter < TimeSpan.Zero)
        {
            yield return "services.maxShortLives is at least 1, and services.wellAfter at least 0";
        }

        if (CheckpointInterval < TimeSpan.FromMilliseconds(10) || ProgramInterval < TimeSpan.FromMilliseconds(100))
        {
            yield return "services.checkpointInterval is at least 10 ms, and services.programInterval at least 100 ms";
        }

        if (SessionTimeout < TimeSpan.FromMilliseconds(300))
        {
            yield return "services.sessionTimeout is at least 300 ms";
        }
    }
}
