using System.CommandLine;
using System.Text.Json;
using Carillon.Benchmarks;
using Carillon.Client;
using Carillon.Client.Groups;
using Carillon.CommandLine;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Commands;

/// <summary><c>carillon bench publish</c>: messages to a group, with the machine's limits beside the figures.</summary>
internal static class BenchPublishCommand
{
    private const int MaxSenders = 1024;
    private const int MaxInFlight = 65_536;

    public static Command Create(CommandRunner runner)
    {
        Argument<string> name = GroupCommand.NameArgument();
        Option<string> size = Given("--size", "Bytes of a message", "SIZE", "1KB");
        Option<int> senders = Given("--senders", "Senders, spread over the servers that are given", "N", 3);
        Option<int> inFlight = Given("--in-flight", "Messages that each has in flight", "N", 64);
        var messages = new Option<long?>("--messages") { Description = "Messages in all, instead of --seconds", HelpName = "N" };
        Option<double> seconds = Given("--seconds", "How long it runs", "N", 5.0);
        Option<string?> durability = GroupCommand.DurabilityOption();
        Option<string> scratch = Given("--scratch", "Folder on the disk whose limits are measured", "DIR", ".");
        var noLimits = new Option<bool>("--no-limits") { Description = "Do not measure the machine" };
        var command = new DocumentedCommand("publish", "Messages to a group, which is made if it is not there")
        {
            Examples =
            [
                "carillon bench publish bench --server http://127.0.0.1:7410,http://127.0.0.1:7420,http://127.0.0.1:7430 --senders 3 --in-flight 64",
                "carillon bench publish fast --durability memory --size 100 --messages 1000000 -o json",
            ],
        };
        command.Add(name);
        foreach (Option option in new Option[] { size, senders, inFlight, messages, seconds, durability, scratch, noLimits })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            ParseResult parse = context.Parse;
            if (!Quantities.TrySize(parse.GetValue(size)!, out long bytes) || bytes is < 0 or > GroupSettings.MaxPayloadBytes)
            {
                throw new UsageException($"--size {parse.GetValue(size)}: a message has 0 to {GroupSettings.MaxPayloadBytes} bytes");
            }

            var plan = new PublishPlan
            {
                Group = GroupCommand.Checked(context, name),
                Size = (int)bytes,
                Senders = Between(parse.GetValue(senders), MaxSenders, "--senders"),
                InFlight = Between(parse.GetValue(inFlight), MaxInFlight, "--in-flight"),
                Messages = parse.GetValue(messages) is null or > 0
                    ? parse.GetValue(messages) : throw new UsageException("--messages: use 1 or more"),
                Duration = parse.GetValue(seconds) is > 0 and < 86_400 and var span
                    ? TimeSpan.FromSeconds(span) : throw new UsageException("--seconds: use more than 0"),
            };
            string? folder = parse.GetValue(noLimits) ? null : Path.GetFullPath(parse.GetValue(scratch)!);
            return await RunAsync(context, plan, parse.GetValue(durability), folder);
        });
        return command;
    }

    private static Option<T> Given<T>(string name, string description, string value, T otherwise) =>
        new(name) { Description = description, HelpName = value, DefaultValueFactory = _ => otherwise };

    private static int Between(int value, int most, string option) => value >= 1 && value <= most
        ? value : throw new UsageException($"{option} {value}: use 1 to {most}");

    private static async Task<int> RunAsync(CommandContext context, PublishPlan plan, string? durability, string? scratch)
    {
        using CarillonClient client = context.CreateClient();
        GroupInfo group = await PrepareAsync(client, plan.Group, durability, context.Cancellation);
        ClusterStatus status = (await client.ClusterStatusAsync(context.Cancellation)).Value;
        using FlushCount flushes = FlushCount.Create(context.ClientOptions(), status);
        MachineLimits? limits = null;
        if (scratch is not null)
        {
            context.Say("measuring the machine …");
            limits = await MachineLimits.MeasureAsync(scratch, client, status, context.Cancellation);
        }

        context.Say($"sending with {plan.Senders} senders, {plan.InFlight} in flight each …");
        PublishFigures figures = await new PublishBench(plan, context.ClientOptions(), flushes).RunAsync(context.Cancellation);
        if (context.IsJson)
        {
            context.WriteJson(writer => WriteJson(writer, plan, group, figures, limits));
        }
        else
        {
            WriteTable(context.Out, plan, group, figures, limits);
        }

        return figures.Messages == 0 ? ExitCode.Failed : figures.Errors > 0 ? ExitCode.Partly : ExitCode.Ok;
    }

    private static async Task<GroupInfo> PrepareAsync(
        CarillonClient client, GroupName group, string? durability, CancellationToken cancellation)
    {
        try
        {
            GroupInfo there = (await client.Groups.ShowAsync(group, cancellation)).Value;
            return durability is null || there.Durability == durability
                ? there
                : throw new UsageException($"group {group} is there and is {there.Durability}: name another one, or leave --durability out");
        }
        catch (CarillonException absent) when (absent.Failure == Failure.NotFound && absent.Problem?.Code == "group-not-found")
        {
            var settings = new NewGroup { Durability = durability };
            (await client.Groups.CreateAsync(group, settings, cancellation: cancellation)).AcceptedOrThrow();
            return (await client.Groups.ShowAsync(group, cancellation)).Value;
        }
    }

    private static void WriteTable(TextWriter output, PublishPlan plan, GroupInfo group, PublishFigures figures, MachineLimits? limits)
    {
        var table = new TextTable(
            "GROUP", "SENDERS", "IN FLIGHT", "MESSAGES", "MSG/S", "MB/S", "P50 ms", "P99 ms", "P99.9 ms", "MAX ms", "FLUSHES/MSG",
            "ERRORS");
        table.Add(
            $"{group.Name} ({group.Durability})", BenchCommand.Text(plan.Senders), BenchCommand.Text(plan.InFlight),
            BenchCommand.Text(figures.Messages), BenchCommand.Text(figures.PerSecond),
            BenchCommand.Text(figures.PerSecond * plan.Size / 1e6), BenchCommand.Text(figures.MedianMs),
            BenchCommand.Text(figures.Percentile99Ms), BenchCommand.Text(figures.Percentile999Ms), BenchCommand.Text(figures.LongestMs),
            figures.FlushesPerMessage is { } flushes ? BenchCommand.Text(flushes) : "-",
            figures.Errors == 0 ? "0" : $"{figures.Errors}: {figures.FirstError}");
        table.Write(output);
        if (limits is not null)
        {
            BenchCommand.WriteLimits(output, limits);
        }
    }

    private static void WriteJson(
        Utf8JsonWriter writer, PublishPlan plan, GroupInfo group, PublishFigures figures, MachineLimits? limits)
    {
        writer.WriteStartObject();
        writer.WriteString("kind", "publish");
        writer.WriteString("group", group.Name);
        writer.WriteString("durability", group.Durability);
        writer.WriteNumber("size", plan.Size);
        writer.WriteNumber("senders", plan.Senders);
        writer.WriteNumber("inFlight", plan.InFlight);
        writer.WriteNumber("messages", figures.Messages);
        writer.WriteNumber("errors", figures.Errors);
        writer.WriteString("firstError", figures.FirstError);
        writer.WriteNumber("seconds", BenchCommand.Rounded(figures.Seconds));
        writer.WriteNumber("messagesPerSecond", BenchCommand.Rounded(figures.PerSecond));
        writer.WriteNumber("bytesPerSecond", BenchCommand.Rounded(figures.PerSecond * plan.Size));
        writer.WriteNumber("p50Ms", BenchCommand.Rounded(figures.MedianMs));
        writer.WriteNumber("p99Ms", BenchCommand.Rounded(figures.Percentile99Ms));
        writer.WriteNumber("p999Ms", BenchCommand.Rounded(figures.Percentile999Ms));
        writer.WriteNumber("maxMs", BenchCommand.Rounded(figures.LongestMs));
        if (figures.FlushesPerMessage is { } flushes)
        {
            writer.WriteNumber("flushesPerMessage", BenchCommand.Rounded(flushes));
        }
        else
        {
            writer.WriteNull("flushesPerMessage");
        }

        if (limits is not null)
        {
            writer.WriteStartObject("machine");
            BenchCommand.WriteLimits(writer, limits);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }
}
