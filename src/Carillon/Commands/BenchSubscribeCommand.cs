using System.CommandLine;
using System.Text.Json;
using Carillon.Benchmarks;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Commands;

/// <summary><c>carillon bench subscribe</c>: how fast a group's messages are read from its beginning.</summary>
internal static class BenchSubscribeCommand
{
    private const int MaxSubscribers = 1024;

    public static Command Create(CommandRunner runner)
    {
        Argument<string> name = GroupCommand.NameArgument();
        var subscribers = new Option<int>("--subscribers")
        {
            Description = "Subscribers at once, spread over the servers that are given", HelpName = "N", DefaultValueFactory = _ => 1,
        };
        var scratch = new Option<string>("--scratch")
        {
            Description = "Folder on the disk whose limits are measured", HelpName = "DIR", DefaultValueFactory = _ => ".",
        };
        var noLimits = new Option<bool>("--no-limits") { Description = "Do not measure the machine" };
        var command = new DocumentedCommand("subscribe", "A group's messages, read from the first that is kept to the last")
        {
            Examples = ["carillon bench publish bench && carillon bench subscribe bench"],
        };
        command.Add(name);
        foreach (Option option in new Option[] { subscribers, scratch, noLimits })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            int count = context.Parse.GetValue(subscribers);
            if (count is < 1 or > MaxSubscribers)
            {
                throw new UsageException($"--subscribers {count}: use 1 to {MaxSubscribers}");
            }

            string? folder = context.Parse.GetValue(noLimits) ? null : Path.GetFullPath(context.Parse.GetValue(scratch)!);
            return await RunAsync(context, GroupCommand.Checked(context, name), count, folder);
        });
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, GroupName name, int subscribers, string? scratch)
    {
        using CarillonClient client = context.CreateClient();
        GroupInfo group = (await client.Groups.ShowAsync(name, context.Cancellation)).Value;
        if (group.Committed < group.First)
        {
            throw new UsageException($"group {name} keeps no messages: send it some first (carillon bench publish {name})");
        }

        MachineLimits? limits = null;
        if (scratch is not null)
        {
            ClusterStatus status = (await client.ClusterStatusAsync(context.Cancellation)).Value;
            context.Say("measuring the machine …");
            limits = await MachineLimits.MeasureAsync(scratch, client, status, context.Cancellation);
        }

        context.Say($"reading from {group.First} to {group.Committed} …");
        ReplayFigures figures = await new ReplayBench(name, subscribers, context.ClientOptions())
            .RunAsync(group.First, group.Committed, context.Cancellation);
        if (context.IsJson)
        {
            context.WriteJson(writer => WriteJson(writer, group, subscribers, figures, limits));
            return ExitCode.Ok;
        }

        var table = new TextTable("GROUP", "SUBSCRIBERS", "MESSAGES", "SECONDS", "MSG/S", "MB/S");
        table.Add(
            $"{group.Name} ({group.Durability})", BenchCommand.Text(subscribers), BenchCommand.Text(figures.Messages),
            BenchCommand.Text(figures.Seconds), BenchCommand.Text(figures.PerSecond),
            BenchCommand.Text(figures.Bytes / 1e6 / Math.Max(figures.Seconds, 1e-9)));
        table.Write(context.Out);
        if (limits is not null)
        {
            BenchCommand.WriteLimits(context.Out, limits);
        }

        return ExitCode.Ok;
    }

    private static void WriteJson(Utf8JsonWriter writer, GroupInfo group, int subscribers, ReplayFigures figures, MachineLimits? limits)
    {
        writer.WriteStartObject();
        writer.WriteString("kind", "subscribe");
        writer.WriteString("group", group.Name);
        writer.WriteString("durability", group.Durability);
        writer.WriteNumber("subscribers", subscribers);
        writer.WriteNumber("messages", figures.Messages);
        writer.WriteNumber("seconds", BenchCommand.Rounded(figures.Seconds));
        writer.WriteNumber("messagesPerSecond", BenchCommand.Rounded(figures.PerSecond));
        writer.WriteNumber("bytesPerSecond", BenchCommand.Rounded(figures.Bytes / Math.Max(figures.Seconds, 1e-9)));
        if (limits is not null)
        {
            writer.WriteStartObject("machine");
            BenchCommand.WriteLimits(writer, limits);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }
}
