using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon bucket</c>: create, ls, show, set, rm.</summary>
internal static class BucketCommand
{
    public static Command Create(CommandRunner runner)
    {
        var command = new DocumentedCommand("bucket", "Make, list, change and remove buckets")
        {
            Examples = ["carillon bucket create files", "carillon bucket create logs --versions 1 --compression brotli",
                "carillon bucket ls"],
        };
        command.Add(Change(runner, "create", "Make a bucket; one that exists with the same settings is fine", change: false));
        command.Add(Listing(runner));
        command.Add(Show(runner));
        command.Add(Change(runner, "set", "Change settings of a bucket; those that are not given stay", change: true));
        command.Add(Remove(runner));
        return command;
    }

    /// <summary>Lists all buckets; also what <c>ls</c> without a bucket does.</summary>
    public static async Task<int> ListAsync(CommandContext context, CarillonClient client)
    {
        Document<BucketList> list = await client.BucketsAsync(context.Cancellation);
        switch (context.Format)
        {
            case OutputFormat.Json:
                context.WriteJson(list.Json);
                break;
            case OutputFormat.JsonLines:
                foreach (BucketSettings bucket in list.Value.Buckets)
                {
                    context.WriteJson(writer => Write(writer, bucket));
                }

                break;
            case OutputFormat.Name:
                foreach (BucketSettings bucket in list.Value.Buckets)
                {
                    context.Out.WriteLine(bucket.Name);
                }

                break;
            default:
                var table = new TextTable("BUCKET", "REPLICAS", "MINIMUM", "VERSIONS", "CHUNK", "COMPRESSION");
                foreach (BucketSettings bucket in list.Value.Buckets)
                {
                    table.Add(
                        bucket.Name ?? "", Number(bucket.Replicas), Number(bucket.Minimum), Number(bucket.Versions),
                        bucket.ChunkSize is { } size ? Quantities.Size(size) : "-", bucket.Compression ?? "-");
                }

                table.Write(context.Out);
                break;
        }

        return ExitCode.Ok;
    }

