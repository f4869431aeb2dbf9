using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon cluster</c>: init, status, members; what changes it is in <see cref="ClusterChangeCommands"/>.</summary>
internal static class ClusterCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand("cluster", "Make a cluster, look at one, and change it while it runs")
        {
            Examples = ["carillon cluster init --out ./cluster --server s1=10.0.0.1 --server s2=10.0.0.2 --server s3=10.0.0.3",
                "carillon cluster status"],
        };
        command.Add(ClusterInitCommand.Create(runner));
        command.Add(Status(runner));
        command.Add(Members(runner));
        ClusterChangeCommands.AddTo(command, runner);
        return command;
    }

    private static DocumentedCommand Status(CommandRunner runner)
    {
        var command = new DocumentedCommand("status", "Show the cluster as one server sees it")
        {
            Examples = ["carillon cluster status", "carillon cluster status --server http://127.0.0.1:7420 -o json"],
        };
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            Document<ClusterStatus> status = await client.ClusterStatusAsync(context.Cancellation);
            if (context.IsJson)
            {
                context.WriteJson(status.Json);
                return ExitCode.Ok;
            }

            WriteStatus(context, status.Value);
            return ExitCode.Ok;
        });
        return command;
    }

    private static DocumentedCommand Members(CommandRunner runner)
    {
        var command = new DocumentedCommand("members", "List the cluster's servers") { Examples = ["carillon cluster members -o name"] };
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            Document<ClusterStatus> status = await client.ClusterStatusAsync(context.Cancellation);
            if (!context.IsJson)
            {
                WriteMembers(context, status.Value);
                return ExitCode.Ok;
            }

            using var document = JsonDocument.Parse(status.Json);
            JsonElement servers = document.RootElement.GetProperty("servers");
            if (context.Format == OutputFormat.Json)
            {
                context.Out.WriteLine($$"""{"servers":{{servers.GetRawText()}}}""");
                return ExitCode.Ok;
            }

            foreach (JsonElement server in servers.EnumerateArray())
            {
                context.Out.WriteLine(server.GetRawText());
            }

            return ExitCode.Ok;
        });
        return command;
    }

    private static void WriteStatus(CommandContext context, ClusterStatus status)
    {
        if (context.Format == OutputFormat.Name)
        {
            context.Out.WriteLine(status.Cluster);
            return;
        }

        QuorumStatus quorum = status.Quorum;
        context.Out.WriteLine($"cluster        {status.Cluster}");
        context.Out.WriteLine($"configuration  {Text(status.Configuration)}");
        context.Out.WriteLine(
            $"quorum         {quorum.Connected} connected, {quorum.Size} needed: {(quorum.Ok ? "ok" : "NO WRITE QUORUM")}");
        WriteIfThere(context, "feed           ", status.Feed);
        WriteIfThere(context, "chunks         ", status.Chunks);
        WriteIfThere(context, "transport      ", status.Transport);
        context.Out.WriteLine();
        WriteMembers(context, status);
    }

    private static void WriteMembers(CommandContext context, ClusterStatus status)
    {
        if (context.Format == OutputFormat.Name)
        {
            foreach (ServerStatus server in status.Servers)
            {
                context.Out.WriteLine(server.Name);
            }

            return;
        }

        var table = new TextTable("SERVER", "STATE", "VOTES", "INCARNATION", "ROLES", "RTT", "CLOCK", "HTTP", "LOAD");
        foreach (ServerStatus server in status.Servers)
        {
            table.Add(
                server.Name,
                server.State,
                server.Voting switch { true => "yes", false => "NO", null => "-" },
                server.Incarnation?.ToString(CultureInfo.InvariantCulture) ?? "-",
                server.Roles.IsDefaultOrEmpty ? "-" : string.Join(',', server.Roles),
                Milliseconds(server.RttMs),
                Milliseconds(server.ClockOffsetMs),
                server.Http ?? "-",
                Text(server.Load));
        }

        table.Write(context.Out);
        foreach (ServerStatus server in status.Servers.Where(s => s.Note.Length > 0))
        {
            context.Out.WriteLine($"{server.Name}: {server.Note}");
        }
    }

    private static void WriteIfThere(CommandContext context, string label, JsonElement element)
    {
        string text = Text(element);
        if (text != "-")
        {
            context.Out.WriteLine(label + text);
        }
    }

    private static string Milliseconds(double? value) =>
        value is { } ms ? string.Create(CultureInfo.InvariantCulture, $"{ms:0.##} ms") : "-";

    private static string Text(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.Undefined or JsonValueKind.Null => "-",
        JsonValueKind.String => element.GetString()!,
        JsonValueKind.Object => string.Join(", ", element.EnumerateObject().Select(p => $"{p.Name} {Text(p.Value)}")),
        JsonValueKind.Array => string.Join(',', element.EnumerateArray().Select(Text)),
        _ => element.GetRawText(),
    };
}
