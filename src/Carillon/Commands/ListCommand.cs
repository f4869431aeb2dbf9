using System.CommandLine;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon ls</c>: buckets, or names in one.</summary>
internal static class ListCommand
{
    public static Command Create(CommandRunner runner)
    {
        var where = new Argument<string?>("BUCKET[/PREFIX]")
        {
            Description = "What to list; nothing: the buckets",
            Arity = ArgumentArity.ZeroOrOne,
        };
        var recursive = new Option<bool>("--recursive", "-r") { Description = "All names, not only up to the next slash" };
        var versions = new Option<bool>("--versions") { Description = "Every kept version, deletions too" };
        var limit = new Option<int?>("--limit")
        {
            Description = "At most so many names; -o json tells where to go on as next",
            HelpName = "N",
        };
        var after = new Option<string?>("--after")
        {
            Description = "Only names after this one, or the next of a former page",
            HelpName = "NAME",
        };
        var command = new DocumentedCommand("ls", "List buckets, or the names in one")
        {
            Examples = ["carillon ls", "carillon ls files/releases/", "carillon ls files -r -o json", "carillon ls files/a.txt --versions"],
        };
        command.Add(where);
        command.Add(recursive);
        command.Add(versions);
        command.Add(limit);
        command.Add(after);
        runner.Run(command, async context =>
        {
            ParseResult parse = context.Parse;
            using CarillonClient client = context.CreateClient();
            if (parse.GetValue(where) is not { } text)
            {
                return await BucketCommand.ListAsync(context, client);
            }

            if (parse.GetValue(limit) is < 1)
            {
                throw new UsageException("--limit: use 1 or more");
            }

            ObjectName prefix = CommandContext.Prefix(text);
            int? most = parse.GetValue(limit);
            var options = new ListOptions
            {
                Prefix = prefix.Name,
                Delimiter = parse.GetValue(recursive) ? null : "/",
                Versions = parse.GetValue(versions),
                After = parse.GetValue(after),
                PageSize = Math.Min(most ?? 1000, 1000),
            };
            await WriteAsync(context, client, prefix.Bucket, options, most ?? int.MaxValue);
            return ExitCode.Ok;
        });
        return command;
    }

    private static async Task WriteAsync(CommandContext context, CarillonClient client, string bucket, ListOptions options, int limit)
    {
        using var json = context.Format == OutputFormat.Json ? new JsonListing(context.Out) : null;
        string? after = options.After;
        int left = limit;
        do
        {
            ListOptions page = options with { PageSize = Math.Min(options.PageSize, left) };
            ObjectPage found = (await client.ListPageAsync(bucket, page, after, context.Cancellation)).Value;
            if (found.Next is not null && found.Next == after)
            {
                throw new CarillonException(Failure.Failed, "the server's listing does not advance");
            }

            if (json is not null)
            {
                json.Add(found);
            }
            else
            {
                WritePage(context, bucket, found, options.Versions);
            }

            left -= found.Objects.Length + found.Prefixes.Length;
            after = found.Next;
        }
        while (after is not null && left > 0);
        json?.End(after);
    }

    private static void WritePage(CommandContext context, string bucket, ObjectPage page, bool versions)
    {
        switch (context.Format)
        {
            case OutputFormat.Name:
                foreach (string name in page.Prefixes.Concat(page.Objects.Select(o => o.Name)))
                {
                    context.Out.WriteLine($"{bucket}/{name}");
                }

                break;
            case OutputFormat.JsonLines:
                foreach (ObjectEntry entry in page.Objects)
                {
                    context.WriteJson(writer => JsonListing.Write(writer, entry));
                }

                foreach (string prefix in page.Prefixes)
                {
                    context.WriteJson(writer =>
                    {
                        writer.WriteStartObject();
                        writer.WriteString("prefix", prefix);
                        writer.WriteEndObject();
                    });
                }

                break;
            default:
                WriteTable(context, page, versions);
                break;
        }
    }

    private static void WriteTable(CommandContext context, ObjectPage page, bool versions)
    {
        var table = versions ? new TextTable("MODIFIED", "SIZE", "KIND", "UID", "NAME") : new TextTable("MODIFIED", "SIZE", "NAME");
        foreach (string prefix in page.Prefixes)
        {
            table.Add(versions ? ["-", "-", "prefix", "-", prefix] : ["-", "-", prefix]);
        }

        foreach (ObjectEntry entry in page.Objects)
        {
            string modified = entry.Modified?.ToUniversalTime().ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) ?? "-";
            string size = Quantities.Size(entry.Size);
            table.Add(versions ? [modified, size, entry.Kind, entry.Uid, entry.Name] : [modified, size, entry.Name]);
        }

        table.Write(context.Out);
    }

    /// <summary>
    /// One JSON document, written page by page: a million names need no more memory than a thousand. Prefixes come at the
    /// end.
    /// </summary>
    private sealed class JsonListing : IDisposable
    {
        private readonly TextWriter _output;
        private readonly System.Buffers.ArrayBufferWriter<byte> _bytes = new();
        private readonly Utf8JsonWriter _writer;
        private readonly List<string> _prefixes = [];
        private long? _sequence;

        public JsonListing(TextWriter output)
        {
            _output = output;
            _writer = new Utf8JsonWriter(_bytes, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
            _writer.WriteStartObject();
            _writer.WriteStartArray("objects");
        }

        public static void Write(Utf8JsonWriter writer, ObjectEntry entry)
        {
            writer.WriteStartObject();
            writer.WriteString("name", entry.Name);
            writer.WriteString("uid", entry.Uid);
            WriteReport.WriteSequence(writer, entry.Sequence);
            writer.WriteNumber("size", entry.Size);
            writer.WriteString("sha256", entry.Sha256);
            writer.WriteString(
                "modified", entry.Modified?.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture));
            writer.WriteString("kind", entry.Kind);
            writer.WriteEndObject();
        }

        public void Add(ObjectPage page)
        {
            // The first page's: what has a greater number may be in a later page, and what has not is in one of them.
            _sequence ??= page.Sequence;
            foreach (ObjectEntry entry in page.Objects)
            {
                Write(_writer, entry);
            }

            _prefixes.AddRange(page.Prefixes);
            Flush();
        }

        public void End(string? next)
        {
            _writer.WriteEndArray();
            _writer.WriteStartArray("prefixes");
            foreach (string prefix in _prefixes)
            {
                _writer.WriteStringValue(prefix);
            }

            _writer.WriteEndArray();
            _writer.WriteString("next", next);
            WriteReport.WriteSequence(_writer, _sequence);
            _writer.WriteEndObject();
            Flush();
            _output.WriteLine();
        }

        public void Dispose() => _writer.Dispose();

        private void Flush()
        {
            _writer.Flush();
            _output.Write(Encoding.UTF8.GetString(_bytes.WrittenSpan));
            _bytes.ResetWrittenCount();
        }
    }
}
