using System.CommandLine;
using Carillon.Client;

namespace Carillon.CommandLine;

/// <summary>Runs a command's work, and turns whatever goes wrong into one report and an exit code.</summary>
/// <param name="global">The options that every command takes.</param>
/// <param name="interruption">The exit code that a signal asks for, once one came; null for a program that takes none.</param>
internal sealed class CommandRunner(GlobalOptions global, Func<int?>? interruption = null)
{
    public GlobalOptions Global { get; } = global;

    /// <summary>Gives a command its work.</summary>
    public void Run(Command command, Func<CommandContext, Task<int>> work) =>
        command.SetAction((parse, cancellation) => RunAsync(parse, cancellation, work));

    private async Task<int> RunAsync(ParseResult parse, CancellationToken cancellation, Func<CommandContext, Task<int>> work)
    {
        try
        {
            var context = new CommandContext(Global, parse, cancellation, interruption);
            int code = await work(context);
            // A server or a cluster that was asked to stop, and did, has done what it should.
            return code == ExitCode.Ok ? code : context.Interruption ?? code;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return interruption?.Invoke() ?? ExitCode.Interrupted;
        }
        catch (Exception fault)
        {
            ErrorReport report = ReportOf(fault);
            report = report with { ExitCode = interruption?.Invoke() ?? report.ExitCode };
            report.Write(parse.InvocationConfiguration.Error, WantsJson(parse));
            if (Global.IsDebug(parse))
            {
                await parse.InvocationConfiguration.Error.WriteLineAsync(fault.ToString());
            }

            return report.ExitCode;
        }
    }

    /// <summary>True where an error is to be an object; a bad -o, or one without its value, counts as text.</summary>
    public bool WantsJson(ParseResult parse)
    {
        try
        {
            return Global.Format(parse) is OutputFormat.Json or OutputFormat.JsonLines;
        }
        catch (Exception fault) when (fault is UsageException or InvalidOperationException)
        {
            return false;
        }
    }

    private static string WordOf(int exitCode) => exitCode switch
    {
        ExitCode.Usage => "usage",
        ExitCode.NotFound => "not-found",
        ExitCode.NoQuorum => "no-quorum",
        ExitCode.TimedOut => "timeout",
        _ => "failed",
    };

    private static ErrorReport ReportOf(Exception fault) => fault switch
    {
        CarillonException carillon => ErrorReport.Of(carillon),
        UsageException => new ErrorReport { ExitCode = ExitCode.Usage, Message = fault.Message, Code = "usage" },
        ExitException exit => new ErrorReport { ExitCode = exit.Code, Message = fault.Message, Code = WordOf(exit.Code) },
        IOException io when ExitCode.Of(io) == ExitCode.Full => new ErrorReport
        {
            ExitCode = ExitCode.Full, Message = fault.Message, Code = "full",
        },
        IOException or UnauthorizedAccessException => new ErrorReport { ExitCode = ExitCode.Failed, Message = fault.Message, Code = "io" },
        // A fault of the program itself; --debug shows where.
        _ => new ErrorReport { ExitCode = ExitCode.Failed, Message = $"{fault.GetType().Name}: {fault.Message}", Code = "internal",
            Advice = "run it again with --debug" },
    };
}
