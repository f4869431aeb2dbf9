using System.CommandLine;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon rm</c>: a delete is a version too.</summary>
internal static class RemoveCommand
{
    public static Command Create(CommandRunner runner)
    {
        var target = new Argument<string>("BUCKET/NAME") { Description = "What to delete" };
        var key = new Option<string?>("--key") { Description = "Idempotency key; made where not given", HelpName = "KEY" };
        var ifMatch = new Option<string?>("--if-match") { Description = "Only if this is the current version", HelpName = "UID" };
        var command = new DocumentedCommand("rm", "Delete a file; its older versions can be brought back with cp --version")
        {
            Examples = ["carillon rm files/a.txt"],
        };
        command.Add(target);
        command.Add(key);
        command.Add(ifMatch);
        runner.Run(command, async context =>
        {
            ObjectName name = CommandContext.Target(context.Parse.GetRequiredValue(target));
            using CarillonClient client = context.CreateClient();
            var options = new PutOptions { Key = context.Parse.GetValue(key), IfMatch = context.Parse.GetValue(ifMatch) };
            WriteResult<DeleteAnswer> result = await client.DeleteAsync(name, options, context.Cancellation);
            if (result.Answer is not { } answer)
            {
                return WriteReport.Fail(context, result, name.ToString());
            }

            Write(context, name, answer);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void Write(CommandContext context, ObjectName name, DeleteAnswer answer)
    {
        switch (context.Format)
        {
            case OutputFormat.Name:
                context.Out.WriteLine(name.ToString());
                break;
            case OutputFormat.Table:
                context.Out.WriteLine(answer.Existed ? answer.Uid : $"{name} was not there");
                break;
            default:
                context.WriteJson(writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteString("uid", answer.Uid);
                    WriteReport.WriteSequence(writer, answer.Sequence);
                    writer.WriteString("submission", answer.Submission);
                    writer.WriteBoolean("existed", answer.Existed);
                    writer.WriteEndObject();
                });
                break;
        }
    }
}
