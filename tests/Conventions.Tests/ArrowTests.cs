using System.Text.RegularExpressions;

namespace Conventions.Tests;

/// <summary>ARCHITECTURE.md, "Arrows": who may know whom, and where clocks, randomness, threads and files are banned.</summary>
public sealed partial class ArrowTests
{
    /// <summary>Each project's direct references. What a project needs of a farther one comes with the nearer.</summary>
    private static readonly Dictionary<string, string[]> Arrows = new(StringComparer.Ordinal)
    {
        ["Carillon.Protocols"] = [],
        ["Carillon.Storage"] = ["Carillon.Protocols"],
        ["Carillon.Node"] = ["Carillon.Storage"],
        ["Carillon.Simulator"] = ["Carillon.Node"],
        ["Carillon.Runtime"] = ["Carillon.Node"],
        ["Carillon.Gateway"] = ["Carillon.Runtime"],
        ["Carillon.Client"] = ["Carillon.Protocols"],
        ["Carillon"] = ["Carillon.Client", "Carillon.Gateway", "Carillon.Runtime"],
    };

    private static readonly string[] Deterministic = ["Carillon.Protocols", "Carillon.Storage", "Carillon.Node", "Carillon.Simulator"];

    [Fact]
    public void Project_references_only_what_its_arrows_allow() =>
        Repository.NoneOf(
            from project in Repository.Projects
            where project.StartsWith("src/", StringComparison.Ordinal)
            let name = Path.GetFileNameWithoutExtension(project)
            let allowed = Arrows.GetValueOrDefault(name)
            from fault in allowed is null
                ? [$"{project}: not in the table of arrows"]
                : References(project).Except(allowed).Select(reference => $"{project}: may not reference {reference}")
            select fault,
            "Arrows point one way.");

    [Fact]
    public void Every_project_of_the_table_exists() =>
        Assert.Equal(
            Arrows.Keys.Order(StringComparer.Ordinal),
            Repository.Projects.Where(project => project.StartsWith("src/", StringComparison.Ordinal))
                .Select(project => Path.GetFileNameWithoutExtension(project)).Order(StringComparer.Ordinal));

    [Fact]
    public void Nothing_that_ships_references_a_test() =>
        Repository.NoneOf(
            from project in Repository.Projects
            where project.StartsWith("src/", StringComparison.Ordinal)
            from reference in References(project)
            where reference.EndsWith(".Tests", StringComparison.Ordinal)
            select $"{project}: {reference}",
            "Tests know the product, not the other way.");

    [Fact]
    public void Project_is_in_the_solution()
    {
        string solution = Repository.Read("Carillon.slnx");
        Repository.NoneOf(
            Repository.Projects.Where(project => !solution.Contains($"\"{project}\"", StringComparison.Ordinal)),
            "Every project is built by the solution.");
    }

    [Fact]
    public void Deterministic_project_applies_the_banned_symbols() =>
        Repository.NoneOf(
            from name in Deterministic
            let text = Repository.Read($"src/{name}/{name}.csproj")
            where !text.Contains("<AdditionalFiles Include=\"../../BannedSymbols.txt\" />", StringComparison.Ordinal)
            select name,
            "BannedSymbols.txt is given to the analyzer.");

    [Theory]
    [InlineData("T:System.DateTime;")]
    [InlineData("T:System.Diagnostics.Stopwatch;")]
    [InlineData("T:System.Random;")]
    [InlineData("M:System.Guid.NewGuid;")]
    [InlineData("T:System.Threading.Tasks.Task;")]
    [InlineData("T:System.Threading.Thread;")]
    [InlineData("T:System.Threading.Timer;")]
    [InlineData("T:System.IO.File;")]
    [InlineData("T:System.Net.Sockets.Socket;")]
    [InlineData("M:System.String.GetHashCode;")]
    public void Banned_symbols_name_every_source_of_chance(string symbol) =>
        Assert.Contains(symbol, Repository.Read("BannedSymbols.txt"), StringComparison.Ordinal);

    /// <summary>A ban that is switched off in a file is no ban: each such place is listed here with its reason.</summary>
    [Fact]
    public void Ban_is_nowhere_switched_off() =>
        Repository.NoneOf(
            from source in Repository.Shipped
            where Deterministic.Any(name => source.Path.StartsWith($"src/{name}/", StringComparison.Ordinal))
            from line in source.Lines.Index()
            where line.Item.Contains("RS0030", StringComparison.Ordinal) && !Excused.ContainsKey(source.Path)
            select $"{source.Path}:{line.Index + 1}: {line.Item.Trim()}",
            "RS0030 is suppressed only where this test says why.");

    private static readonly Dictionary<string, string> Excused = new(StringComparer.Ordinal);

    private static IEnumerable<string> References(string project) =>
        ProjectReference().Matches(Repository.Read(project)).Select(match => match.Groups[1].Value);

    [GeneratedRegex(@"<ProjectReference Include=""[^""]*?([\w.]+)\.csproj""")]
    private static partial Regex ProjectReference();
}
