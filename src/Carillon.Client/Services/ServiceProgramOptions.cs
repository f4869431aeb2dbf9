namespace Carillon.Client.Services;

/// <summary>How a program provides a service.</summary>
public sealed record ServiceProgramOptions
{
    /// <summary>
    /// A folder where the newest checkpoint is kept, so that the program knows its state when it starts again; null: it starts empty. Each
    /// program needs one of its own.
    /// </summary>
    public string? Folder { get; init; }

    /// <summary>How often the primary's state is asked for. Too low: work for nothing. Too high: more is lost with the primary.</summary>
    public TimeSpan CheckpointInterval { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>How often the program asks how long its lease goes on. Too high: a server takes it for dead (after 1.5 s).</summary>
    public TimeSpan LeaseInterval { get; init; } = TimeSpan.FromMilliseconds(200);

    /// <summary>The part of the remaining lease that is kept for stopping: the service is told so long before it ends.</summary>
    public TimeSpan StopTime { get; init; } = TimeSpan.FromMilliseconds(500);

    /// <summary>The wait before a lost session is opened again.</summary>
    public TimeSpan ReopenDelay { get; init; } = TimeSpan.FromMilliseconds(300);

    /// <summary>
    /// What happens when the lease is over and the service has not stopped. The program ends itself, unless this is changed: one that
    /// goes on as primary without a lease breaks what the service promises.
    /// </summary>
    public Action<string> Overrun { get; init; } = Environment.FailFast;

    /// <summary>Sessions with the client's first server only: for a program that belongs to one server, and dies with it.</summary>
    public bool FirstServerOnly { get; init; }

    /// <summary>Told what happens, in plain words; for a log.</summary>
    public Action<string>? Observer { get; init; }
}
