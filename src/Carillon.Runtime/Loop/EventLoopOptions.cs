namespace Carillon.Runtime.Loop;

/// <summary>Bounds of an <see cref="EventLoop{TWork}"/>.</summary>
public sealed record EventLoopOptions
{
    /// <summary>Name of the thread, and of the loop in metrics.</summary>
    public string Name { get; init; } = "event loop";

    /// <summary>
    /// Items that may wait. Too low: posters are held up in bursts. Too high: memory, and answers that come after their askers
    /// have given up.
    /// </summary>
    public int QueueLimit { get; init; } = 8192;

    /// <summary>Items handled before outputs leave. Too low: flushes and writes are shared by few. Too high: the first item's answer waits
    /// for the last.</summary>
    public int BatchLimit { get; init; } = 256;

    /// <summary>
    /// A turn of this length says that there is a load: the next one is left to the loop's thread, and begins after a yield, so that more
    /// items share it. Longer than a turn that handles one small message, shorter than one that handles a dozen.
    /// </summary>
    public TimeSpan LongTurn { get; init; } = TimeSpan.FromMicroseconds(80);

    /// <summary>All faults of these options; empty if there is none.</summary>
    public IReadOnlyList<string> Validate()
    {
        List<string> faults = [];
        if (QueueLimit is < 1 or > 1 << 24)
        {
            faults.Add($"QueueLimit is {QueueLimit}: use 1 to {1 << 24}.");
        }

        if (BatchLimit < 1)
        {
            faults.Add($"BatchLimit is {BatchLimit}: use 1 or more.");
        }

        if (LongTurn < TimeSpan.Zero)
        {
            faults.Add($"LongTurn is {LongTurn}: use 0 or more.");
        }

        return faults;
    }
}
