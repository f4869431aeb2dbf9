using System.Collections.Immutable;
using System.CommandLine;
using System.Text.Json;
using Carillon.Client;
using Carillon.CommandLine;
using Carillon.Protocols.Submissions;

namespace Carillon.Commands;

/// <summary><c>carillon changeset</c>: several puts and deletes that become visible at once.</summary>
internal static class ChangesetCommand
{
    private static readonly string[] KnownKeys = ["put", "delete", "file", "text", "base64", "ifMatch", "ifNoneMatch", "contentType",
        "metadata"];

    public static Command Create(CommandRunner runner)
    {
        var file = new Argument<string>("FILE.json")
        {
            Description = "The changeset, - for standard input; paths in it are relative to its folder",
        };
        var write = new WriteOptions();
        var command = new DocumentedCommand("changeset", "Put and delete several files as one change: all of them or none")
        {
            Examples =
            [
                "carillon changeset release.json",
                """echo '{"operations":[{"put":"files/a","text":"1"},{"delete":"files/b"}]}' | carillon changeset -""",
                """echo '{"operations":[{"put":"files/a","text":"2","ifMatch":"1767225600000-0@s1"},{"put":"files/b","text":"","ifNoneMatch":true}]}' | carillon changeset -""",
            ],
        };
        command.Add(file);
        write.AddTo(command, conditions: false);
        runner.Run(command, async context =>
        {
            string path = context.Parse.GetRequiredValue(file);
            byte[] json = path == "-"
                ? await ReadInputAsync(context.Cancellation)
                : await File.ReadAllBytesAsync(path, context.Cancellation);
            string folder = path == "-" ? "." : Path.GetDirectoryName(Path.GetFullPath(path))!;
            Changeset changeset = Read(json, folder);
            PutOptions options = write.Read(context.Parse);
            using CarillonClient client = context.CreateClient();
            WriteResult<ChangesetAnswer> result = await client.ChangesetAsync(
                changeset, options, context.Cancellation);
            if (result.Answer is not { } answer)
            {
                return WriteReport.Fail(context, result, "changeset");
            }

            int code = WriteReport.Unnumbered(context, result, answer.Sequence, options.Ack, "changeset");
            if (code == ExitCode.Ok)
            {
                Write(context, answer);
            }

            return code;
        });
        return command;
    }

    /// <summary>Checks a changeset, and gives each file of it a part name of its own.</summary>
    /// <exception cref="UsageException">It is not right.</exception>
    internal static Changeset Read(ReadOnlyMemory<byte> json, string folder)
    {
        try
        {
            using var document = JsonDocument.Parse(json);
            if (document.RootElement.ValueKind != JsonValueKind.Object
                || !document.RootElement.TryGetProperty("operations", out JsonElement operations)
                || operations.ValueKind != JsonValueKind.Array)
            {
                throw new UsageException("""a changeset is {"operations":[…]}""");
            }

            return Read(operations, folder);
        }
        catch (JsonException fault)
        {
            throw new UsageException("the changeset is not JSON: " + fault.Message, fault);
        }
    }

    private static Changeset Read(JsonElement operations, string folder)
    {
        var files = ImmutableArray.CreateBuilder<KeyValuePair<string, string>>();
        var bytes = new System.Buffers.ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(bytes))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("operations");
            int number = 0;
            foreach (JsonElement operation in operations.EnumerateArray())
            {
                number++;
                Check(operation, number);
                writer.WriteStartObject();
                foreach (JsonProperty property in operation.EnumerateObject())
                {
                    if (property.Name == "file")
                    {
                        string part = $"file-{number}";
                        files.Add(new(part, Existing(property.Value.GetString() ?? "", folder, number)));
                        writer.WriteString("file", part);
                        continue;
                    }

                    property.WriteTo(writer);
                }

                writer.WriteEndObject();
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
            if (number is 0 or > Submission.MaxOperations)
            {
                throw new UsageException($"a changeset has 1 to {Submission.MaxOperations} operations, this one has {number}");
            }
        }

        return new Changeset(bytes.WrittenMemory, files.DrainToImmutable());
    }

    private static void Check(JsonElement operation, int number)
    {
        string where = $"operation {number}";
        if (operation.ValueKind != JsonValueKind.Object)
        {
            throw new UsageException($"{where}: it is not an object");
        }

        foreach (JsonProperty property in operation.EnumerateObject())
        {
            if (!KnownKeys.Contains(property.Name))
            {
                string? nearest = Nearest.To(property.Name, KnownKeys);
                throw new UsageException(
                    $"{where}: unknown key '{property.Name}'{(nearest is null ? "" : $", did you mean '{nearest}'?")}");
            }
        }

        bool puts = operation.TryGetProperty("put", out JsonElement put);
        bool deletes = operation.TryGetProperty("delete", out JsonElement delete);
        if (puts == deletes)
        {
            throw new UsageException($"{where}: use either put or delete");
        }

        JsonElement target = puts ? put : delete;
        if (target.ValueKind != JsonValueKind.String)
        {
            throw new UsageException($"{where}: use \"BUCKET/NAME\"");
        }

        CommandContext.Target(target.GetString()!);
        int contents = new[] { "file", "text", "base64" }.Count(key => operation.TryGetProperty(key, out _));
        if (contents != (puts ? 1 : 0))
        {
            throw new UsageException(puts ? $"{where}: a put has one of file, text and base64" : $"{where}: a delete has no content");
        }
    }

    private static string Existing(string path, string folder, int number)
    {
        string full = Path.Combine(folder, path);
        return File.Exists(full) ? full : throw new ExitException(ExitCode.Failed, $"operation {number}: {full}: there is no such file");
    }

    private static async Task<byte[]> ReadInputAsync(CancellationToken cancellation)
    {
        var memory = new MemoryStream();
        await using var input = new StandardInput();
        await input.CopyToAsync(memory, cancellation);
        return memory.ToArray();
    }

    private static void Write(CommandContext context, ChangesetAnswer answer)
    {
        switch (context.Format)
        {
            case OutputFormat.Name:
                foreach (ChangesetOperationAnswer operation in answer.Operations)
                {
                    context.Out.WriteLine($"{operation.Bucket}/{operation.Name}");
                }

                break;
            case OutputFormat.Table:
                context.Out.WriteLine(answer.Uid);
                break;
            default:
                context.WriteJson(writer =>
                {
                    writer.WriteStartObject();
                    writer.WriteString("submission", answer.Submission);
                    writer.WriteString("uid", answer.Uid);
                    WriteReport.WriteSequence(writer, answer.Sequence);
                    writer.WriteStartArray("operations");
                    foreach (ChangesetOperationAnswer operation in answer.Operations)
                    {
                        writer.WriteStartObject();
                        writer.WriteString("bucket", operation.Bucket);
                        writer.WriteString("name", operation.Name);
                        writer.WriteString("uid", operation.Uid);
                        writer.WriteEndObject();
                    }

                    writer.WriteEndArray();
                    writer.WriteEndObject();
                });
                break;
        }
    }
}
