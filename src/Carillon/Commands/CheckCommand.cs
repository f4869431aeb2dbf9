using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon check cluster</c> and <c>check feed</c>: for scripts that wait for a cluster, and for monitors.</summary>
internal static class CheckCommand
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand(
            "check", "Check that something works; the exit code tells") { Examples = ["carillon check cluster --wait 30s"] };
        command.Add(Cluster(runner));
        command.Add(Feed(runner));
        return command;
    }

    private static DocumentedCommand Cluster(CommandRunner runner)
    {
        Option<string?> wait = WaitOption();
        var all = new Option<bool>("--all") { Description = "All servers must be connected, not only a quorum" };
        var command = new DocumentedCommand("cluster", "Exit 0 if the cluster takes writes, 7 if not, 1 if no server answers")
        {
            Examples = ["carillon check cluster", "carillon check cluster --all --wait 30s"],
        };
        command.Add(wait);
        command.Add(all);
        runner.Run(command, async context =>
        {
            bool everyone = context.Parse.GetValue(all);
            return await WaitAsync(context, context.Parse.GetValue(wait), status => OfCluster(status, everyone));
        });
        return command;
    }

    private static DocumentedCommand Feed(CommandRunner runner)
    {
        Option<string?> wait = WaitOption();
        var command = new DocumentedCommand(
            "feed", "Exit 0 if a server gives the feed its numbers, and the one that answers has applied them all; else 7, 1 if none answers")
        {
            Examples = ["carillon check feed", "carillon check feed --wait 30s --server http://10.0.0.2:7410"],
        };
        command.Add(wait);
        runner.Run(command, context => WaitAsync(context, context.Parse.GetValue(wait), OfFeed));
        return command;
    }

    private static Option<string?> WaitOption() => new("--wait")
    {
        Description = "Wait until it is so, at most so long (exit 124 after it)", HelpName = "T",
    };

    private static async Task<int> WaitAsync(CommandContext context, string? wait, Func<ClusterStatus, (int Code, string Words)> judge)
    {
        TimeSpan span = TimeSpan.Zero;
        if (wait is not null && !Quantities.TryDuration(wait, out span))
        {
            throw new UsageException($"--wait {wait}: use a duration such as 30s");
        }

        using CarillonClient client = context.CreateClient();
        long deadline = Environment.TickCount64 + (long)span.TotalMilliseconds;
        while (true)
        {
            (int code, string words) = await LookAsync(context, client, judge);
            if (code == ExitCode.Ok)
            {
                if (context.IsJson)
                {
                    context.WriteJson(writer =>
                    {
                        writer.WriteStartObject();
                        writer.WriteBoolean("ok", true);
                        writer.WriteString("detail", words);
                        writer.WriteEndObject();
                    });
                }
                else
                {
                    context.Say(words);
                }

                return code;
            }

            if (Environment.TickCount64 >= deadline)
            {
                int exit = span > TimeSpan.Zero ? ExitCode.TimedOut : code;
                throw new ExitException(exit, span > TimeSpan.Zero ? $"not within {Quantities.Duration(span)}: {words}" : words);
            }

            await Task.Delay(Interval, context.Cancellation);
        }
    }

    private static async Task<(int Code, string Words)> LookAsync(
        CommandContext context, CarillonClient client, Func<ClusterStatus, (int Code, string Words)> judge)
    {
        try
        {
            return judge((await client.ClusterStatusAsync(context.Cancellation)).Value);
        }
        catch (CarillonException fault)
        {
            return (ExitCode.Of(fault.Failure), fault.Message);
        }
    }

    private static (int Code, string Words) OfCluster(ClusterStatus status, bool all)
    {
        string words = $"{status.Quorum.Connected} of {status.Servers.Length} servers connected, {status.Quorum.Size} needed";
        string[] missing = [.. status.Servers.Where(s => s.State is not ("connected" or "self")).Select(s => s.Name)];
        return !status.Quorum.Ok ? (ExitCode.NoQuorum, "no write quorum: " + words)
            : all && missing.Length > 0 ? (ExitCode.NoQuorum, $"{words}; not connected: {string.Join(", ", missing)}")
            : (ExitCode.Ok, words);
    }

    private static (int Code, string Words) OfFeed(ClusterStatus status)
    {
        long? committed = NumberOf(status.Feed, "committed");
        long applied = NumberOf(status.Feed, "applied") ?? 0;
        // The sequencer is the one that was heard last: without a quorum, or while that one is away, nobody gives numbers.
        bool hasSequencer = status.Quorum.Ok && status.Feed.ValueKind == JsonValueKind.Object
            && status.Feed.TryGetProperty("sequencer", out JsonElement name) && name.ValueKind == JsonValueKind.String
            && status.Servers.Any(s => s.Name == name.GetString() && s.State is "connected" or "self");
        string words = string.Create(CultureInfo.InvariantCulture, $"{applied} of {committed ?? 0} numbers are applied at {status.Self}");
        return !hasSequencer ? (ExitCode.NoQuorum, "no server gives the feed its numbers; " + words)
            : applied < (committed ?? 0) ? (ExitCode.NoQuorum, words) : (ExitCode.Ok, words);
    }

    private static long? NumberOf(JsonElement feed, string field) =>
        feed.ValueKind == JsonValueKind.Object && feed.TryGetProperty(field, out JsonElement value)
            && value.ValueKind == JsonValueKind.Number ? value.GetInt64() : null;
}
