using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;
using Xunit;

namespace Carillon.Simulator.Tests;

/// <summary>The lists that the campaign reports by say what the source says.</summary>
public sealed partial class ListsTests
{
    [Fact]
    public void Places_that_runs_come_to_are_those_of_the_source()
    {
        Assert.Equal(Found(Mark()), CoveragePoints.Marks);
        Assert.Equal(Found(Branch()), CoveragePoints.Branches);
        Assert.Empty(CoveragePoints.Marks.Intersect(CoveragePoints.Branches, StringComparer.Ordinal));
        Assert.Empty(CoveragePoints.Rare.Except(CoveragePoints.All, StringComparer.Ordinal));
    }

    [Fact]
    public void Deliberate_bugs_of_primacy_are_among_all() =>
        Assert.Empty(SeededBugs.OfPrimacy.Except(SeededBugs.All, StringComparer.Ordinal));

    [Fact]
    public void Deliberate_bugs_are_those_of_the_source() => Assert.Equal(Found(Bug()), SeededBugs.All);

    private static string[] Found(Regex pattern)
    {
        string source = Path.Combine(Path.GetDirectoryName(ThisFile())!, "../../src");
        return
        [
            .. Directory.EnumerateFiles(source, "*.cs", SearchOption.AllDirectories)
                .Where(file => Path.GetFileName(file) is not ("SeededBug.cs" or "Sometimes.cs" or "Buggify.cs"))
                .SelectMany(file => pattern.Matches(File.ReadAllText(file)))
                .SelectMany(match => Name().Matches(match.Value)).Select(name => name.Value.Trim('"'))
                .Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal),
        ];
    }

    private static string ThisFile([CallerFilePath] string path = "") => path;

    // A call may choose between two names.
    [GeneratedRegex("Sometimes\\.Reached\\([^)]*\"[a-z-]+\"\\)", RegexOptions.NonBacktracking)]
    private static partial Regex Mark();

    [GeneratedRegex("Buggify\\.Here\\(\"[a-z-]+\"", RegexOptions.NonBacktracking)]
    private static partial Regex Branch();

    [GeneratedRegex("SeededBug\\.Is\\(\"[a-z-]+\"\\)", RegexOptions.NonBacktracking)]
    private static partial Regex Bug();

    [GeneratedRegex("\"[a-z-]+\"", RegexOptions.NonBacktracking)]
    private static partial Regex Name();
}
