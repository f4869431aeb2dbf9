using System.Text.RegularExpressions;

namespace Conventions.Tests;

/// <summary>One C# file: its lines, its code without strings and comments, and the types and members that it declares.</summary>
internal sealed partial class SourceFile
{
    private readonly List<Declaration> _types = [];
    private readonly List<Declaration> _methods = [];

    public SourceFile(string path, string text)
    {
        Path = path;
        Text = text;
        Lines = text.Split('\n');
        Code = CodeOnly.Of(text);
        FindDeclarations();
    }

    public string Path { get; }

    public string Text { get; }

    public string[] Lines { get; }

    /// <summary>The text with each character of a string or comment made a blank; the lines are where they were.</summary>
    public string Code { get; }

    public string? Namespace => NamespaceLine().Match(Code) is { Success: true } match ? match.Groups[1].Value : null;

    public IReadOnlyList<Declaration> Types => _types;

    public IReadOnlyList<Declaration> Methods => _methods;

    /// <summary>Types that stand in no other type.</summary>
    public IEnumerable<Declaration> OuterTypes => _types.Where(type => !type.IsInner);

    public string Folder => System.IO.Path.GetDirectoryName(Path)!.Replace('\\', '/');

    public string FileName => System.IO.Path.GetFileNameWithoutExtension(Path);

    /// <summary>Walks the braces: what stands before an opening brace or a semicolon says what it opens or ends.</summary>
    private void FindDeclarations()
    {
        var open = new Stack<(bool IsType, bool IsMember, int Start)>();
        int start = 0;
        for (int i = 0; i < Code.Length; i++)
        {
            bool amongMembers = open.Count == 0 || open.Peek().IsType;
            switch (Code[i])
            {
                case '{':
                    string head = Code[start..i];
                    Match type = TypeHead().Match(head);
                    bool isType = amongMembers && type.Success;
                    open.Push((isType, amongMembers && !isType, start));
                    if (isType)
                    {
                        _types.Add(new Declaration(type.Groups[2].Value, LineOf(start, i), 0, open.Count > 1));
                        start = i + 1;
                    }

                    break;
                case '}' when open.Count > 0:
                    (bool closesType, bool closesMember, int opened) = open.Pop();
                    if (closesType)
                    {
                        Close(i);
                        start = i + 1;
                    }
                    else if (closesMember && !IsInitializer(i))
                    {
                        AddMethod(opened, i);
                        start = i + 1;
                    }

                    break;
                case ';' when amongMembers:
                    if (TypeHead().Match(Code[start..i]) is { Success: true } small)
                    {
                        int line = LineOf(start, i);
                        _types.Add(new Declaration(small.Groups[2].Value, line, LineAt(i) - line + 1, open.Count > 0));
                    }
                    else
                    {
                        AddMethod(start, i);
                    }

                    start = i + 1;
                    break;
                default:
                    break;
            }
        }
    }

    /// <summary>A brace that a semicolon, a comma or an operator follows ended a value, and its member goes on.</summary>
    private bool IsInitializer(int end)
    {
        int next = end + 1;
        while (next < Code.Length && char.IsWhiteSpace(Code[next]))
        {
            next++;
        }

        return next < Code.Length && Code[next] is ';' or ',' or ')' or '.' or '=' or ']' or '?';
    }

    private void Close(int end)
    {
        int last = _types.FindLastIndex(type => type.Length == 0);
        if (last >= 0)
        {
            _types[last] = _types[last] with { Length = LineAt(end) - _types[last].Line + 1 };
        }
    }

    private void AddMethod(int from, int to)
    {
        string text = Code[from..to];
        if (MethodHead().Match(text) is { Success: true } match)
        {
            int line = LineOf(from, to);
            _methods.Add(new Declaration(match.Groups[1].Value, line, LineAt(to) - line + 1, true));
        }
    }

    private int LineOf(int from, int to)
    {
        while (from < to && char.IsWhiteSpace(Code[from]))
        {
            from++;
        }

        return LineAt(from);
    }

    private int LineAt(int position) => Code.AsSpan(0, Math.Min(position, Code.Length)).Count('\n') + 1;

    [GeneratedRegex(@"^namespace ([\w.]+);", RegexOptions.Multiline)]
    private static partial Regex NamespaceLine();

    [GeneratedRegex(
        @"(?:^|\s)(?:(class|struct|interface|enum|record)(?:\s+struct|\s+class)?|delegate\s+[\w.<>?\[\]]+)\s+(?!struct\b|class\b)(\w+)")]
    private static partial Regex TypeHead();

    [GeneratedRegex(@"^[^=(]*?(\w+)\s*(?:<[^(=]*>)?\s*\(")]
    private static partial Regex MethodHead();
}
