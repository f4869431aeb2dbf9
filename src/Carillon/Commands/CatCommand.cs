using System.CommandLine;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon cat</c>: an object's bytes on standard output.</summary>
internal static class CatCommand
{
    public static Command Create(CommandRunner runner)
    {
        var source = new Argument<string>("BUCKET/NAME") { Description = "What to write to standard output" };
        Option<string?> version = VersionOptions.Version();
        Option<string> consistency = VersionOptions.Consistency();
        var command = new DocumentedCommand("cat", "Write a file's content to standard output")
        {
            Examples = ["carillon cat files/a.txt", "carillon cat files/a.txt --consistency local"],
        };
        command.Add(source);
        command.Add(version);
        command.Add(consistency);
        runner.Run(command, async context =>
        {
            var options = new GetOptions { Version = context.Parse.GetValue(
                version), Local = context.Parse.GetValue(consistency) == "local" };
            using CarillonClient client = context.CreateClient();
            await using Stream output = Console.OpenStandardOutput();
            await client.GetToStreamAsync(
                CommandContext.Target(context.Parse.GetRequiredValue(source)), output, options, context.Cancellation);
            return ExitCode.Ok;
        });
        return command;
    }
}
