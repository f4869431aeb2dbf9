using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;
using System.Runtime.InteropServices;
using Carillon.CommandLine;
using Carillon.Commands;
using Carillon.Runtime.Guarding;

namespace Carillon;

/// <summary>The executable: reads the command line, runs one command, and ends with its code.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] arguments)
    {
        // A guard is a process of its own that must be up at once: it needs none of what commands need.
        if (arguments is [GuardProgram.Word])
        {
            return GuardProgram.Run();
        }

        return await RunAsync(arguments);
    }

    private static async Task<int> RunAsync(string[] arguments)
    {
        using var interruption = new Interruption();
        var configuration = new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false };
        var runner = new CommandRunner(new GlobalOptions(), () => interruption.Code);
        return await RunAsync(arguments, configuration, runner, interruption.Token);
    }

    /// <summary>Runs one command line.</summary>
    internal static async Task<int> RunAsync(
        IReadOnlyList<string> arguments, InvocationConfiguration configuration, CommandRunner runner, CancellationToken cancellation)
    {
        RootCommand root = CreateRoot(runner);
        if (arguments.Count == 0)
        {
            arguments = ["--help"];
        }

        ParseResult parse = root.Parse(WriteOptions.WithPlainFlag(arguments), new ParserConfiguration { ResponseFileTokenReplacer = null });
        bool isHelp = parse.Action is not null && parse.Action is not ParseErrorAction
            && parse.Action != parse.CommandResult.Command.Action;
        if (!isHelp && ParseFaults.Report(parse) is { } report)
        {
            report.Write(configuration.Error, runner.WantsJson(parse));
            return report.ExitCode;
        }

        return await parse.InvokeAsync(configuration, cancellation);
    }

    /// <summary>The whole tree of commands.</summary>
    internal static RootCommand CreateRoot(CommandRunner runner)
    {
        var root = new RootCommand("Carillon: put a file in at any server; a quorum keeps it, whatever minority dies.");
        foreach (Option option in runner.Global.All)
        {
            root.Add(option);
        }

        foreach (HelpOption help in root.Options.OfType<HelpOption>())
        {
            help.Action = new HelpWithExamples((HelpAction)help.Action!);
        }

        root.Add(DevCommand.Create(runner));
        root.Add(ClusterCommand.Create(runner));
        root.Add(ServerCommand.Create(runner));
        root.Add(PutCommand.Create(runner));
        root.Add(GetCommand.Create(runner));
        root.Add(CatCommand.Create(runner));
        root.Add(ListCommand.Create(runner));
        root.Add(StatCommand.Create(runner));
        root.Add(RemoveCommand.Create(runner));
        root.Add(CopyCommand.Create(runner));
        root.Add(ChangesetCommand.Create(runner));
        root.Add(BucketCommand.Create(runner));
        root.Add(WatchCommand.Create(runner));
        root.Add(GroupCommand.Create(runner));
        root.Add(PublishCommand.Create(runner));
        root.Add(SubscribeCommand.Create(runner));
        root.Add(ServiceCommand.Create(runner));
        root.Add(BackupCommand.Create(runner));
        root.Add(RestoreCommand.Create(runner));
        root.Add(SubmissionCommand.Create(runner));
        root.Add(ExplainCommand.Create(runner));
        root.Add(CheckCommand.Create(runner));
        root.Add(DoctorCommand.Create(runner));
        root.Add(ConfigCommand.Create(runner));
        root.Add(CompletionCommand.Create(runner));
        root.Add(BenchCommand.Create(runner));
        return root;
    }

    /// <summary>The first SIGINT or SIGTERM asks the command to stop; the second ends the program at once.</summary>
    private sealed class Interruption : IDisposable
    {
        private readonly CancellationTokenSource _source = new();
        private readonly PosixSignalRegistration _interrupt;
        private readonly PosixSignalRegistration _terminate;

        public Interruption()
        {
            _interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, signal => Stop(signal, ExitCode.Interrupted));
            _terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, signal => Stop(signal, ExitCode.Terminated));
        }

        public CancellationToken Token => _source.Token;

        /// <summary>The exit code that a signal asks for, once one came.</summary>
        public int? Code { get; private set; }

        public void Dispose()
        {
            _interrupt.Dispose();
            _terminate.Dispose();
            _source.Dispose();
        }

        private void Stop(PosixSignalContext signal, int code)
        {
            if (Code is not null)
            {
                Environment.Exit(Code.Value);
            }

            signal.Cancel = true;
            Code = code;
            // Off the signal's thread: what is cancelled runs its continuations there.
            _ = Task.Run(_source.Cancel);
        }
    }
}
