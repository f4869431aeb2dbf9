using System.CommandLine;
using Carillon.CommandLine;
using Carillon.Development;

namespace Carillon.Commands;

/// <summary><c>carillon dev</c>: a whole cluster on this machine.</summary>
internal static class DevCommand
{
    // Each server takes ten ports' room; 64 is the most that a cluster may have.
    private const int MaxServers = 64;

    public static Command Create(CommandRunner runner)
    {
        var servers = new Option<int>("--servers") { Description = "How many", HelpName = "N", DefaultValueFactory = _ => 3 };
        var data = new Option<string?>("--data")
        {
            Description = "Folder of the cluster, kept from run to run [~/.local/share/carillon/dev]",
            HelpName = "DIR",
        };
        var port = new Option<int>("--port")
        {
            Description = "HTTP of the first server; the next ones' are 10 higher each",
            HelpName = "N",
            DefaultValueFactory = _ => 7410,
        };
        var ephemeral = new Option<bool>("--ephemeral") { Description = "A fresh folder, removed at the end" };
        var restart = new Option<bool>("--restart") { Description = "Start a server again that has died" };
        var demo = new Option<bool>("--demo")
        {
            Description = "Show what it can do, step by step, and end; in a fresh folder unless --data names one",
        };
        var command = new DocumentedCommand("dev", "Run a whole cluster on this machine, until Ctrl-C")
        {
            Examples = ["carillon dev", "carillon dev --demo", "carillon dev --servers 5 --data ./cluster --port 8000"],
        };
        foreach (Option option in new Option[] { servers, data, port, ephemeral, restart, demo })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            ParseResult parse = context.Parse;
            int count = parse.GetValue(servers);
            int first = parse.GetValue(port);
            if (count is < 1 or > MaxServers)
            {
                throw new UsageException($"--servers {count}: use 1 to {MaxServers}");
            }

            if (first < 1 || first + (10 * count) > 65536)
            {
                throw new UsageException($"--port {first}: use 1 to {65536 - (10 * count)}");
            }

            string? given = parse.GetValue(data);
            if (given is not null && parse.GetValue(ephemeral))
            {
                throw new UsageException("--ephemeral makes a folder of its own; leave --data out");
            }

            bool temporary = parse.GetValue(ephemeral) || (parse.GetValue(demo) && given is null);
            string path = given ?? (temporary ? Directory.CreateTempSubdirectory("carillon-dev-").FullName : DefaultFolder());
            using DevFolder folder = DevFolder.Open(path, count, first, temporary);
            return await RunAsync(context, folder, parse.GetValue(demo), parse.GetValue(restart));
        });
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, DevFolder folder, bool demo, bool restart)
    {
        await using var cluster = new DevCluster(folder);
        cluster.Start();
        await cluster.WaitReadyAsync(context.Cancellation);
        await context.Out.WriteLineAsync($"carillon dev ready: {string.Join(' ', cluster.Servers.Select(s => s.Address))}");
        await context.Out.FlushAsync();
        if (demo)
        {
            await new DevTour(cluster, context).RunAsync();
            return ExitCode.Ok;
        }

        context.Say($"data in {folder.Path}; Ctrl-C ends it. Try, with CARILLON_SERVER={cluster.Addresses}:");
        context.Say("  carillon bucket create files && carillon put README.md files/readme");
        await cluster.WatchAsync(restart, context.Error.WriteLine, context.Cancellation);
        return ExitCode.Ok;
    }

    private static string DefaultFolder() =>
        Path.Combine(Environment.GetFolderPath(
            Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create), "carillon", "dev");
}
