using System.Text.RegularExpressions;

namespace Conventions.Tests;

/// <summary>STYLE.md, "Names": a name says what the thing is, and a file is found by it.</summary>
public sealed partial class NameTests
{
    /// <summary>How long a type may be that shares a file with the one that the file is named after.</summary>
    private const int CompanionLines = 100;

    /// <summary>Files that hold several types of any length, and why.</summary>
    private static readonly Dictionary<string, string> Collections = new(StringComparer.Ordinal)
    {
        ["Messages.cs"] = "one protocol's messages are read together, beside their byte diagrams",
        ["ChunkMessages.cs"] = "likewise",
        ["Records.cs"] = "one protocol's log records, likewise",
    };

    /// <summary>Folders named after their main type: a namespace of that name would hide the type from its own code.</summary>
    private static readonly Dictionary<string,
        string> Renamed = new(StringComparer.Ordinal) { ["Catalog"] = "Catalogs", ["ChunkStore"] = "Chunks" };

    /// <summary>Names that another program gave, or the source (seed 002).</summary>
    private static readonly string[] Given = ["ServiceManager", "ReplicaManager", "IReplicaManagerHost"];

    [Fact]
    public void Type_has_none_of_the_names_that_say_nothing() =>
        Repository.NoneOf(
            from source in Repository.Sources
            from type in source.Types
            where Empty().IsMatch(type.Name) && !Given.Contains(type.Name)
            select $"{source.Path}:{type.Line}: {type.Name}",
            "No Helper, Utils, Common, Base or Impl: say what it does.");

    [Fact]
    public void Namespace_is_the_folder() =>
        Repository.NoneOf(
            from source in Repository.Sources
            where source.Namespace is { } name && name != Expected(source.Folder) && name != $"Carillon.{Expected(source.Folder)}"
            select $"{source.Path}: {source.Namespace}, not {Expected(source.Folder)}",
            "A file is found by the namespace of its type.");

    [Fact]
    public void Namespace_has_at_most_three_segments() =>
        Repository.NoneOf(
            from source in Repository.Shipped
            where source.Namespace?.Split('.').Length > 3
            select $"{source.Path}: {source.Namespace}",
            "A namespace has at most three segments.");

    [Fact]
    public void File_is_named_after_a_type_in_it() =>
        Repository.NoneOf(
            from source in Repository.Sources
            where source.OuterTypes.Any() && !Collections.ContainsKey($"{source.FileName}.cs") && !IsPlural(source)
            where source.OuterTypes.All(type => type.Name != source.FileName.Split('.')[0])
            select $"{source.Path}: {string.Join(", ", source.OuterTypes.Select(type => type.Name))}",
            "A file bears the name of its main type (or their plural, where several small ones of a kind share it).");

    [Fact]
    public void Type_beside_a_files_main_one_is_small() =>
        Repository.NoneOf(
            from source in Repository.Shipped
            where !Collections.ContainsKey($"{source.FileName}.cs")
            from type in source.OuterTypes
            where type.Name != source.FileName.Split('.')[0] && type.Length > CompanionLines && source.OuterTypes.Count() > 1
            select $"{source.Path}:{type.Line}: {type.Name} has {type.Length} lines",
            $"A type of more than {CompanionLines} lines has a file of its own.");

    private static bool IsPlural(SourceFile source) =>
        source.FileName.EndsWith('s') && source.OuterTypes.All(type => type.Length <= CompanionLines);

    private static string Expected(string folder)
    {
        string[] parts = folder.Split('/');
        return string.Join('.', parts[1..].Select(part => Renamed.GetValueOrDefault(part, part)));
    }

    [GeneratedRegex("Helper|Util|^Common|Common$|Base$|Impl$|Manager$")]
    private static partial Regex Empty();
}
