using System.CommandLine;
using System.Globalization;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon submission show</c>: what became of a write.</summary>
internal static class SubmissionCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand(
            "submission", "Ask what became of a write") { Examples = ["carillon submission show --key order-4711"] };
        command.Add(Show(runner));
        return command;
    }

    private static DocumentedCommand Show(CommandRunner runner)
    {
        var id = new Argument<string?>("ID") { Description = "The submission's id", Arity = ArgumentArity.ZeroOrOne };
        var key = new Option<string?>("--key") { Description = "The idempotency key instead; ask only when the write is over: one that has not come yet is refused then", HelpName = "KEY" };
        var command = new DocumentedCommand("show", "Show a submission's outcome: pending, accepted or rejected; any server can tell. "
            + "With --key: a key that nothing is known of is given up, and a write under it that comes later is refused")
        {
            Examples = ["carillon submission show 1767225600000-0@s1.00c0ffee00c0ffee",
                "carillon submission show --key order-4711 -o json"],
        };
        command.Add(id);
        command.Add(key);
        runner.Run(command, async context =>
        {
            string? asked = context.Parse.GetValue(id);
            string? byKey = context.Parse.GetValue(key);
            if ((asked is null) == (byKey is null))
            {
                throw new UsageException("submission show: give either an ID or --key KEY");
            }

            using CarillonClient client = context.CreateClient();
            Document<SubmissionStatus> status = asked is not null
                ? await client.SubmissionAsync(asked, context.Cancellation)
                : await client.SubmissionByKeyAsync(byKey!, context.Cancellation);
            Write(context, status);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void Write(CommandContext context, Document<SubmissionStatus> status)
    {
        SubmissionStatus known = status.Value;
        if (context.IsJson)
        {
            context.WriteJson(status.Json);
            return;
        }

        if (context.Format == OutputFormat.Name)
        {
            context.Out.WriteLine(known.Id);
            return;
        }

        context.Out.WriteLine($"id        {known.Id ?? "-"}");
        context.Out.WriteLine($"outcome   {known.Outcome}");
        context.Out.WriteLine($"uid       {known.Uid ?? "-"}");
        context.Out.WriteLine($"sequence  {known.Sequence?.ToString(CultureInfo.InvariantCulture) ?? "-"}");
        context.Out.WriteLine($"feed      {known.Verdict ?? "-"}");
        string bits = known.Vector is { Count: > 0 } vector ? string.Join(' ', vector.Select(b => $"{b.Key}:{(b.Value ? 1 : 0)}")) : "-";
        context.Out.WriteLine($"vector    {bits}");
    }
}
