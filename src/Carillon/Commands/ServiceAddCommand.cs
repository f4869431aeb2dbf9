using System.CommandLine;
using Carillon.Client;
using Carillon.Client.Services;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.Primacy;
using Carillon.Runtime.Services;
using ServiceAnswer = Carillon.Client.Services.ServiceAnswer;

namespace Carillon.Commands;

/// <summary><c>carillon service add</c>: what comes after <c>--</c> is the command, as it is.</summary>
internal static class ServiceAddCommand
{
    public static Command Create(CommandRunner runner)
    {
        Argument<string> name = ServiceCommand.NameArgument();
        var program = new Argument<string[]>("COMMAND")
        {
            Description = "What the primary's server runs, after --. A program without / in its name is looked for in that server's PATH; "
                + "any other is best given by its absolute path, the same on all of --nodes: a relative one starts from the service's own folder, "
                + "services/NAME/work in the server's data directory. Left out where a program of one's own holds the role by a session",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var nodes = new Option<string>("--nodes") { Description = "The servers that may provide it", HelpName = "A,B,C", Required = true };
        var prefer = new Option<string?>("--prefer")
        {
            Description = "The server that is chosen where nothing else speaks for another", HelpName = "A",
        };
        var secondaries = new Option<int>("--secondaries")
        {
            Description = "How many secondaries the primary keeps up to date", HelpName = "N",
        };
        var with = new Option<string?>("--with")
        {
            Description = "Keep its primary on the server of this service's primary", HelpName = "OTHER",
        };
        Option<string?> secondary = SecondaryOption();
        Option<string?> checkpoint = CheckpointOption();
        Option<string> grace = GraceOption();
        var replace = new Option<bool>("--replace") { Description = "Change the service if it is there" };
        var command = new DocumentedCommand("add", "Add a service: its command runs on exactly one of the servers")
        {
            Examples =
            [
                "carillon service add nightly --nodes s1,s2,s3 -- /usr/local/bin/nightly.sh --verbose",
                "carillon service add counter --nodes s1,s2,s3 --secondaries 1 --checkpoint-file state -- /usr/local/bin/counter",
                "carillon service add web --nodes s1,s2,s3 --with counter -- sh -c 'exec /usr/local/bin/web --epoch $CARILLON_EPOCH'",
                "carillon service add ledger --nodes s1,s2,s3 --secondaries 1",
            ],
        };
        command.Add(name);
        command.Add(program);
        foreach (Option option in new Option[] { nodes, prefer, secondaries, with, secondary, checkpoint, grace, replace })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            ParseResult parse = context.Parse;
            string service = ServiceCommand.Checked(context, name);
            var settings = new ServiceSettings
            {
                Providers = [.. parse.GetRequiredValue(nodes).Split(',').Select(node => Node("--nodes", node.Trim()))],
                Prefer = parse.GetValue(prefer) is { } first ? Node("--prefer", first) : null,
                Secondaries = parse.GetValue(secondaries),
                With = Service(parse.GetValue(with)),
                Command = [.. parse.GetValue(program) ?? []],
                SecondaryCommand = parse.GetValue(secondary) is { Length: > 0 } text ? ["sh", "-c", text] : [],
                CheckpointFile = parse.GetValue(checkpoint) ?? "",
                GraceMs = Grace(parse.GetValue(grace)!),
            };
            Check(settings);
            using CarillonClient client = context.CreateClient();
            Document<ServiceAnswer> answer = await client.Services.AddAsync(
                service, settings, parse.GetValue(replace), context.Cancellation);
            return ServiceCommand.Done(context, service, answer, $"service {service} is there");
        });
        return command;
    }

    private static Option<string?> SecondaryOption() => new("--secondary-command")
    {
        Description = "What the secondaries' servers run meanwhile, by sh -c", HelpName = "C",
    };

    private static Option<string?> CheckpointOption() => new("--checkpoint-file")
    {
        Description = "A file below the command's working directory that is carried to the secondaries when it changes", HelpName = "F",
    };

    private static Option<string> GraceOption() => new("--grace")
    {
        Description = "Time from SIGTERM to SIGKILL, where the lease leaves so much", HelpName = "T", DefaultValueFactory = _ => "1s",
    };

    private static void Check(ServiceSettings settings)
    {
        if (settings.Prefer is { } first && !settings.Providers.Contains(first))
        {
            throw new UsageException($"--prefer {first}: it is not one of --nodes");
        }

        if (settings.Secondaries < 0 || settings.Secondaries >= settings.Providers.Length)
        {
            throw new UsageException($"--secondaries {settings.Secondaries}: use 0 or more, and fewer than --nodes names");
        }

        if (settings.Command.IsEmpty && (settings.SecondaryCommand.Length > 0 || settings.CheckpointFile.Length > 0))
        {
            throw new UsageException("--secondary-command and --checkpoint-file go with a command after --");
        }

        if (CheckpointFileName.FaultOf(settings.CheckpointFile) is { } fault)
        {
            throw new UsageException($"--checkpoint-file {settings.CheckpointFile}: {fault}");
        }
    }

    private static string Node(string option, string text) => NodeId.TryParse(text.AsSpan(), out _)
        ? text : throw new UsageException($"{option} '{text}': that is not a server's name");

    private static string? Service(string? text) => text is null || ServiceName.TryParse(text, out _)
        ? text : throw new UsageException($"--with '{text}': that is not a service's name");

    private static long Grace(string text) => Quantities.TryDuration(text, out TimeSpan grace)
        ? (long)grace.TotalMilliseconds : throw new UsageException($"--grace {text}: use a time such as 1s");
}
