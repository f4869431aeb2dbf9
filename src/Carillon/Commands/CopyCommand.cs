using System.CommandLine;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon cp</c>: copies within the cluster, and brings old versions back.</summary>
internal static class CopyCommand
{
    public static Command Create(CommandRunner runner)
    {
        var from = new Argument<string>("FROM") { Description = "BUCKET/NAME to copy" };
        var to = new Argument<string>("TO") { Description = "BUCKET/NAME to copy it to; may be the same, with --version" };
        Option<string?> version = VersionOptions.Version();
        var write = new WriteOptions();
        var command = new DocumentedCommand("cp", "Copy a file within the cluster, or bring an old version back")
        {
            Examples = ["carillon cp files/a.txt files/b.txt", "carillon cp --version 1767225600000-0@s1 files/a.txt files/a.txt"],
        };
        command.Add(from);
        command.Add(to);
        command.Add(version);
        write.AddTo(command);
        runner.Run(command, async context =>
        {
            ObjectName source = CommandContext.Target(context.Parse.GetRequiredValue(from));
            ObjectName target = CommandContext.Target(context.Parse.GetRequiredValue(to));
            using CarillonClient client = context.CreateClient();
            PutOptions options = write.Read(context.Parse);
            WriteResult<PutAnswer> result = await client.CopyAsync(
                source, target, context.Parse.GetValue(version), options, context.Cancellation);
            return WriteReport.Put(context, result, target, options.Ack);
        });
        return command;
    }
}
