using System.CommandLine;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon check cluster</c>: for scripts that wait for a cluster, and for monitors.</summary>
internal static class CheckCommand
{
    private static readonly TimeSpan Interval = TimeSpan.FromMilliseconds(200);

    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand(
            "check", "Check that something works; the exit code tells") { Examples = ["carillon check cluster --wait 30s"] };
        command.Add(Cluster(runner));
        return command;
    }

    private static DocumentedCommand Cluster(CommandRunner runner)
    {
        var wait = new Option<string?>("--wait")
        {
            Description = "Wait until it is so, at most so long (exit 124 after it)",
            HelpName = "T",
        };
        var all = new Option<bool>("--all") { Description = "All servers must be connected, not only a quorum" };
        var command = new DocumentedCommand("cluster", "Exit 0 if the cluster takes writes, 7 if not, 1 if no server answers")
        {
            Examples = ["carillon check cluster", "carillon check cluster --all --wait 30s"],
        };
        command.Add(wait);
        command.Add(all);
        runner.Run(command, async context =>
        {
            string? text = context.Parse.GetValue(wait);
            TimeSpan span = TimeSpan.Zero;
            if (text is not null && !Quantities.TryDuration(text, out span))
            {
                throw new UsageException($"--wait {text}: use a duration such as 30s");
            }

            using CarillonClient client = context.CreateClient();
            return await WaitAsync(context, client, span, context.Parse.GetValue(all));
        });
        return command;
    }

    private static async Task<int> WaitAsync(CommandContext context, CarillonClient client, TimeSpan span, bool all)
    {
        long deadline = Environment.TickCount64 + (long)span.TotalMilliseconds;
        while (true)
        {
            (int code, string words) = await LookAsync(context, client, all);
            if (code == ExitCode.Ok)
            {
                context.Say(words);
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

    private static async Task<(int Code, string Words)> LookAsync(CommandContext context, CarillonClient client, bool all)
    {
        try
        {
            ClusterStatus status = (await client.ClusterStatusAsync(context.Cancellation)).Value;
            string words = $"{status.Quorum.Connected} of {status.Servers.Length} servers connected, {status.Quorum.Size} needed";
            string[] missing = [.. status.Servers.Where(s => s.State is not ("connected" or "self")).Select(s => s.Name)];
            if (!status.Quorum.Ok)
            {
                return (ExitCode.NoQuorum, "no write quorum: " + words);
            }

            return all && missing.Length > 0
                ? (ExitCode.NoQuorum, $"{words}; not connected: {string.Join(", ", missing)}")
                : (ExitCode.Ok, words);
        }
        catch (CarillonException fault)
        {
            return (ExitCode.Of(fault.Failure), fault.Message);
        }
    }
}
