using System.Buffers;
using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Carillon.Client;
using Carillon.Client.Feeds;
using Carillon.CommandLine;
using Carillon.Protocols;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon watch</c>: prints the feed, one change of a name a line, for as long as it runs.</summary>
internal static class WatchCommand
{
    public static Command Create(CommandRunner runner)
    {
        var target = new Argument<string?>("BUCKET[/PREFIX]")
        {
            Description = "Only this bucket, or what in it starts with the prefix", Arity = ArgumentArity.ZeroOrOne,
        };
        Option<string> from = StreamOptions.From();
        Option<ulong?> count = StreamOptions.Count("entries");
        var command = new DocumentedCommand("watch", "Print every change in its order, none missing, none twice, whichever servers die")
        {
            Examples =
            [
                "carillon watch", "carillon watch files/releases/ --from begin -o jsonl",
                "carillon watch files --from 4711 --count 1 && make rebuild",
            ],
        };
        command.Add(target);
        command.Add(from);
        command.Add(count);
        runner.Run(command, async context =>
        {
            ObjectName wanted = context.Parse.GetValue(target) is { } text ? CommandContext.Prefix(text) : default;
            var options = new WatchOptions
            {
                Bucket = wanted.Bucket ?? "", Prefix = wanted.Name ?? "", From = StreamOptions.Start(context.Parse.GetValue(from)!),
            };
            ulong most = StreamOptions.Most(context.Parse.GetValue(count));
            using CarillonClient client = context.CreateClient();
            OutputFormat format = context.Format;
            await LinePrinter.RunAsync(
                context, client.WatchAsync(options, context.Cancellation), most,
                (ArrayBufferWriter<byte> lines, Utf8JsonWriter json, in FeedEntry entry) => Append(lines, json, entry, format));
            return ExitCode.Ok;
        });
        return command;
    }

    private static void Append(ArrayBufferWriter<byte> lines, Utf8JsonWriter json, FeedEntry entry, OutputFormat format)
    {
        for (int i = 0; i < entry.Changes.Length; i++)
        {
            FeedChange change = entry.Changes[i];
            switch (format)
            {
                case OutputFormat.Json or OutputFormat.JsonLines:
                    json.Reset();
                    WriteJson(json, entry, change, hasMore: i < entry.Changes.Length - 1);
                    json.Flush();
                    break;
                case OutputFormat.Name:
                    lines.Write(Encoding.UTF8.GetBytes($"{change.Bucket}/{change.Name}"));
                    break;
                default:
                    lines.Write(Encoding.UTF8.GetBytes(Line(entry, change)));
                    break;
            }

            lines.Write("\n"u8);
        }
    }

    private static string Line(FeedEntry entry, FeedChange change)
    {
        string size = change.Kind == "put" ? Quantities.Size(change.Size) : "-";
        string note = entry.IsSuperseded ? "  (superseded: a newer version was there)" : "";
        string name = Shown.Text($"{change.Bucket}/{change.Name}");
        return string.Create(CultureInfo.InvariantCulture, $"{entry.Sequence}  {entry.Uid}  {change.Kind,-6}  {size,9}  {name}{note}");
    }

    private static void WriteJson(Utf8JsonWriter json, FeedEntry entry, FeedChange change, bool hasMore)
    {
        json.WriteStartObject();
        json.WriteNumber("sequence", entry.Sequence);
        json.WriteString("uid", entry.Uid);
        json.WriteString("bucket", change.Bucket);
        json.WriteString("name", change.Name);
        json.WriteString("kind", change.Kind);
        json.WriteNumber("size", change.Size);
        json.WriteString("sha256", change.Sha256);
        if (entry.IsSuperseded)
        {
            json.WriteBoolean("superseded", true);
        }

        if (hasMore)
        {
            json.WriteBoolean("more", true);
        }

        json.WriteEndObject();
    }
}
