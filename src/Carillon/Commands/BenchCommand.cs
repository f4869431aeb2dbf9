using System.Collections.Immutable;
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Carillon.Benchmarks;
using Carillon.Client;
using Carillon.CommandLine;

namespace Carillon.Commands;

/// <summary><c>carillon bench put|get|publish|subscribe</c>: load on a cluster, with the machine's limits beside the figures.</summary>
internal static class BenchCommand
{
    // The goal for one client: flushes and tunnel round trips that lie in a row in a small put, and one request.
    private const double GoalFlushes = 4;
    private const double GoalRoundTrips = 5;

    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand("bench", "Measure a cluster beside what its machine can do")
        {
            Examples = ["carillon bench put --clients 1,16,64 --size 1KB",
                "carillon bench get --clients 1 --size 1GiB --count 3 --to-file"],
        };
        command.Add(Kind(runner, "put", "Durable puts of new objects", puts: true));
        command.Add(Kind(runner, "get", "Gets of objects that are put first", puts: false));
        command.Add(BenchPublishCommand.Create(runner));
        command.Add(BenchSubscribeCommand.Create(runner));
        return command;
    }

    private static DocumentedCommand Kind(CommandRunner runner, string verb, string description, bool puts)
    {
        var clients = new Option<string>("--clients")
        {
            Description = "How many at once, one level after the other",
            HelpName = "N[,N…]",
            DefaultValueFactory = _ => "1,16,64",
        };
        var size = new Option<string>("--size") { Description = "Bytes of an object", HelpName = "SIZE", DefaultValueFactory = _ => "1KB" };
        var count = new Option<int?>("--count") { Description = "Operations a level, instead of --duration", HelpName = "N" };
        var duration = new Option<string>("--duration")
        {
            Description = "How long a level runs",
            HelpName = "T",
            DefaultValueFactory = _ => "5s",
        };
        var bucket = new Option<string>("--bucket")
        {
            Description = "Made if it is not there",
            HelpName = "BUCKET",
            DefaultValueFactory = _ => "bench",
        };
        var scratch = new Option<string>("--scratch")
        {
            Description = "Folder on the disk whose limits are measured",
            HelpName = "DIR",
            DefaultValueFactory = _ => ".",
        };
        var noLimits = new Option<bool>("--no-limits") { Description = "Do not measure the machine" };
        var toFile = new Option<bool>("--to-file") { Description = "Write what is got to files in --scratch" };
        var command = new DocumentedCommand(verb, description) { Examples = [$"carillon bench {verb} --clients 1,16,64 -o json"] };
        foreach (Option option in new Option[] { clients, size, count, duration, bucket, scratch, noLimits })
        {
            command.Add(option);
        }

        Option<string?> ack = new WriteOptions().Ack;
        command.Add(puts ? ack : toFile);

        runner.Run(command, async context =>
        {
            ParseResult parse = context.Parse;
            if (!Quantities.TrySize(parse.GetValue(size)!, out long bytes)
                || !Quantities.TryDuration(parse.GetValue(duration)!, out TimeSpan span))
            {
                throw new UsageException(
                    $"--size {parse.GetValue(size)} --duration {parse.GetValue(duration)}: use a size as 1KB, and a duration as 5s");
            }

            var plan = new BenchPlan
            {
                Puts = puts,
                Clients = Levels(parse.GetValue(clients)!),
                Size = bytes,
                Count = parse.GetValue(count) is null or > 0 ? parse.GetValue(count) : throw new UsageException("--count: use 1 or more"),
                Duration = span,
                Bucket = parse.GetValue(bucket)!,
                Scratch = Path.GetFullPath(parse.GetValue(scratch)!),
                Ack = puts ? parse.GetValue(ack) : null,
                ToFile = !puts && parse.GetValue(toFile),
            };
            return await RunAsync(context, plan, !parse.GetValue(noLimits));
        });
        return command;
    }

    private static async Task<int> RunAsync(CommandContext context, BenchPlan plan, bool withLimits)
    {
        using CarillonClient client = context.CreateClient();
        ClusterStatus status = (await client.ClusterStatusAsync(context.Cancellation)).Value;
        using FlushCount flushes = FlushCount.Create(context.ClientOptions(), status);
        using var bench = new Bench(plan, context.ClientOptions(), flushes);
        await bench.PrepareAsync(context.Cancellation);
        MachineLimits? limits = null;
        if (withLimits)
        {
            context.Say("measuring the machine …");
            limits = await MachineLimits.MeasureAsync(plan.Scratch, client, status, context.Cancellation);
        }

        var levels = ImmutableArray.CreateBuilder<BenchLevel>();
        foreach (int clients in plan.Clients)
        {
            context.Say($"{(plan.Puts ? "putting" : "getting")} with {clients} clients …");
            levels.Add(await bench.RunAsync(clients, context.Cancellation));
        }

        if (context.IsJson)
        {
            context.WriteJson(writer => WriteJson(writer, plan, levels, limits));
        }
        else
        {
            WriteTable(context.Out, plan, levels, limits);
        }

        return levels.Any(l => l.Operations == 0) ? ExitCode.Failed : levels.Any(l => l.Errors > 0) ? ExitCode.Partly : ExitCode.Ok;
    }

    private static ImmutableArray<int> Levels(string text)
    {
        var levels = ImmutableArray.CreateBuilder<int>();
        foreach (string part in text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            levels.Add(int.TryParse(part, NumberStyles.None, CultureInfo.InvariantCulture, out int clients) && clients is > 0 and <= 4096
                ? clients
                : throw new UsageException($"--clients {text}: use numbers from 1 to 4096, as 1,16,64"));
        }

        return levels.DrainToImmutable();
    }

    private static double? Goal(BenchPlan plan, MachineLimits? limits) => plan.Puts && limits is { TunnelRoundTripMs: { } roundTrip }
        ? (GoalFlushes * limits.FlushMedianMs) + (GoalRoundTrips * roundTrip) + limits.EmptyRequestMedianMs
        : null;

    private static void WriteTable(TextWriter output, BenchPlan plan, IEnumerable<BenchLevel> levels, MachineLimits? limits)
    {
        var table = new TextTable("CLIENTS", "OPS", "OPS/S", "MB/S", "P50 ms", "P99 ms", "MAX ms", "FLUSHES/OP", "ERRORS");
        foreach (BenchLevel level in levels)
        {
            table.Add(
                Text(level.Clients),
                Text(level.Operations),
                Text(level.PerSecond),
                Text(level.PerSecond * plan.Size / 1e6),
                Text(level.MedianMs),
                Text(level.Percentile99Ms), Text(level.LongestMs), level.FlushesPerOperation is { } flushes ? Text(flushes) : "-",
                level.Errors == 0 ? "0" : $"{level.Errors}: {level.FirstError}");
        }

        table.Write(output);
        if (limits is null)
        {
            return;
        }

        WriteLimits(output, limits);
        if (Goal(plan, limits) is { } goal)
        {
            output.WriteLine($"  goal for one client             p50 ≤ {Text(goal)} ms (4 flushes + 5 round trips + 1 request)");
        }
    }

    /// <summary>What the machine can do, for people.</summary>
    public static void WriteLimits(TextWriter output, MachineLimits limits)
    {
        output.WriteLine();
        output.WriteLine("the machine, in the same run:");
        output.WriteLine(
            $"  flush after a 4 KiB overwrite   p50 {Text(limits.FlushMedianMs)} ms, p99 {Text(limits.FlushPercentile99Ms)} ms");
        output.WriteLine($"  sequential write + flush        {Text(limits.SequentialWriteBytesPerSecond / 1e6)} MB/s");
        output.WriteLine($"  loopback copy                   {Text(limits.LoopbackBytesPerSecond / 1e6)} MB/s");
        output.WriteLine($"  empty HTTP request              p50 {Text(limits.EmptyRequestMedianMs)} ms");
        output.WriteLine($"  UDP round trip on loopback      p50 {Text(limits.DatagramRoundTripMs)} ms");
        output.WriteLine($"  tunnel round trip               {(limits.TunnelRoundTripMs is { } rtt ? Text(rtt) + " ms" : "not told")}");
    }

    private static void WriteJson(Utf8JsonWriter writer, BenchPlan plan, IEnumerable<BenchLevel> levels, MachineLimits? limits)
    {
        writer.WriteStartObject();
        writer.WriteString("kind", plan.Puts ? "put" : "get");
        writer.WriteNumber("size", plan.Size);
        writer.WriteStartArray("levels");
        foreach (BenchLevel level in levels)
        {
            writer.WriteStartObject();
            writer.WriteNumber("clients", level.Clients);
            writer.WriteNumber("operations", level.Operations);
            writer.WriteNumber("errors", level.Errors);
            writer.WriteString("firstError", level.FirstError);
            writer.WriteNumber("seconds", Rounded(level.Seconds));
            writer.WriteNumber("opsPerSecond", Rounded(level.PerSecond));
            writer.WriteNumber("bytesPerSecond", Rounded(level.PerSecond * plan.Size));
            writer.WriteNumber("p50Ms", Rounded(level.MedianMs));
            writer.WriteNumber("p99Ms", Rounded(level.Percentile99Ms));
            writer.WriteNumber("maxMs", Rounded(level.LongestMs));
            WriteNumber(writer, "flushesPerOperation", level.FlushesPerOperation);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
        if (limits is not null)
        {
            writer.WriteStartObject("machine");
            WriteLimits(writer, limits);
            WriteNumber(writer, "goalP50Ms", Goal(plan, limits));
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }

    /// <summary>The same as fields of an object that is open.</summary>
    public static void WriteLimits(Utf8JsonWriter writer, MachineLimits limits)
    {
        writer.WriteNumber("flushP50Ms", Rounded(limits.FlushMedianMs));
        writer.WriteNumber("flushP99Ms", Rounded(limits.FlushPercentile99Ms));
        writer.WriteNumber("sequentialWriteBytesPerSecond", Rounded(limits.SequentialWriteBytesPerSecond));
        writer.WriteNumber("loopbackBytesPerSecond", Rounded(limits.LoopbackBytesPerSecond));
        writer.WriteNumber("emptyHttpP50Ms", Rounded(limits.EmptyRequestMedianMs));
        writer.WriteNumber("datagramRoundTripMs", Rounded(limits.DatagramRoundTripMs));
        WriteNumber(writer, "tunnelRoundTripMs", limits.TunnelRoundTripMs);
    }

    private static void WriteNumber(Utf8JsonWriter writer, string name, double? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, Rounded(number));
        }
        else
        {
            writer.WriteNull(name);
        }
    }

    /// <summary>Four places are more than any figure here has meaning.</summary>
    public static double Rounded(double value) => Math.Round(value, 4);

    /// <summary>A figure for people.</summary>
    public static string Text(double value) => value.ToString(Math.Abs(value) >= 100 ? "0" : "0.###", CultureInfo.InvariantCulture);
}
