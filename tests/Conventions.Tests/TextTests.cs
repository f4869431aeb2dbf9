using System.Text.RegularExpressions;

namespace Conventions.Tests;

/// <summary>What every file that is committed keeps to, whatever it is.</summary>
public sealed partial class TextTests
{
    /// <summary>In two parts, so that this file is not one of those it finds.</summary>
    private static readonly string Unfinished = string.Join('|', "TO" + "DO", "FIX" + "ME", "X" + "XX", "NotImplemented" + "Exception");

    [Fact]
    public void Text_ends_its_lines_alike_and_without_blanks() =>
        Repository.NoneOf(
            from file in Repository.Files
            let text = Repository.Read(file)
            from fault in Faults(file, text)
            select fault,
            "Lines end with a line feed and no blank before it; the file ends with one; nothing is indented by a tab.");

    [Fact]
    public void Source_is_indented_by_four() =>
        Repository.NoneOf(
            from source in Repository.Sources
            from line in source.Code.Split('\n').Index()
            let indent = line.Item.Length - line.Item.TrimStart(' ').Length
            where line.Item.TrimStart(' ').Length > 0 && indent % 4 != 0
                && source.Lines[line.Index].TrimStart(' ')[0] == line.Item.TrimStart(' ')[0]
            where !source.Lines[line.Index].TrimStart().StartsWith('"')
            select $"{source.Path}:{line.Index + 1}: {indent} blanks",
            "Four blanks a level.");

    [Fact]
    public void Source_has_no_region() =>
        Repository.NoneOf(
            from source in Repository.Sources
            from line in source.Lines.Index()
            where line.Item.TrimStart().StartsWith("#reg" + "ion", StringComparison.Ordinal)
            select $"{source.Path}:{line.Index + 1}",
            "A file that needs regions needs to be two files.");

    [Fact]
    public void Nothing_is_left_for_later_in_a_comment() =>
        Repository.NoneOf(
            from file in Repository.Files
            from line in Repository.Read(file).Split('\n').Index()
            where Regex.IsMatch(line.Item, $@"\b({Unfinished})\b")
            select $"{file}:{line.Index + 1}: {line.Item.Trim()}",
            "Work that is left is an issue, not a comment.");

    /// <summary>A path of one person's machine means nothing on the next.</summary>
    [Fact]
    public void No_file_names_a_place_on_one_machine() =>
        Repository.NoneOf(
            from file in Repository.Files
            from line in Repository.Read(file).Split('\n').Index()
            where MachinePath().IsMatch(line.Item)
            select $"{file}:{line.Index + 1}: {line.Item.Trim()}",
            "No paths of a particular machine.");

    /// <summary>A wait of fixed length is too long on a quick machine and too short on a slow one; waiting without end for a cancellation
    /// is none.</summary>
    [Fact]
    public void No_test_sleeps() =>
        Repository.NoneOf(
            from source in Repository.Sources
            where source.Path.StartsWith("tests/", StringComparison.Ordinal)
            from line in source.Code.Split('\n').Index()
            where Sleep().IsMatch(line.Item) && !line.Item.Contains("Timeout.Infinite", StringComparison.Ordinal)
            where !PollingWaits.Contains(source.Path)
            select $"{source.Path}:{line.Index + 1}: {line.Item.Trim()}",
            "A test waits for what it waits for, with a bound.");

    /// <summary>Where a condition in another process can only be asked for again and again, one class does it, with a bound.</summary>
    private static readonly string[] PollingWaits = ["tests/Runtime.Tests/Wait.cs"];

    private static IEnumerable<string> Faults(string file, string text)
    {
        if (text.Contains('\r', StringComparison.Ordinal))
        {
            yield return $"{file}: carriage returns";
        }

        if (text.Length > 0 && (text[^1] != '\n' || text.EndsWith("\n\n", StringComparison.Ordinal)))
        {
            yield return $"{file}: ends with no line feed, or with an empty line";
        }

        foreach ((int index, string line) in text.Split('\n').Index())
        {
            if (line.EndsWith(' ') || line.Contains('\t', StringComparison.Ordinal))
            {
                yield return $"{file}:{index + 1}: a tab, or a blank at the end";
            }
        }
    }

    [GeneratedRegex(@"(^|[\s""'`(=:])/(work|root|Users|home/\w+)/")]
    private static partial Regex MachinePath();

    [GeneratedRegex(@"\b(Thread\.Sleep|Task\.Delay)\b")]
    private static partial Regex Sleep();
}
