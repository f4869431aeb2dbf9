using System.CommandLine;
using Carillon.CommandLine;
using Carillon.Options;

namespace Carillon.Commands;

/// <summary><c>carillon server</c>: one server, in the foreground.</summary>
internal static class ServerCommand
{
    public static Command Create(CommandRunner runner)
    {
        Option<string?> file = ConfigFile();
        file.Required = true;
        Option<string[]> set = Set();
        var check = new Option<bool>("--check") { Description = "Check the configuration, and exit" };
        var untilInputEnds = new Option<bool>("--until-stdin-ends")
        {
            Description = "Stop when standard input ends: no server outlives what started it",
        };
        var command = new DocumentedCommand("server", "Run one server in the foreground; SIGTERM stops it in good order")
        {
            Examples = ["carillon server --config /etc/carillon/s1/server.json", "carillon server --config s1/server.json --check"],
        };
        command.Add(file);
        command.Add(set);
        command.Add(check);
        command.Add(untilInputEnds);
        runner.Run(command, async context =>
        {
            string path = context.Parse.GetRequiredValue(file)!;
            Configuration configuration = ConfigurationLoader.Load(
                path, ConfigurationLoader.ProcessEnvironment(), context.Parse.GetValue(set) ?? []);
            if (!configuration.Faults.IsEmpty)
            {
                return Refuse(context, path, configuration);
            }

            if (context.Parse.GetValue(check))
            {
                ServerComposition.Check(configuration.Options);
                context.Say($"{path} is right: server {configuration.Options.Name} of cluster {configuration.Options.Cluster.Name}");
                return ExitCode.Ok;
            }

            using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.Cancellation);
            if (context.Parse.GetValue(untilInputEnds))
            {
                _ = StopAtEndOfInputAsync(stop);
            }

            return await ServerComposition.RunAsync(configuration.Options, context, stop.Token);
        });
        return command;
    }

    /// <summary>The option that names a configuration file.</summary>
    public static Option<string?> ConfigFile() => new("--config") { Description = "The server's configuration, JSON", HelpName = "FILE" };

    /// <summary>The option that sets single values.</summary>
    public static Option<string[]> Set() => new("--set")
    {
        Description = "One value, over file and environment; may be repeated", HelpName = "SECTION.KEY=VALUE",
            AllowMultipleArgumentsPerToken = false,
    };

    /// <summary>Tells what is wrong with a configuration, a line each.</summary>
    public static int Refuse(CommandContext context, string file, Configuration configuration)
    {
        foreach (string fault in configuration.Faults)
        {
            new ErrorReport { ExitCode = ExitCode.Usage, Code = "configuration", Message = fault.StartsWith(file, StringComparison.Ordinal)
                ? fault
                : $"{file}: {fault}" }
                .Write(context.Error, context.IsJson);
        }

        return ExitCode.Usage;
    }

    private static async Task StopAtEndOfInputAsync(CancellationTokenSource stop)
    {
        try
        {
            byte[] buffer = new byte[64];
            await using Stream input = Console.OpenStandardInput();
            while (await input.ReadAsync(buffer) > 0)
            {
                // Nothing is said to a server this way; only the end counts.
            }

            await stop.CancelAsync();
        }
        catch (Exception end) when (end is IOException or ObjectDisposedException)
        {
            // A broken pipe is an end as well; a disposed source means that the server has stopped by itself.
            if (end is IOException)
            {
                await stop.CancelAsync();
            }
        }
    }
}
