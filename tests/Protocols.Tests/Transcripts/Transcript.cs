using System.Text;
using Xunit;

namespace Carillon.Protocols.Tests.Transcripts;

/// <summary>
/// Runs a core line by line. A transcript is a text file: a head of <c>#</c> lines tells the story and cites the seed's figure
/// or the requirement; then come commands, one a line from the first column, each with its recorded effects beneath, indented
/// by two spaces. Blank lines and further <c>#</c> lines may stand anywhere and are kept.
/// <code>
/// # Start: two servers find each other (seed 003, §5.2).
/// advance 100ms
///   s1 sends a heartbeat to all
/// heartbeat from=s2 rtt=2ms
///   s1 event Connected s2
/// </code>
/// With CARILLON_UPDATE_TRANSCRIPTS=1 the recorded effects are rewritten, to be reviewed as a diff; otherwise they are compared.
/// </summary>
public static class Transcript
{
    private const string Indent = "  ";

    /// <summary>The transcripts in a folder beside this file, by name without <c>.txt</c>, in order: the data of a theory.</summary>
    public static TheoryData<string> In(string folder)
    {
        var names = new TheoryData<string>();
        foreach (string file in Directory.EnumerateFiles(FolderOf(folder), "*.txt").Order(StringComparer.Ordinal))
        {
            names.Add(Path.GetFileNameWithoutExtension(file));
        }

        return names;
    }

    /// <summary>Runs one transcript; <paramref name="run"/> carries out a command and returns its effects in order, one a line.</summary>
    public static void Check(string folder, string name, Func<TranscriptCommand, IEnumerable<string>> run)
    {
        string path = Path.Combine(FolderOf(folder), name + ".txt");
        string recorded = File.ReadAllText(path).ReplaceLineEndings("\n");
        string observed = Replay(recorded, run);
        if (Environment.GetEnvironmentVariable("CARILLON_UPDATE_TRANSCRIPTS") is "1")
        {
            File.WriteAllText(path, observed);
            return;
        }

        Compare(path, recorded.Split('\n'), observed.Split('\n'));
    }

    /// <summary>The same text with the effects that the commands have now.</summary>
    public static string Replay(string text, Func<TranscriptCommand, IEnumerable<string>> run)
    {
        string[] lines = text.TrimEnd('\n').Split('\n');
        Assert.True(lines[0].StartsWith('#'), "A transcript begins with '#' lines that tell its story and cite its source.");
        var observed = new StringBuilder();
        int commands = 0;
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i];
            if (line.StartsWith(Indent, StringComparison.Ordinal))
            {
                continue;
            }

            observed.Append(line).Append('\n');
            if (line.Length == 0 || line[0] == '#')
            {
                continue;
            }

            commands++;
            foreach (string effect in run(TranscriptCommand.Parse(line, i + 1)))
            {
                Assert.DoesNotContain('\n', effect);
                observed.Append(Indent).Append(effect).Append('\n');
            }
        }

        Assert.True(commands > 0, "A transcript has commands.");
        return observed.ToString();
    }

    private static void Compare(string path, string[] recorded, string[] observed)
    {
        int same = 0;
        while (same < recorded.Length && same < observed.Length && recorded[same] == observed[same])
        {
            same++;
        }

        if (same == recorded.Length && same == observed.Length)
        {
            return;
        }

        int first = Math.Max(0, same - 6);
        Assert.Fail($"""
            {Path.GetFileName(path)} differs from line {same + 1} on (CARILLON_UPDATE_TRANSCRIPTS=1 rewrites it).
            recorded:
            {Excerpt(recorded, first)}
            now:
            {Excerpt(observed, first)}
            """);
    }

    private static string Excerpt(string[] lines, int first) =>
        string.Join('\n', lines.Skip(first).Take(24).Select(line => "    | " + line));

    private static string FolderOf(string folder)
    {
        DirectoryInfo? root = new(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "Carillon.slnx")))
        {
            root = root.Parent;
        }

        Assert.NotNull(root);
        return Path.Combine(root.FullName, "tests", "Protocols.Tests", "Transcripts", folder);
    }
}