    private static DocumentedCommand Listing(CommandRunner runner)
    {
        var command = new DocumentedCommand("ls", "List the buckets") { Examples = ["carillon bucket ls -o name"] };
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            return await ListAsync(context, client);
        });
        return command;
    }

    private static DocumentedCommand Show(CommandRunner runner)
    {
        Argument<string> bucket = Name();
        var command = new DocumentedCommand("show", "Show a bucket's settings") { Examples = ["carillon bucket show files"] };
        command.Add(bucket);
        runner.Run(command, async context =>
        {
            using CarillonClient client = context.CreateClient();
            Document<BucketSettings> settings = await client.BucketAsync(Checked(context, bucket), context.Cancellation);
            WriteOne(context, settings.Value, settings.Json);
            return ExitCode.Ok;
        });
        return command;
    }

    private static DocumentedCommand Remove(CommandRunner runner)
    {
        Argument<string> bucket = Name();
        var command = new DocumentedCommand("rm", "Remove an empty bucket") { Examples = ["carillon bucket rm files"] };
        command.Add(bucket);
        runner.Run(command, async context =>
        {
            string name = Checked(context, bucket);
            using CarillonClient client = context.CreateClient();
            WriteResult<DeleteAnswer> result = await client.DeleteBucketAsync(name, cancellation: context.Cancellation);
            if (result.Answer is not { } answer)
            {
                return WriteReport.Fail(context, result, name);
            }

            if (context.IsJson)
            {
                context.WriteJson(writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteString("bucket", name);
                    writer.WriteString("uid", answer.Uid);
                    writer.WriteString("submission", answer.Submission);
                    writer.WriteBoolean("existed", answer.Existed);
                    writer.WriteEndObject();
                });
            }
            else
            {
                context.Say(answer.Existed ? $"bucket {name} is removed" : $"there was no bucket {name}");
            }

            return ExitCode.Ok;
        });
        return command;
    }

    private static DocumentedCommand Change(CommandRunner runner, string verb, string description, bool change)
    {
        Argument<string> bucket = Name();
        var replicas = new Option<int?>("--replicas") { Description = "Servers that hold each chunk", HelpName = "N" };
        var minimum = new Option<int?>("--minimum")
        {
            Description = "Servers that must hold a chunk durably before a put is accepted",
            HelpName = "N",
        };
        var versions = new Option<int?>("--versions") { Description = "Versions kept of each name", HelpName = "N" };
        var chunkSize = new Option<string?>("--chunk-size") { Description = "Bytes of a chunk, as 256KiB, 1MiB", HelpName = "SIZE" };
        var compression = new Option<string?>("--compression")
        {
            Description = "Compress chunks where it helps",
            HelpName = "none|brotli|deflate",
        };
        compression.AcceptOnlyFromAmong("none", "brotli", "deflate");
        var deduplication = new Option<string?>("--deduplication")
        {
            Description = "Buckets of one domain share equal chunks",
            HelpName = "DOMAIN",
        };
        var ackAgreed = new Option<string?>("--ack-agreed")
        {
            Description = "off: a put answers only once it has its number in the feed",
            HelpName = "on|off",
        };
        ackAgreed.AcceptOnlyFromAmong("on", "off");
        var command = new DocumentedCommand(verb, description)
        {
            Examples = change
                ? ["carillon bucket set files --versions 3", "carillon bucket set files --ack-agreed off"]
                : ["carillon bucket create files", "carillon bucket create big --chunk-size 4MiB --replicas 3 --minimum 2"],
        };
        command.Add(bucket);
        foreach (Option option in new Option[] { replicas, minimum, versions, chunkSize, compression, deduplication, ackAgreed })
        {
            command.Add(option);
        }

        runner.Run(command, async context =>
        {
            ParseResult parse = context.Parse;
            var settings = new BucketSettings
            {
                Replicas = parse.GetValue(replicas),
                Minimum = parse.GetValue(minimum),
                Versions = parse.GetValue(versions),
                ChunkSize = Size(parse.GetValue(chunkSize)),
                Compression = parse.GetValue(compression),
                Deduplication = parse.GetValue(deduplication),
                AckAgreed = parse.GetValue(ackAgreed) is { } text ? text == "on" : null,
            };
            if (change && settings == new BucketSettings())
            {
                throw new UsageException("bucket set: give at least one setting");
            }

            return await ChangeAsync(context, Checked(context, bucket), settings, change);
        });
        return command;
    }

    private static async Task<int> ChangeAsync(CommandContext context, string bucket, BucketSettings settings, bool change)
    {
        using CarillonClient client = context.CreateClient();
        WriteResult<BucketSettings> result = change
            ? await client.SetBucketAsync(bucket, settings, cancellation: context.Cancellation)
            : await client.CreateBucketAsync(bucket, settings, cancellation: context.Cancellation);
        if (result.Answer is not { } answer)
        {
            return WriteReport.Fail(context, result, bucket);
        }

        if (context.Format == OutputFormat.Table)
        {
            context.Say($"bucket {bucket} is {(change ? "changed" : "there")}");
        }
        else
        {
            WriteOne(context, answer with { Name = answer.Name ?? bucket }, default);
        }

        return ExitCode.Ok;
    }

    private static void WriteOne(CommandContext context, BucketSettings bucket, ReadOnlyMemory<byte> json)
    {
        switch (context.Format)
        {
            case OutputFormat.Name:
                context.Out.WriteLine(bucket.Name);
                break;
            case OutputFormat.Table:
                context.Out.WriteLine($"bucket         {bucket.Name}");
                context.Out.WriteLine($"replicas       {Number(bucket.Replicas)}");
                context.Out.WriteLine($"minimum        {Number(bucket.Minimum)}");
                context.Out.WriteLine($"versions       {Number(bucket.Versions)}");
                context.Out.WriteLine($"chunk size     {(bucket.ChunkSize is { } size ? Quantities.Size(size) : "-")}");
                context.Out.WriteLine($"compression    {bucket.Compression ?? "-"}");
                context.Out.WriteLine($"deduplication  {bucket.Deduplication ?? "-"}");
                context.Out.WriteLine($"ack agreed     {(bucket.AckAgreed is false ? "off" : "on")}");
                break;
            case var _ when json.Length > 0:
                context.WriteJson(json);
                break;
            default:
                context.WriteJson(writer => Write(writer, bucket));
                break;
        }
    }

    private static void Write(Utf8JsonWriter writer, BucketSettings bucket)
    {
        writer.WriteStartObject();
        writer.WriteString("name", bucket.Name);
        WriteIfGiven(writer, "replicas", bucket.Replicas);
        WriteIfGiven(writer, "minimum", bucket.Minimum);
        WriteIfGiven(writer, "versions", bucket.Versions);
        WriteIfGiven(writer, "chunkSize", bucket.ChunkSize);
        writer.WriteString("compression", bucket.Compression);
        writer.WriteString("deduplication", bucket.Deduplication);
        writer.WriteBoolean("ackAgreed", bucket.AckAgreed ?? true);
        writer.WriteEndObject();
    }

    private static void WriteIfGiven(Utf8JsonWriter writer, string name, long? value)
    {
        if (value is { } number)
        {
            writer.WriteNumber(name, number);
        }
    }

    private static Argument<string> Name() => new("BUCKET") { Description = "3 to 63 of a-z 0-9 - and '.', not starting with a dot" };

    private static string Checked(CommandContext context, Argument<string> bucket)
    {
        string name = context.Parse.GetRequiredValue(bucket);
        return ObjectName.FaultOfBucket(name) is { } fault ? throw new UsageException($"'{name}': {fault}") : name;
    }

    private static long? Size(string? text)
    {
        if (text is null)
        {
            return null;
        }

        return Quantities.TrySize(text, out long bytes) ? bytes : throw new UsageException($"--chunk-size {text}: use a size such as 1MiB");
    }

    private static string Number(long? value) => value?.ToString(CultureInfo.InvariantCulture) ?? "-";
}
