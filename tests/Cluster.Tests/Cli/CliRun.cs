using System.CommandLine;
using Carillon.CommandLine;

namespace Cluster.Tests.Cli;

/// <summary>Runs a command line within the test's own process.</summary>
internal sealed record CliRun(int Code, string Output, string Error)
{
    /// <summary>Runs it, with an environment of its own.</summary>
    public static async Task<CliRun> OfAsync(string[] arguments, Dictionary<string, string>? environment = null)
    {
        var output = new StringWriter();
        var error = new StringWriter();
        var configuration = new InvocationConfiguration { Output = output, Error = error, EnableDefaultExceptionHandler = false };
        var global = new GlobalOptions(name => environment?.GetValueOrDefault(name));
        int code = await Carillon.Program.RunAsync(arguments, configuration, CancellationToken.None, global);
        return new CliRun(code, output.ToString(), error.ToString());
    }
}
