using System.CommandLine;
using System.Reflection;
using System.Text;
using System.Xml.Linq;
using Carillon.CommandLine;
using Carillon.Options;
using Xunit;

namespace Cluster.Tests.Cli;

/// <summary>
/// The reference pages are made of the program itself: what its commands and options say. With CARILLON_REWRITE_DOCS=1 they are written
/// anew; without, they must be what would be written.
/// </summary>
public sealed class CliReferenceTests
{
    private const string RewriteVariable = "CARILLON_REWRITE_DOCS";

    [Fact]
    public void Page_of_the_configuration_is_what_the_program_knows() => Compare("docs/operations/configuration.md", ConfigurationPage());

    [Fact]
    public void Page_of_the_command_line_is_what_the_program_knows() => Compare("docs/operations/command-line.md", CommandPage());

    private static string ConfigurationPage()
    {
        Dictionary<string, string> values = ConfigurationLoader.Load(null, [], []).Values.ToDictionary(v => v.Key, v => v.Text);
        var page = new StringBuilder(
            """
            # Configuration of a server

            A JSON file; over it the environment (`CARILLON__PUSH__TIMEOUT=5s`); over that `--set push.timeout=5s`. Durations are written as
            `500ms`, `30s`, `2m`, `1h`, sizes as `64KiB`, `1MB` or plain bytes. An unknown key is an error that names the nearest known one.
            `carillon config show --config FILE --origin` tells what is in force, and why.

            `name` is this server's name. `cluster.servers` is the list of all servers, the same in every file; each has `name`, `disk`,
            `host`, `httpPort`, `tunnelPort`, `datagramPort`, `entry`, `storage`, `failureDomain` and `weight`. `carillon cluster init`
            writes all of it.

            `protocol.*` is how groups order their messages, `recent.*` what of these is kept in memory, `groups.*` the rest about groups; `feed.*` has the
            settings of `protocol.*` for the feed. What is given of `log.*` (but `log.snapshotBytes`) holds for the server's log and for the groups' log alike; where
            nothing is given, the groups' has `reserveBytes` 0, `maxFreeSegments` 12, `maxBatchBytes` 4 MiB and `maxWaitingBytes` 128 MiB.

            This page is made of the program's own descriptions, by its tests.

            | key | default | |
            | --- | --- | --- |
            | `name` |  | This server's name; one of `cluster.servers`. It stands by itself at the top of the file. |

            """);
        foreach (OptionKey key in OptionKeys.All)
        {
            string text = values[key.Name];
            page.Append("| `").Append(key.Name).Append("` | ").Append(text.Length > 0 ? $"`{text}`" : "").Append(" | ")
                .Append(Summary(key.Places[0].Property)).Append(" |\n");
        }

        return page.ToString();
    }

    // What the property's own documentation says, as plain words.
    private static string Summary(PropertyInfo property)
    {
        Type owner = property.DeclaringType!;
        string file = Path.Combine(AppContext.BaseDirectory, owner.Assembly.GetName().Name + ".xml");
        string member = $"P:{owner.FullName}.{property.Name}";
        XElement? summary = XDocument.Load(file).Descendants("member")
            .FirstOrDefault(m => (string?)m.Attribute("name") == member)?.Element("summary");
        Assert.True(summary is not null, $"{member} has no description");
        foreach (XElement reference in summary.Descendants("see").ToArray())
        {
            string target = (string?)reference.Attribute("cref") ?? (string?)reference.Attribute("langword") ?? "";
            reference.ReplaceWith(target[(target.LastIndexOf('.') + 1)..]);
        }

        foreach (XElement code in summary.Descendants("c").ToArray())
        {
            code.ReplaceWith($"`{code.Value}`");
        }

        string words = string.Join(' ', summary.Value.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
        return words.Replace("|", "\\|", StringComparison.Ordinal);
    }

    private static string CommandPage()
    {
        RootCommand root = Carillon.Program.CreateRoot(new CommandRunner(new GlobalOptions()));
        var page = new StringBuilder(
            """
            # Command line

            Exit codes: 0 ok · 1 failed · 2 usage · 3 partly done · 4 not found · 5 exists or precondition failed · 6 denied ·
            7 no quorum (rejected) · 8 outcome unknown · 9 integrity · 10 full or over quota · 124 timed out · 130 / 143 interrupted.
            An error is one line on standard error, or one JSON object with `-o json`.

            This page is made of the program's own help, by its tests.

            ## Options of every command


            """);
        WriteOptions(page, root.Options.Where(o => o.Recursive));
        foreach (Command command in root.Subcommands)
        {
            Write(page, command, "carillon", 2);
        }

        return page.ToString();
    }

    private static void Write(StringBuilder page, Command command, string above, int depth)
    {
        string path = $"{above} {command.Name}";
        string arguments = string.Concat(command.Arguments.Select(a =>
            (a.Arity.MinimumNumberOfValues == 0 ? $" [{a.Name}]" : $" {a.Name}") + (a.Arity.MaximumNumberOfValues > 1 ? "…" : "")));
        page.Append('\n').Append('#', depth).Append(" `").Append(path).Append(arguments).Append("`\n");
        page.Append(command.Description).Append(".\n\n");
        foreach (Argument argument in command.Arguments)
        {
            page.Append("- `").Append(argument.Name).Append("`: ").Append(argument.Description).Append('\n');
        }

        WriteOptions(page, command.Options);
        if (command is DocumentedCommand { Examples.Length: > 0 } documented)
        {
            page.Append("\n```\n").AppendJoin('\n', documented.Examples).Append("\n```\n");
        }

        foreach (Command below in command.Subcommands)
        {
            Write(page, below, path, depth + 1);
        }
    }

    private static void WriteOptions(StringBuilder page, IEnumerable<Option> options)
    {
        foreach (Option option in options.Where(o => !o.Hidden))
        {
            string names = string.Join(", ", option.Aliases.Prepend(option.Name));
            string value = option.HelpName is null ? "" : " " + option.HelpName;
            page.Append("- `").Append(names).Append(value).Append("`: ").Append(option.Description).Append('\n');
        }
    }

    private static void Compare(string page, string expected)
    {
        expected = expected.ReplaceLineEndings("\n");
        string path = Path.Combine(Root(), page);
        if (Environment.GetEnvironmentVariable(RewriteVariable) is "1")
        {
            File.WriteAllText(path, expected);
        }

        string found = File.Exists(path) ? File.ReadAllText(path) : "";
        Assert.True(found == expected, $"{page} is not what the program says; write it anew with {RewriteVariable}=1");
    }

    private static string Root()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Carillon.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("these tests belong to a checkout of the repository");
    }
}
