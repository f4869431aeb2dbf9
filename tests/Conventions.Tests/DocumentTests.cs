using System.Text.RegularExpressions;

namespace Conventions.Tests;

/// <summary>A page that names what is gone misleads more than no page.</summary>
public sealed partial class DocumentTests
{
    /// <summary>Names in documents that look like types of this project and are not.</summary>
    private static readonly HashSet<string> NotOurs = new(StringComparer.Ordinal)
    {
        // The framework's and the packages'.
        "AesGcm", "SocketsHttpHandler", "SqliteConnection", "TimeSpan", "ArrayPool", "HttpClient", "FileStream", "RandomAccess",
            "BannedApi",
        "StringComparison", "NativeLibrary", "DateTime", "FsCheck",
        // Words of the service manager, of HTTP and of files.
        "ExecStart", "TimeoutStopSec", "LimitNOFILE", "WatchdogSec", "StateDirectory", "NotifyAccess", "RestartPreventExitStatus",
    };

    /// <summary>Files, and what a check is named.</summary>
    private static readonly HashSet<string> NoKeys = new(StringComparer.Ordinal)
    {
        "catalog.db", "cluster.key", "http.key", "http.pem", "feed.sequencer",
    };

    private static readonly HashSet<string> Known =
        [.. Repository.Sources.SelectMany(source => source.Types).Select(type => type.Name), .. ProjectNames()];

    [Fact]
    public void Type_named_in_a_document_exists() =>
        Repository.NoneOf(
            from document in Repository.Documents
            from line in Repository.Read(document).Split('\n').Index()
            from Match quoted in Quoted().Matches(line.Item)
            let name = quoted.Groups[1].Value
            where !Known.Contains(name) && !NotOurs.Contains(name) && !IsMember(name)
            select $"{document}:{line.Index + 1}: {name}",
            "Documents name types that exist.");

    [Fact]
    public void Link_in_a_document_leads_to_a_file() =>
        Repository.NoneOf(
            from document in Repository.Documents
            from Match link in Link().Matches(Repository.Read(document))
            let target = link.Groups[1].Value
            let folder = Path.GetDirectoryName(document) ?? ""
            let place = Path.Combine(Repository.Root, folder, target)
            where !File.Exists(place) && !Directory.Exists(place)
            select $"{document}: {target}",
            "Links inside the repository lead somewhere.");

    [Fact]
    public void Page_of_docs_is_reached_from_the_index()
    {
        string index = Repository.Read("docs/README.md");
        Repository.NoneOf(
            from document in Repository.Documents
            where document.StartsWith("docs/", StringComparison.Ordinal) && document != "docs/README.md"
            where !index.Contains($"({document["docs/".Length..]})", StringComparison.Ordinal)
            select document,
            "docs/README.md lists every page.");
    }

    [Fact]
    public void Option_named_in_a_document_is_a_key_of_the_configuration()
    {
        HashSet<string> keys = [.. ListedKey().Matches(Repository.Read("docs/operations/configuration.md")).Select(m => m.Groups[1].Value)];
        HashSet<string> sections = [.. keys.Select(key => key[..key.IndexOf('.', StringComparison.Ordinal)])];
        Assert.True(keys.Count > 100);
        Repository.NoneOf(
            from document in Repository.Documents
            from line in Repository.Read(document).Split('\n').Index()
            from Match quoted in QuotedKey().Matches(line.Item)
            let name = quoted.Groups[1].Value
            where sections.Contains(name[..name.IndexOf('.', StringComparison.Ordinal)]) && !keys.Contains(name)
            where !NoKeys.Contains(name)
            select $"{document}:{line.Index + 1}: {name}",
            "Documents name options as the configuration does.");
    }

    /// <summary>Methods, fields and values of an enum are named in documents too.</summary>
    private static bool IsMember(string name) => Repository.Sources.Any(source => Regex.IsMatch(source.Code, $@"\b{name}\b"));

    private static IEnumerable<string> ProjectNames() => Repository.Projects.Select(project => Path.GetFileNameWithoutExtension(project));

    [GeneratedRegex(@"`([A-Z][a-z0-9]+(?:[A-Z][a-z0-9]*)+)(?:[.(<`][^`]*)?`?")]
    private static partial Regex Quoted();

    [GeneratedRegex(@"\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)")]
    private static partial Regex Link();

    [GeneratedRegex(@"`([a-z][a-zA-Z]*\.[a-z][a-zA-Z]*)`")]
    private static partial Regex QuotedKey();

    [GeneratedRegex(@"^\| `([a-zA-Z]+\.[a-zA-Z.]+)` \|", RegexOptions.Multiline)]
    private static partial Regex ListedKey();
}
