using System.CommandLine;
using Carillon.CommandLine;
using Carillon.Options;

namespace Carillon.Commands;

/// <summary><c>carillon config show</c>: what a server would run with, and why.</summary>
internal static class ConfigCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand(
            "config", "Look at a server's configuration") { Examples = ["carillon config show --config s1/server.json --origin"] };
        command.Add(Show(runner));
        return command;
    }

    private static DocumentedCommand Show(CommandRunner runner)
    {
        Option<string?> file = ServerCommand.ConfigFile();
        Option<string[]> set = ServerCommand.Set();
        var origin = new Option<bool>("--origin") { Description = "Also tell where each value came from" };
        var command = new DocumentedCommand("show", "Show every option with its value: file, under environment, under flags")
        {
            Examples = ["carillon config show", "CARILLON__PUSH__TIMEOUT=5s carillon config show --config s1/server.json --origin"],
        };
        command.Add(file);
        command.Add(set);
        command.Add(origin);
        runner.Run(command, context =>
        {
            string? path = context.Parse.GetValue(file);
            Configuration configuration = ConfigurationLoader.Load(
                path, ConfigurationLoader.ProcessEnvironment(), context.Parse.GetValue(set) ?? []);
            if (!configuration.IsRead)
            {
                return Task.FromResult(ServerCommand.Refuse(context, path ?? "", configuration));
            }

            // Without a file there is no server to be wrong about.
            Write(context, configuration, context.Parse.GetValue(origin));
            return Task.FromResult(path is null || configuration.Faults.IsEmpty
                ? ExitCode.Ok
                : ServerCommand.Refuse(context, path, configuration));
        });
        return command;
    }

    private static void Write(CommandContext context, Configuration configuration, bool origin)
    {
        switch (context.Format)
        {
            case OutputFormat.Name:
                foreach (ConfigurationValue value in configuration.Values)
                {
                    context.Out.WriteLine(value.Key);
                }

                break;
            case OutputFormat.Table:
                TextTable table = origin ? new TextTable("KEY", "VALUE", "ORIGIN") : new TextTable("KEY", "VALUE");
                foreach (ConfigurationValue value in configuration.Values)
                {
                    table.Add(origin ? [value.Key, value.Text, value.Origin] : [value.Key, value.Text]);
                }

                table.Write(context.Out);
                break;
            default:
                context.WriteJson(writer =>
                {
                    writer.WriteStartObject();
                    foreach (ConfigurationValue value in configuration.Values)
                    {
                        writer.WriteStartObject(value.Key);
                        writer.WriteString("value", value.Text);
                        writer.WriteString("origin", value.Origin);
                        writer.WriteEndObject();
                    }

                    writer.WriteEndObject();
                });
                break;
        }
    }
}
