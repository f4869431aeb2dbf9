using Carillon.CommandLine;
using Carillon.Options;

namespace Carillon.Commands;

/// <summary>Puts a server together from its configuration, and runs it.</summary>
internal static class ServerComposition
{
    /// <summary>Runs until it is asked to stop, or can't go on.</summary>
    public static Task<int> RunAsync(ServerOptions options, CommandContext context, CancellationToken stop)
    {
        stop.ThrowIfCancellationRequested();
        throw new ExitException(
            ExitCode.Failed, $"server {options.Name}: this build of {nameof(Carillon)} has no server in it ({context.Format})");
    }
}
