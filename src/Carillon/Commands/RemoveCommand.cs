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
        var targets = new Argument<string[]>("BUCKET/NAME") { Description = "What to delete", Arity = ArgumentArity.OneOrMore };
        var write = new WriteOptions();
        var command = new DocumentedCommand("rm", "Delete files; their older versions can be brought back with cp --version")
        {
            Examples = ["carillon rm files/a.txt", "carillon rm files/a.txt files/b.txt", "carillon rm files/a.txt --if-match 1767225600000-0@s1"],
        };
        command.Add(targets);
        write.AddTo(command, absent: false);
        runner.Run(command, async context =>
        {
            ObjectName[] names = [.. context.Parse.GetRequiredValue(targets).Select(CommandContext.Target)];
            PutOptions options = write.Read(context.Parse);
            if (names.Length > 1 && (options.Key ?? options.IfMatch) is not null)
            {
                throw new UsageException("--key and --if-match are for a single name");
            }

            return await RemoveAsync(context, names, options);
        });
        return command;
    }

    /// <summary>One after the other; a failure is told, and does not stop the rest.</summary>
    private static async Task<int> RemoveAsync(CommandContext context, ObjectName[] names, PutOptions options)
    {
        using CarillonClient client = context.CreateClient();
        int failed = 0;
        int firstCode = ExitCode.Ok;
        foreach (ObjectName name in names)
        {
            context.Cancellation.ThrowIfCancellationRequested();
            WriteResult<DeleteAnswer> result = await client.DeleteAsync(name, options, context.Cancellation);
            int code = result.Answer is { } answer
                ? WriteReport.Unnumbered(context, result, answer.Sequence, options.Ack, name.ToString())
                : WriteReport.Fail(context, result, name.ToString());
            if (code == ExitCode.Ok)
            {
                Write(context, name, result.Answer!);
                continue;
            }

            firstCode = failed++ == 0 ? code : firstCode;
        }

        return failed == 0 || failed == names.Length ? firstCode : ExitCode.Partly;
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
                    writer.WriteString("name", name.ToString());
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
