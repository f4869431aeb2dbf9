using System.CommandLine;
using Carillon.Client;

namespace Carillon.CommandLine;

/// <summary>Runs a command's work, and turns whatever goes wrong into one report and an exit code.</summary>
internal sealed class CommandRunner(GlobalOptions global)
{
    public GlobalOptions Global { get; } = global;

    /// <summary>Gives a command its work.</summary>
    public void Run(Command command, Func<CommandContext, Task<int>> work) =>
        command.SetAction((parse, cancellation) => RunAsync(parse, cancellation, work));

    private async Task<int> RunAsync(ParseResult parse, CancellationToken cancellation, Func<CommandContext, Task<int>> work)
    {
        try
        {
            return await work(new CommandContext(Global, parse, cancellation));
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The signal's own code takes this one's place.
            return ExitCode.Interrupted;
        }
        catch (Exception fault)
        {
            ErrorReport report = ReportOf(fault);
            report.Write(parse.InvocationConfiguration.Error, WantsJson(parse));
            if (Global.IsDebug(parse))
            {
                await parse.InvocationConfiguration.Error.WriteLineAsync(fault.ToString());
            }

            return report.ExitCode;
        }
    }

    /// <summary>True where an error is to be an object; a bad -o counts as text.</summary>
    public bool WantsJson(ParseResult parse)
    {
        try
        {
            return Global.Format(parse) is OutputFormat.Json or OutputFormat.JsonLines;
        }
        catch (UsageException)
        {
            return false;
        }
    }

    private static ErrorReport ReportOf(Exception fault) => fault switch
    {
        CarillonException carillon => ErrorReport.Of(carillon),
        UsageException => new ErrorReport { ExitCode = ExitCode.Usage, Message = fault.Message, Code = "usage" },
        ExitException exit => new ErrorReport { ExitCode = exit.Code, Message = fault.Message, Code = "failed" },
        IOException or UnauthorizedAccessException => new ErrorReport { ExitCode = ExitCode.Failed, Message = fault.Message, Code = "io" },
        // A fault of the program itself; --debug shows where.
        _ => new ErrorReport { ExitCode = ExitCode.Failed, Message = $"{fault.GetType().Name}: {fault.Message}", Code = "internal",
            Advice = "run it again with --debug" },
    };
}
