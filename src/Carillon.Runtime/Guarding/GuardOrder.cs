using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Protocols;

namespace Carillon.Runtime.Guarding;

/// <summary>What a guard is to run.</summary>
internal sealed record GuardRun
{
    /// <summary>Program and arguments.</summary>
    public ImmutableArray<string> Arguments { get; init; } = [];

    /// <summary>Its whole environment, each <c>NAME=value</c>.</summary>
    public ImmutableArray<string> Environment { get; init; } = [];

    /// <summary>
    /// A file whose lock the run holds, and all that it starts: nothing is started while anything of an earlier run has it.
    /// </summary>
    public string LockFile { get; init; } = "";

    /// <summary>Milliseconds from SIGTERM to SIGKILL; less where the lease leaves less.</summary>
    public long GraceMilliseconds { get; init; }

    /// <summary>The lease's end, in ticks of <see cref="SystemClock"/>; the greatest number for none.</summary>
    public long LeaseEnd { get; init; }
}

/// <summary>JSON of the pipe to a guard.</summary>
[JsonSerializable(typeof(GuardRun))]
internal sealed partial class GuardJson : JsonSerializerContext;

/// <summary>
/// The lines of the pipe between server and guard. To the guard: <c>run JSON</c> once, <c>lease TICKS</c>, <c>stop TICKS</c>; the pipe's
/// end means that the server is gone. From it: <c>ready</c>, <c>started PID</c>, <c>failed WHY</c>, <c>lapsed</c> (the lease
/// ends), <c>exited STATUS</c>, and <c>gone</c> when nothing of the run is left.
/// </summary>
internal static class GuardOrder
{
    /// <summary>The longest line; arguments and environment of a command are far shorter.</summary>
    public const int MaxLineBytes = 4 << 20;

    public static string Run(GuardRun run) => "run " + JsonSerializer.Serialize(run, GuardJson.Default.GuardRun);

    public static string Lease(Instant end) => string.Create(CultureInfo.InvariantCulture, $"lease {end.Ticks}");

    public static string Stop(Instant deadline) => string.Create(CultureInfo.InvariantCulture, $"stop {deadline.Ticks}");
}
