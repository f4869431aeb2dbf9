using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using Carillon.Simulator.World;

namespace Carillon.Simulator;

/// <summary>Runs many seeds, in this process or in several, and says what they came to.</summary>
internal static class Campaign
{
    // One seed in so many runs twice, and must end the same.
    private const ulong RepeatEvery = 20;

    // Of the places that were come to, the report names so many of the rarest.
    private const int PlacesShown = 12;

    private const string PartPrefix = "part: ";

    /// <summary>Runs what the command line says; returns the exit code.</summary>
    public static int Run(CommandLine line)
    {
        if (line is { Jobs: > 1, Bug: null, Trace: false })
        {
            return RunInProcesses(line);
        }

        var totals = new CampaignTotals();
        for (int i = 0; i < line.Seeds; i++)
        {
            ulong seed = line.First + (ulong)i;
            SeedResult result = RunSeed(seed, line, totals);
            totals.Add(result);
            if (result.Failure is not null)
            {
                Report(result, line);
                if (line.Bug is not null)
                {
                    Console.WriteLine($"{line.Bug} is found by seed {seed}, after {totals.Seeds} seeds");
                    break;
                }
            }
        }

        if (line.IsPart)
        {
            Console.WriteLine(PartPrefix + totals.ToJson());
            return totals.ExitCode;
        }

        return Conclude(totals, line);
    }

    private static SeedResult RunSeed(ulong seed, CommandLine line, CampaignTotals totals)
    {
        SeedOptions options = SeedOptions.Draw(seed, line.Kind);
        if (line.Trace)
        {
            Console.WriteLine(options);
        }

        SeedResult result = SeedRun.Run(options, line.Trace ? Console.WriteLine : null);
        if (seed % RepeatEvery == 0 && result.Failure is null)
        {
            totals.Repeated++;
            SeedResult again = SeedRun.Run(options, trace: null);
            if (again.Digest != result.Digest)
            {
                var failure = new SimulationFailedException(
                    FailureKind.Crash, "determinism",
                        $"two runs of the seed end with the digests {result.Digest:x16} and {again.Digest:x16}");
                return result with { Failure = failure };
            }
        }

        return result;
    }

    private static void Report(SeedResult result, CommandLine line)
    {
        string bug = (line.Kind == SeedKind.Plain ? "" : $" {line.KindOption}") + (line.Bug is null ? "" : $" --bug {line.Bug}");
        Console.WriteLine(SeedOptions.Draw(result.Seed, line.Kind));
        Console.WriteLine($"FAIL seed {result.Seed} {result.Failure!.Kind} {result.Failure.Message}");
        if (result.Failure.InnerException is { } inner)
        {
            Console.WriteLine(inner);
        }

        Console.WriteLine($"  replay at {Commit}: dotnet run -c Release --project src/Carillon.Simulator -- --seeds 1 --first {result.Seed}{bug} --trace");
    }

    private static int Conclude(CampaignTotals totals, CommandLine line)
    {
        Console.WriteLine(totals);
        if (line.Bug is not null)
        {
            return totals.ExitCode;
        }

        string[] missed = CoveragePoints.Missed(totals.Reached);
        Console.WriteLine($"came to {CoveragePoints.All.Count - missed.Length} of {CoveragePoints.All.Count} places; never to: {string.Join(", ", missed)}");
        Console.WriteLine($"in the fewest seeds: {string.Join(", ", totals.Reached.OrderBy(place => place.Value).Take(PlacesShown).Select(place => $"{place.Key} {place.Value}"))}");
        bool isTooFew = line is { First: 1, Kind: SeedKind.Plain, Seeds: >= CoveragePoints.SeedsThatReachAll }
            && !CoveragePoints.Rare.IsSupersetOf(missed);
        return totals.ExitCode == 0 && isTooFew ? (int)FailureKind.Safety : totals.ExitCode;
    }

    // Processes rather than threads: a seed that takes its process with it takes no other, and what is switched per process stays apart.
    private static int RunInProcesses(CommandLine line)
    {
        var totals = new CampaignTotals();
        var parts = new List<Process>();
        int given = 0;
        for (int job = 0; job < line.Jobs; job++)
        {
            int count = (line.Seeds - given) / (line.Jobs - job);
            if (count > 0)
            {
                parts.Add(StartPart(line, line.First + (ulong)given, count, totals));
                given += count;
            }
        }

        int lost = 0;
        foreach (Process part in parts)
        {
            part.WaitForExit();
            lost += part.ExitCode is >= 0 and <= 3 ? 0 : 1;
            part.Dispose();
        }

        if (lost > 0)
        {
            Console.WriteLine($"{lost} processes died; run their seeds with --jobs 1 to see which");
            totals.Crashes += lost;
        }

        return Conclude(totals, line);
    }

    private static Process StartPart(CommandLine line, ulong first, int count, CampaignTotals totals)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardOutput = true, UseShellExecute = false };
        string? assembly = Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet"
            ? Assembly.GetEntryAssembly()!.Location
            : null;
        if (assembly is not null)
        {
            start.ArgumentList.Add(assembly);
        }

        foreach (string argument in (string[])
            ["--seeds", count.ToString(CultureInfo.InvariantCulture), "--first", first.ToString(CultureInfo.InvariantCulture), "--part"])
        {
            start.ArgumentList.Add(argument);
        }

        if (line.Kind != SeedKind.Plain)
        {
            start.ArgumentList.Add(line.KindOption);
        }

        var part = new Process { StartInfo = start };
        part.OutputDataReceived += (_, received) =>
        {
            if (received.Data is not { } text)
            {
                return;
            }

            lock (totals)
            {
                if (text.StartsWith(PartPrefix, StringComparison.Ordinal))
                {
                    totals.Add(CampaignTotals.FromJson(text[PartPrefix.Length..]));
                }
                else
                {
                    Console.WriteLine(text);
                }
            }
        };
        part.Start();
        part.BeginOutputReadLine();
        return part;
    }

    private static string Commit =>
        Assembly.GetExecutingAssembly().GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion
            ?? "an unknown commit";
}
