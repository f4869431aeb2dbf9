namespace Conventions.Tests;

/// <summary>The repository as text: what these tests read. Nothing is compiled, so they say what is wrong even while the code does not
/// build.</summary>
internal static class Repository
{
    private static readonly string[] OwnExtensions =
        [".cs", ".md", ".csproj", ".props", ".slnx", ".json", ".txt", ".sh", ".sql", ".service"];

    public static string Root { get; } = FindRoot();

    /// <summary>Every file that people write, by its path from the root.</summary>
    public static IReadOnlyList<string> Files { get; } = [.. Walk(Root).Order(StringComparer.Ordinal)];

    public static IReadOnlyList<SourceFile> Sources { get; } =
        [.. Files.Where(file => file.EndsWith(".cs", StringComparison.Ordinal)).Select(file => new SourceFile(file, Read(file)))];

    /// <summary>What ships: everything under src.</summary>
    public static IEnumerable<SourceFile> Shipped => Sources.Where(source => source.Path.StartsWith("src/", StringComparison.Ordinal));

    public static IEnumerable<string> Documents => Files.Where(file => file.EndsWith(".md", StringComparison.Ordinal));

    public static IEnumerable<string> Projects => Files.Where(file => file.EndsWith(".csproj", StringComparison.Ordinal));

    public static string Read(string file) => File.ReadAllText(Path.Combine(Root, file));

    /// <summary>Fails with one line for each thing that breaks the rule.</summary>
    public static void NoneOf(IEnumerable<string> faults, string rule)
    {
        string[] all = [.. faults];
        Assert.True(all.Length == 0, $"{rule}\n{string.Join('\n', all)}");
    }

    private static string FindRoot()
    {
        string? folder = AppContext.BaseDirectory;
        while (folder is not null && !File.Exists(Path.Combine(folder, "Carillon.slnx")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder ?? throw new InvalidOperationException("Carillon.slnx is in no folder above the tests.");
    }

    private static IEnumerable<string> Walk(string folder)
    {
        foreach (string entry in Directory.EnumerateFileSystemEntries(folder))
        {
            string name = Path.GetFileName(entry);
            if (Directory.Exists(entry))
            {
                if (name is not ("artifacts" or "bin" or "obj" or "TestResults" or ".git" or ".vs" or ".idea"))
                {
                    foreach (string file in Walk(entry))
                    {
                        yield return file;
                    }
                }
            }
            else if (name is ".editorconfig" or ".gitignore" || entry.EndsWith(".ci/run", StringComparison.Ordinal)
                || (OwnExtensions.Contains(Path.GetExtension(name)) && name != "packages.lock.json"))
            {
                yield return Path.GetRelativePath(Root, entry).Replace('\\', '/');
            }
        }
    }
}
