using System.Globalization;

namespace Carillon.Simulator;

/// <summary>The simulator's options, as given.</summary>
internal sealed record CommandLine
{
    public const string Usage = """
        Runs the node that ships in a simulated world: network, disks, clocks and faults decided by a seed.

        usage: Carillon.Simulator --seeds N [--first M] [--services | --changes] [--bug NAME] [--trace] [--jobs J]
               Carillon.Simulator --check-history FILE
               Carillon.Simulator --list-bugs

          --seeds N             seeds to run
          --first M             the first of them; 1 unless given
          --services            every run has services, under faults that strike at leases
          --changes             every run's configuration changes
          --bug NAME            switches a deliberate bug on, and ends at the first seed that finds it (a build with -p:SeededBugs=true);
                                those of primacy are looked for with --services
          --trace               prints all that happens
          --jobs J              processes to run them in; 1 unless given
          --check-history FILE  says whether a recorded history (JSON lines) is linearizable
          --list-bugs           prints the names of the deliberate bugs

        exit code: 0 clean, 1 the program under test crashed, 2 a guarantee was broken, 3 a healed cluster did not get on
                   (of a history: 2 not linearizable, 3 no verdict); 64 for a bad command line
        """;

    public ulong First { get; init; } = 1;

    public int Seeds { get; init; }

    public string? Bug { get; init; }

    public bool Trace { get; init; }

    /// <summary>What every run has.</summary>
    public SeedKind Kind { get; init; }

    /// <summary>The option that says so.</summary>
    public string KindOption => $"--{Kind.ToString().ToLowerInvariant()}";

    public int Jobs { get; init; } = 1;

    public string? History { get; init; }

    public bool ListsBugs { get; init; }

    /// <summary>One of several processes: the summary is written for the parent to read.</summary>
    public bool IsPart { get; init; }

    /// <summary>Reads arguments; null with the reason where they are wrong.</summary>
    public static CommandLine? Parse(IReadOnlyList<string> arguments, out string fault)
    {
        var line = new CommandLine();
        fault = "";
        for (int i = 0; i < arguments.Count; i++)
        {
            string option = arguments[i];
            bool isAlone = option is "--trace" or "--services" or "--changes" or "--list-bugs" or "--part";
            string? value = isAlone ? "" : i + 1 < arguments.Count ? arguments[++i] : null;
            if (value is null)
            {
                fault = $"{option} needs a value";
                return null;
            }

            if (Apply(line, option, value) is not { } next)
            {
                fault = $"can't use '{option}{(value.Length > 0 ? " " : "")}{value}'";
                return null;
            }

            line = next;
        }

        if (line is { Seeds: 0, History: null, ListsBugs: false })
        {
            fault = "nothing to do: say --seeds N, --check-history FILE or --list-bugs";
            return null;
        }

        return line;
    }

    private static CommandLine? Apply(CommandLine line, string option, string value) => option switch
    {
        "--seeds" when Number(value) is { } seeds => line with { Seeds = seeds },
        "--first" when ulong.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out ulong first) =>
            line with { First = first },
        "--jobs" when Number(value) is { } jobs => line with { Jobs = jobs },
        "--bug" => line with { Bug = value },
        "--trace" => line with { Trace = true },
        "--services" => line with { Kind = SeedKind.Services },
        "--changes" => line with { Kind = SeedKind.Changes },
        "--check-history" => line with { History = value },
        "--list-bugs" => line with { ListsBugs = true },
        "--part" => line with { IsPart = true },
        _ => null,
    };

    private static int? Number(string value) =>
        int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number > 0 ? number : null;
}
