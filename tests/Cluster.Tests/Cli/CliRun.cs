using System.CommandLine;
using Carillon.CommandLine;

namespace Cluster.Tests.Cli;

/// <summary>Runs a command line within the test's own process.</summary>
internal sealed record CliRun(int Code, string Output, string Error)
{
    /// <summary>Runs it, with an environment of its own.</summary>
    public static Task<CliRun> OfAsync(string[] arguments, Dictionary<string, string>? environment = null) =>
        OfAsync(arguments, environment, null, CancellationToken.None);

    /// <summary>Runs it, and lets a signal come.</summary>
    public static async Task<CliRun> OfAsync(
        string[] arguments, Dictionary<string, string>? environment, Func<int?>? interruption, CancellationToken cancellation)
    {
        var output = new StringWriter();
        var error = new StringWriter();
        var configuration = new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false };
        var global = new GlobalOptions(name => environment?.GetValueOrDefault(name));
        int code = await Carillon.Program.RunAsync(arguments, configuration, new CommandRunner(global, interruption), cancellation);
        return new CliRun(code, output.ToString(), error.ToString());
    }
}
