using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Carillon.Client;
using Carillon.Client.Services;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using ServiceAnswer = Carillon.Client.Services.ServiceAnswer;

namespace Carillon.Commands;

/// <summary><c>carillon service</c>: add, ls, show, move, rm.</summary>
internal static class ServiceCommand
{
    /// <summary>Between two looks at a move that goes on.</summary>
    private static readonly TimeSpan Look = TimeSpan.FromMilliseconds(25);

    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand("service", "Run programs with exactly one primary, moved when its server dies")
        {
            Examples =
            [
                "carillon service add nightly --nodes s1,s2,s3 -- /usr/local/bin/nightly.sh",
                "carillon service ls",
                "carillon service move nightly --to s2",
            ],
        };
        command.Add(ServiceAddCommand.Create(runner));
        command.Add(Listing(runner));
        command.Add(Show(runner));
        command.Add(Move(runner));
        command.Add(Remove(runner));
        return command;
    }

    /// <summary>The argument that names a service.</summary>
    public static Argument<string> NameArgument() => new("NAME") { Description = "The service: 1 to 48 of a-z 0-9 - and '.'" };

    /// <summary>Its value, held against the rule.</summary>
    public static string Checked(CommandContext context, Argument<string> argument)
    {
        string name = context.Parse.GetRequiredValue(argument);
        return ServiceName.TryParse(name, out _)
            ? name : throw new UsageException($"'{name}': use 1 to {ServiceName.MaxLength} of a-z 0-9 - and '.', first a letter or digit");
    }

    /// <summary>Tells how a wish ended.</summary>
    public static int Done(CommandContext context, string service, Document<ServiceAnswer> answer, string said)
    {
        if (context.IsJson)
        {
            context.WriteJson(writer =>
            {
                writer.WriteStartObject();
                writer.WriteString("service", service);
                writer.WriteString("result", answer.Value.Result);
                writer.WriteString("detail", answer.Value.Detail);
                writer.WriteEndObject();
            });
        }
        else
        {
            context.Say(answer.Value.Detail.Length > 0 ? $"{said}: {answer.Value.Detail}" : said);
        }

        return ExitCode.Ok;
    }

    private static DocumentedCommand Listing(CommandRunner runner)
    {
        var command = new DocumentedCommand("ls", "List services, and where their primaries are")
        {
            Examples = ["carillon service ls", "carillon service ls -o json"],
        };
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            Document<ServiceList> list = await client.Services.ListAsync(context.Cancellation);
            WriteList(context, list);
            return ExitCode.Ok;
        });
        return command;
    }

    private static void WriteList(CommandContext context, Document<ServiceList> list)
    {
        switch (context.Format)
        {
            case OutputFormat.Json:
                context.WriteJson(list.Json);
                break;
            case OutputFormat.JsonLines:
                using (JsonDocument document = JsonDocument.Parse(list.Json))
                {
                    foreach (JsonElement service in document.RootElement.GetProperty("services").EnumerateArray())
                    {
                        context.WriteJson(service.WriteTo);
                    }
                }

                break;
            case OutputFormat.Name:
                foreach (ServiceInfo service in list.Value.Services)
                {
                    context.Out.WriteLine(service.Name);
                }

                break;
            default:
                var table = new TextTable("SERVICE", "PRIMARY", "EPOCH", "SECONDARIES", "SPARES", "WITH", "STATE");
                foreach (ServiceInfo service in list.Value.Services)
                {
                    table.Add(
                        service.Name, service.Primary ?? "-", Number(service.Epoch), Nodes(service, "secondary"), Nodes(service, "spare"),
                        service.With ?? "-", service.State);
                }

                table.Write(context.Out);
                break;
        }
    }

    private static DocumentedCommand Show(CommandRunner runner)
    {
        Argument<string> name = NameArgument();
        var command = new DocumentedCommand("show", "Show a service, and when and why its primary changed")
        {
            Examples = ["carillon service show nightly", "carillon service show nightly -o json"],
        };
        command.Add(name);
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            Document<ServiceInfo> service = await client.Services.ShowAsync(Checked(context, name), context.Cancellation);
            if (context.IsJson)
            {
                context.WriteJson(service.Json);
            }
            else
            {
                Write(context, service.Value);
            }

            return ExitCode.Ok;
        });
        return command;
    }

    private static void Write(CommandContext context, ServiceInfo service)
    {
        if (context.Format == OutputFormat.Name)
        {
            context.Out.WriteLine(service.Name);
            return;
        }

        string[] lines =
        [
            $"service         {service.Name}",
            $"primary         {service.Primary ?? "-"}",
            $"epoch           {Number(service.Epoch)}",
            $"state           {service.State}",
            $"secondaries     {Nodes(service, "secondary")} (wanted {Number((ulong)service.Secondaries)})",
            $"spares          {Nodes(service, "spare")}",
            $"providers       {string.Join(',', service.Providers)}",
            $"preferred       {service.Prefer ?? "-"}",
            $"with            {service.With ?? "-"}",
            $"command         {Shown(service.Command, "a program of one's own, by a session")}",
            $"secondaries run {Shown(service.SecondaryCommand, "nothing")}",
            $"checkpoint file {(service.CheckpointFile.Length > 0 ? service.CheckpointFile : "-")}",
            $"grace           {Quantities.Duration(TimeSpan.FromMilliseconds(service.GraceMs))}",
        ];
        foreach (string line in lines)
        {
            context.Out.WriteLine(line);
        }

        if (service.History.Length > 0)
        {
            context.Out.WriteLine();
        }

        var table = new TextTable("EPOCH", "PRIMARY", "SINCE", "WITHOUT A PRIMARY", "WHY");
        foreach (ServiceChange change in service.History)
        {
            table.Add(
                Number(change.Epoch), change.Primary ?? "-",
                change.At?.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ss.fffZ", CultureInfo.InvariantCulture) ?? "-",
                change.GapMs is { } gap ? Quantities.Duration(TimeSpan.FromMilliseconds(gap)) : "-", change.Reason);
        }

        table.Write(context.Out);
    }

    private static DocumentedCommand Move(CommandRunner runner)
    {
        Argument<string> name = NameArgument();
        var to = new Option<string?>("--to")
        {
            Description = "The server to move it to; the best of the others where not given", HelpName = "NODE",
        };
        var wait = new Option<string>("--wait")
        {
            Description = "How long to wait for the new primary; 0 for not at all", HelpName = "T", DefaultValueFactory = _ => "10s",
        };
        var command = new DocumentedCommand(
            "move", "Move a service's primary, and those that must be with it, to another server: it stops there, hands over, starts here")
        {
            Examples = ["carillon service move nightly", "carillon service move nightly --to s2"],
        };
        command.Add(name);
        command.Add(to);
        command.Add(wait);
        runner.Run(command, async context =>
        {
            string service = Checked(context, name);
            string? target = context.Parse.GetValue(to);
            if (target is not null && !NodeId.TryParse(target.AsSpan(), out _))
            {
                throw new UsageException($"--to {target}: that is not a server's name");
            }

            if (!Quantities.TryDuration(context.Parse.GetValue(wait)!, out TimeSpan patience))
            {
                throw new UsageException($"--wait {context.Parse.GetValue(wait)}: use a time such as 10s");
            }

            using CarillonClient client = context.CreateClient();
            ulong before = (await client.Services.ShowAsync(service, context.Cancellation)).Value.Epoch;
            Document<ServiceAnswer> answer = await client.Services.MoveAsync(service, target, context.Cancellation);
            return await WaitAsync(context, client, service, target, before, answer, patience);
        });
        return command;
    }

    private static async Task<int> WaitAsync(
        CommandContext context, CarillonClient client, string service, string? target, ulong before, Document<ServiceAnswer> answer,
        TimeSpan patience)
    {
        long start = Environment.TickCount64;
        while (Environment.TickCount64 - start < patience.TotalMilliseconds)
        {
            ServiceInfo now = (await client.Services.ShowAsync(service, context.Cancellation)).Value;
            bool there = target is null ? now.Epoch > before && now.Primary is not null : now.Primary == target;
            if (there)
            {
                return Done(context, service, answer, $"service {service} is moved to {now.Primary}, epoch {Number(now.Epoch)}");
            }

            await Task.Delay(Look, context.Cancellation);
        }

        return patience == TimeSpan.Zero
            ? Done(context, service, answer, $"service {service} is being moved")
            : throw new ExitException(
                ExitCode.TimedOut,
                $"service {service} is not moved after {Quantities.Duration(patience)}; see carillon service show {service}");
    }

    private static DocumentedCommand Remove(CommandRunner runner)
    {
        Argument<string> name = NameArgument();
        var command = new DocumentedCommand("rm", "Stop and remove a service; its files on the servers stay")
        {
            Examples = ["carillon service rm nightly"],
        };
        command.Add(name);
        runner.Run(command, async context =>
        {
            string service = Checked(context, name);
            using CarillonClient client = context.CreateClient();
            return Done(
                context, service, await client.Services.RemoveAsync(service, context.Cancellation), $"service {service} is removed");
        });
        return command;
    }

    private static string Nodes(ServiceInfo service, string role)
    {
        string nodes = string.Join(',', service.Roles.Where(each => each.Role == role).Select(each => each.Node));
        return nodes.Length > 0 ? nodes : "-";
    }

    private static string Shown(IReadOnlyList<string> command, string none) =>
        command.Count == 0 ? none : string.Join(' ', command.Select(word => word.AsSpan().ContainsAny(" '\"$") ? $"'{word}'" : word));

    private static string Number(ulong number) => number.ToString(CultureInfo.InvariantCulture);
}
