namespace Conventions.Tests;

/// <summary>STYLE.md, "Size": what fits on a screen can be reviewed.</summary>
public sealed class SizeTests
{
    private const int FileLines = 800;
    private const int MethodLines = 70;
    private const int Columns = 140;
    private const int LongString = 50;

    [Fact]
    public void File_of_source_has_at_most_800_lines() =>
        Repository.NoneOf(
            from source in Repository.Sources
            where source.Lines.Length > FileLines
            select $"{source.Path}: {source.Lines.Length} lines",
            $"A file has at most {FileLines} lines; it aims at 400.");

    [Fact]
    public void Method_has_at_most_70_lines() =>
        Repository.NoneOf(
            from source in Repository.Sources
            from method in source.Methods
            where method.Length > MethodLines
            select $"{source.Path}:{method.Line}: {method.Name} has {method.Length} lines",
            $"A method has at most {MethodLines} lines.");

    /// <summary>A text for people, or one SQL statement, stays in one piece so that it can be searched for: a long string does not
    /// count.</summary>
    [Fact]
    public void Line_of_source_has_at_most_140_columns_beside_a_long_string() =>
        Repository.NoneOf(
            from source in Repository.Sources
            let code = source.Code.Split('\n')
            from line in source.Lines.Index()
            where line.Item.Length > Columns && WithoutLongString(line.Item, code[line.Index]) > Columns
            select $"{source.Path}:{line.Index + 1}: {line.Item.Length} columns",
            $"A line has at most {Columns} columns.");

    private static int WithoutLongString(string line, string code)
    {
        if (line.TrimStart().StartsWith("//", StringComparison.Ordinal))
        {
            return line.Length;
        }

        string kept = code.Trim();
        int blank = kept.Split(' ').Length == 1 ? line.Length - kept.Length : LongestBlank(kept);
        return blank >= LongString ? line.Length - blank : line.Length;
    }

    private static int LongestBlank(string code)
    {
        int longest = 0;
        int run = 0;
        foreach (char c in code)
        {
            run = c == ' ' ? run + 1 : 0;
            longest = Math.Max(longest, run);
        }

        return longest;
    }

    /// <summary>Otherwise a parser that finds nothing would pass the tests above.</summary>
    [Fact]
    public void Parser_of_these_tests_finds_the_methods_and_types_of_a_file()
    {
        const string Text = """
            namespace A.B;
            public sealed record First(int Number);
            /// <summary>{ not a brace }</summary>
            internal sealed class Second<T> : IThird where T : struct
            {
                private readonly int[] _table = [1, 2];
                private readonly string _text = $"{(1 > 0 ? "}" : "{")} {{";
                public int Count { get; } = new Inner { X = 1 }.X;
                public int Sum(int a) => a + 1;
                public void Do(char c)
                {
                    if (c == '{')
                    {
                    }
                }
                private enum Inner { One, Two }
            }
            """;
        var file = new SourceFile("src/A/B/Second.cs", Text);
        Assert.Equal("A.B", file.Namespace);
        Assert.Equal(["First", "Second", "Inner"], file.Types.Select(type => type.Name));
        Assert.Equal(["First", "Second"], file.OuterTypes.Select(type => type.Name));
        Assert.Equal([("Sum", 1), ("Do", 6)], file.Methods.Select(method => (method.Name, method.Length)));
        Assert.Equal(14, file.OuterTypes.Last().Length);
    }
}
