using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Commands;

/// <summary><c>carillon group</c>: create, ls, show, rm.</summary>
internal static class GroupCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand("group", "Keep groups: messages that all who listen get in one order")
        {
            Examples =
            [
                "carillon group create prices",
                "carillon publish prices --text hello",
                "carillon subscribe prices --from begin",
            ],
        };
        command.Add(Make(runner));
        command.Add(Listing(runner));
        command.Add(Show(runner));
        command.Add(Remove(runner));
        return command;
    }

    /// <summary>The argument that names a group.</summary>
    public static Argument<string> NameArgument() => new("GROUP") { Description = "The group: 1 to 36 of a-z 0-9 - and '.'" };

    /// <summary>Its value, held against the rule.</summary>
    public static GroupName Checked(CommandContext context, Argument<string> argument)
    {
        string name = context.Parse.GetRequiredValue(argument);
        return GroupName.TryParse(name, out GroupName group)
            ? group
            : throw new UsageException(
                $"'{Shown.Text(name)}': use 1 to {GroupName.MaxLength} of a-z 0-9 - and '.', first a letter or digit");
    }

    /// <summary>The option that says where messages are before they are acknowledged.</summary>
    public static Option<string?> DurabilityOption()
    {
        var option = new Option<string?>("--durability")
        {
            Description = "durable: on disk before a message is acknowledged; memory: fast, and lost where a majority stops at once",
            HelpName = "HOW",
        };
        option.AcceptOnlyFromAmong("durable", "memory");
        return option;
    }

    private static DocumentedCommand Make(CommandRunner runner)
    {
        Argument<string> name = NameArgument();
        Option<string?> durability = DurabilityOption();
        var retainTime = new Option<string?>("--retain-time") { Description = "How long messages are kept [7d]", HelpName = "T" };
        var retainBytes = new Option<string?>("--retain-bytes")
        {
            Description = "Bytes of messages that are kept [1GiB]", HelpName = "SIZE",
        };
        var lifetime = new Option<ulong?>("--lifetime")
        {
            Description = "Messages of others after which an idle sender is forgotten [1000000]", HelpName = "N",
        };
        var fifo = new Option<bool>("--fifo") { Description = "Deliver each sender's messages in the order in which it sent them" };
        var key = new Option<string?>("--key") { Description = "Idempotency key; one is made where none is given", HelpName = "KEY" };
        var command = new DocumentedCommand("create", "Make a group; one that exists with the same settings is ok")
        {
            Examples = ["carillon group create prices", "carillon group create ticks --durability memory --retain-time 1h"],
        };
        command.Add(name);
        foreach (Option option in new Option[] { durability, retainTime, retainBytes, lifetime, fifo, key })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            GroupName group = Checked(context, name);
            var settings = new NewGroup
            {
                Durability = context.Parse.GetValue(durability),
                RetainTime = context.Parse.GetValue(retainTime) is { } time ? Seconds(time) : null,
                RetainBytes = context.Parse.GetValue(retainBytes) is { } size ? Bytes(size) : null,
                Lifetime = context.Parse.GetValue(lifetime),
                Fifo = context.Parse.GetValue(fifo) ? true : null,
            };
            using CarillonClient client = context.CreateClient();
            WriteResult<GroupChange> result = await client.Groups.CreateAsync(
                group, settings, context.Parse.GetValue(key), context.Cancellation);
            return End(context, group, result, $"group {group} is there");
        });
        return command;
    }

    private static long Seconds(string text) =>
        Quantities.TryDuration(text, out TimeSpan time) && time >= TimeSpan.FromSeconds(1) && time.TotalSeconds % 1 == 0
            ? (long)time.TotalSeconds : throw new UsageException($"--retain-time {text}: use whole seconds, as 30s, 1h or 7d");

    private static long Bytes(string text) => Quantities.TrySize(text, out long bytes)
        ? bytes : throw new UsageException($"--retain-bytes {text}: use a size as 64MiB");

    private static int End(CommandContext context, GroupName group, WriteResult<GroupChange> result, string said)
    {
        if (result.Verdict != Verdict.Accepted)
        {
            ErrorReport report = ErrorReport.Of(result, group.Name);
            int code = context.Interruption ?? report.ExitCode;
            (report with { ExitCode = code }).Write(context.Error, context.IsJson);
            return code;
        }

        if (context.IsJson)
        {
            context.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("group", group.Name);
                writer.WriteString("uid", result.Answer!.Uid);
                writer.WriteString("submission", result.Answer.Submission);
                if (result.Answer.Existed is { } existed)
                {
                    writer.WriteBoolean("existed", existed);
                }

                writer.WriteEndObject();
            });
        }
        else
        {
            context.Say(said);
        }

        return ExitCode.Ok;
    }

    private static DocumentedCommand Listing(CommandRunner runner)
    {
        var command = new DocumentedCommand("ls", "List groups")
        {
            Examples = ["carillon group ls", "carillon group ls -o json"],
        };
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            WriteList(context, await client.Groups.ListAsync(context.Cancellation));
            return ExitCode.Ok;
        });
        return command;
    }

    private static void WriteList(CommandContext context, Document<GroupList> list)
    {
        switch (context.Format)
        {
            case OutputFormat.Json:
                context.WriteJson(list.Json);
                break;
            case OutputFormat.JsonLines:
                using (JsonDocument document = JsonDocument.Parse(list.Json))
                {
                    foreach (JsonElement group in document.RootElement.GetProperty("groups").EnumerateArray())
                    {
                        context.WriteJson(group.WriteTo);
                    }
                }

                break;
            case OutputFormat.Name:
                foreach (GroupInfo group in list.Value.Groups)
                {
                    context.Out.WriteLine(group.Name);
                }

                break;
            default:
                var table = new TextTable("GROUP", "COMMITTED", "FIRST", "DURABILITY", "ORDER", "SEQUENCER", "EPOCH");
                foreach (GroupInfo group in list.Value.Groups)
                {
                    table.Add(
                        group.Name, Number(group.Committed), Number(group.First), group.Durability, group.Fifo ? "fifo" : "-",
                        group.Sequencer ?? "-", Number(group.Epoch));
                }

                table.Write(context.Out);
                break;
        }
    }

    private static DocumentedCommand Show(CommandRunner runner)
    {
        Argument<string> name = NameArgument();
        var command = new DocumentedCommand("show", "Show a group: its settings, and how far it is")
        {
            Examples = ["carillon group show prices", "carillon group show prices -o json"],
        };
        command.Add(name);
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            Document<GroupInfo> group = await client.Groups.ShowAsync(Checked(context, name), context.Cancellation);
            if (context.IsJson)
            {
                context.WriteJson(group.Json);
            }
            else
            {
                Write(context, group.Value);
            }

            return ExitCode.Ok;
        });
        return command;
    }

    private static void Write(CommandContext context, GroupInfo group)
    {
        string[] lines = context.Format == OutputFormat.Name ? [group.Name] :
        [
            $"group        {group.Name}",
            $"committed    {Number(group.Committed)}",
            $"first kept   {Number(group.First)}",
            $"sequencer    {group.Sequencer ?? "-"}",
            $"epoch        {Number(group.Epoch)}",
            $"durability   {group.Durability}",
            $"kept for     {Quantities.Duration(TimeSpan.FromSeconds(group.RetainTime))}",
            group.MemoryBytes is { } bytes
                ? $"kept at most {Quantities.Size(bytes)} or {Number(group.MemoryMessages ?? 0)} messages, in memory"
                : $"kept at most {Quantities.Size(group.RetainBytes)}",
            $"lifetime     {Number(group.Lifetime)} messages",
            $"order        {(group.Fifo ? "each sender's (fifo)" : "of arrival")}",
            $"id           {group.Id}",
            .. group.Trouble is { } trouble ? [$"trouble      {trouble}"] : Array.Empty<string>(),
        ];
        foreach (string line in lines)
        {
            context.Out.WriteLine(line);
        }
    }

    private static DocumentedCommand Remove(CommandRunner runner)
    {
        Argument<string> name = NameArgument();
        var key = new Option<string?>("--key") { Description = "Idempotency key; one is made where none is given", HelpName = "KEY" };
        var command = new DocumentedCommand("rm", "Remove a group with all its messages")
        {
            Examples = ["carillon group rm prices"],
        };
        command.Add(name);
        command.Add(key);
        runner.Run(command, async context =>
        {
            GroupName group = Checked(context, name);
            using CarillonClient client = context.CreateClient();
            WriteResult<GroupChange> result = await client.Groups.RemoveAsync(group, context.Parse.GetValue(key), context.Cancellation);
            string said = result.Answer?.Existed == false ? $"there was no group {group}" : $"group {group} is removed";
            return End(context, group, result, said);
        });
        return command;
    }

    private static string Number(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
