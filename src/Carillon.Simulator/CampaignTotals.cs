using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Carillon.Simulator.Checkers;
using Carillon.Simulator.Faults;
using Carillon.Simulator.World;

namespace Carillon.Simulator;

/// <summary>What many seeds came to.</summary>
internal sealed class CampaignTotals
{
    public int Seeds { get; set; }

    public int Crashes { get; set; }

    public int SafetyFailures { get; set; }

    public int LivenessFailures { get; set; }

    public int WithoutVerdict { get; set; }

    public int Repeated { get; set; }

    public double VirtualSeconds { get; set; }

    public long Events { get; set; }

    public long Operations { get; set; }

    public long Successes { get; set; }

    public FalseNegatives FalseNegatives { get; set; }

    public long DurabilityChecks { get; set; }

    public long SelfStops { get; set; }

    public long DatagramFaults { get; set; }

    public long[] Faults { get; set; } = new long[Enum.GetValues<FaultKind>().Length];

    /// <summary>Seeds that came to each place (<see cref="CoveragePoints"/>).</summary>
    public SortedDictionary<string, int> Reached { get; set; } = new(StringComparer.Ordinal);

    public List<ulong> FailedSeeds { get; set; } = [];

    /// <summary>0 clean, 1 crash, 2 safety, 3 liveness; the least that occurred counts.</summary>
    [JsonIgnore]
    public int ExitCode => Crashes > 0 ? 1 : SafetyFailures > 0 ? 2 : LivenessFailures > 0 ? 3 : 0;

    /// <summary>Adds one seed's run.</summary>
    public void Add(SeedResult result)
    {
        Seeds++;
        VirtualSeconds += result.VirtualTime.TotalSeconds;
        Events += result.Events;
        Operations += result.Operations;
        Successes += result.Successes;
        FalseNegatives += result.FalseNegatives;
        DurabilityChecks += result.DurabilityChecks;
        SelfStops += result.SelfStops;
        DatagramFaults += result.DatagramFaults;
        WithoutVerdict += result.HasNoVerdict ? 1 : 0;
        foreach (string place in result.Reached)
        {
            Reached[place] = Reached.GetValueOrDefault(place) + 1;
        }

        for (int i = 0; i < Faults.Length; i++)
        {
            Faults[i] += result.Faults[i];
        }

        if (result.Failure is { } failure)
        {
            FailedSeeds.Add(result.Seed);
            Crashes += failure.Kind == FailureKind.Crash ? 1 : 0;
            SafetyFailures += failure.Kind == FailureKind.Safety ? 1 : 0;
            LivenessFailures += failure.Kind == FailureKind.Liveness ? 1 : 0;
        }
    }

    /// <summary>Adds another part's totals.</summary>
    public void Add(CampaignTotals other)
    {
        Seeds += other.Seeds;
        Crashes += other.Crashes;
        SafetyFailures += other.SafetyFailures;
        LivenessFailures += other.LivenessFailures;
        WithoutVerdict += other.WithoutVerdict;
        Repeated += other.Repeated;
        VirtualSeconds += other.VirtualSeconds;
        Events += other.Events;
        Operations += other.Operations;
        Successes += other.Successes;
        FalseNegatives += other.FalseNegatives;
        DurabilityChecks += other.DurabilityChecks;
        SelfStops += other.SelfStops;
        DatagramFaults += other.DatagramFaults;
        FailedSeeds.AddRange(other.FailedSeeds);
        foreach ((string place, int seeds) in other.Reached)
        {
            Reached[place] = Reached.GetValueOrDefault(place) + seeds;
        }

        for (int i = 0; i < Faults.Length; i++)
        {
            Faults[i] += other.Faults[i];
        }
    }

    /// <summary>One line, for the parent process.</summary>
    public string ToJson() => JsonSerializer.Serialize(this, CampaignJson.Default.CampaignTotals);

    /// <summary>Reads such a line.</summary>
    public static CampaignTotals FromJson(string json) => JsonSerializer.Deserialize(json, CampaignJson.Default.CampaignTotals)!;

    /// <summary>One line, for people.</summary>
    public override string ToString()
    {
        var text = new StringBuilder();
        text.Append(CultureInfo.InvariantCulture, $"{Seeds} seeds ({Repeated} of them twice): ");
        text.Append(ExitCode == 0 ? "clean" : string.Create(
            CultureInfo.InvariantCulture, $"{Crashes} crashed, {SafetyFailures} broke a guarantee, {LivenessFailures} did not get on (seeds {string.Join(' ', FailedSeeds.Order())})"));
        text.Append(CultureInfo.InvariantCulture,
            $"; {VirtualSeconds / 3600:F1} virtual hours, {Events} events, {Operations} operations, {Successes} of them done, {FalseNegatives}, ");
        text.Append(CultureInfo.InvariantCulture,
            $"{WithoutVerdict} runs without a verdict, {DurabilityChecks} durable images looked at; {Faults.Sum()} faults:");
        foreach (FaultKind kind in Enum.GetValues<FaultKind>())
        {
            text.Append(CultureInfo.InvariantCulture, $" {kind} {Faults[(int)kind]}");
        }

        text.Append(CultureInfo.InvariantCulture, $" datagrams {DatagramFaults}; {SelfStops} nodes stopped themselves");
        return text.ToString();
    }
}

/// <summary>JSON of totals.</summary>
[JsonSerializable(typeof(CampaignTotals))]
internal sealed partial class CampaignJson : JsonSerializerContext;
