using System.CommandLine;
using System.Text.Json;
using Carillon.Client.Folders;

namespace Carillon.CommandLine;

/// <summary>Tells how a folder's transfer ended: 0, or 3 if anything failed.</summary>
internal static class FolderReport
{
    private const int MaxParallel = 256;

    public static Option<int> ParallelOption() => new("--parallel")
    {
        Description = "With -r, files under way at once",
        HelpName = "N",
        DefaultValueFactory = _ => 32,
    };

    /// <summary>The number of files at once, checked.</summary>
    public static int Parallel(int given) => given is > 0 and <= MaxParallel
        ? given
        : throw new UsageException($"--parallel {given}: use 1 to {MaxParallel}");

    public static int Write(CommandContext context, FolderResult result)
    {
        if (context.IsJson)
        {
            context.WriteJson(writer => Write(writer, result));
        }
        else if (context.Format == OutputFormat.Table)
        {
            double seconds = Math.Max(result.Elapsed.TotalSeconds, 0.001);
            context.Out.WriteLine(
                $"{result.Files} files, {result.Links} links, {result.Directories} directories, "
                + $"{Quantities.Size(result.Bytes)} in {seconds:0.0} s"
                + $" ({result.Files / seconds:0} files/s, {Quantities.Size(result.Bytes / seconds)}/s)"
                + (result.Skipped.Length > 0 ? $", {result.Skipped.Length} skipped" : "")
                + (result.Failed.Length > 0 ? $", {result.Failed.Length} failed" : ""));
        }

        return result.Failed.Length == 0 ? ExitCode.Ok : CodeOfAll(result) ?? ExitCode.Partly;
    }

    // Where nothing was done at all, and all for one reason, that is the end of the whole.
    private static int? CodeOfAll(FolderResult result)
    {
        bool isNothingDone = result.Files + result.Links + result.Directories == 0;
        Client.Failure?[] failures = [.. result.Failed.Select(note => note.Failure).Distinct()];
        return isNothingDone && failures is [{ } failure] ? ExitCode.Of(failure) : null;
    }

    private static void Write(Utf8JsonWriter writer, FolderResult result)
    {
        writer.WriteStartObject();
        writer.WriteNumber("files", result.Files);
        writer.WriteNumber("links", result.Links);
        writer.WriteNumber("directories", result.Directories);
        writer.WriteNumber("bytes", result.Bytes);
        writer.WriteNumber("seconds", Math.Round(result.Elapsed.TotalSeconds, 3));
        WriteNotes(writer, "skipped", result.Skipped);
        WriteNotes(writer, "failed", result.Failed);
        writer.WriteEndObject();
    }

    private static void WriteNotes(Utf8JsonWriter writer, string name, IEnumerable<FolderNote> notes)
    {
        writer.WriteStartArray(name);
        foreach (FolderNote note in notes)
        {
            writer.WriteStartObject();
            writer.WriteString("path", note.Path);
            writer.WriteString("reason", note.Reason);
            if (note.Failure is { } failure)
            {
                writer.WriteNumber("exitCode", ExitCode.Of(failure));
            }

            if (note.Key is not null)
            {
                writer.WriteString("key", note.Key);
            }

            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }
}
