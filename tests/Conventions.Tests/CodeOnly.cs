namespace Conventions.Tests;

/// <summary>Blanks out comments, strings and characters, so that what is left can be read by its braces.</summary>
internal static class CodeOnly
{
    public static string Of(string text)
    {
        char[] code = text.ToCharArray();
        int at = 0;
        while (at < text.Length)
        {
            int end = EndOfQuiet(text, at);
            if (end == at)
            {
                at++;
                continue;
            }

            for (int i = at; i < end; i++)
            {
                if (code[i] != '\n')
                {
                    code[i] = ' ';
                }
            }

            at = end;
        }

        return new string(code);
    }

    /// <summary>Where the comment, string or preprocessor line that begins here ends; here itself where none begins.</summary>
    private static int EndOfQuiet(string text, int at)
    {
        ReadOnlySpan<char> rest = text.AsSpan(at);
        if (rest.StartsWith("//") || (rest[0] == '#' && IsFirstOfLine(text, at)))
        {
            int end = rest.IndexOf('\n');
            return end < 0 ? text.Length : at + end;
        }

        if (rest.StartsWith("/*"))
        {
            int end = rest[2..].IndexOf("*/");
            return end < 0 ? text.Length : at + end + 4;
        }

        if (rest[0] == '\'')
        {
            return EndOfQuoted(text, at + 1, '\'', verbatim: false);
        }

        int prefix = 0;
        while (prefix < rest.Length && rest[prefix] is '$' or '@')
        {
            prefix++;
        }

        if (prefix == rest.Length || rest[prefix] != '"')
        {
            return at;
        }

        int quotes = prefix;
        while (quotes < rest.Length && rest[quotes] == '"')
        {
            quotes++;
        }

        int count = quotes - prefix;
        if (count >= 3)
        {
            int end = rest[quotes..].IndexOf(new string('"', count));
            return end < 0 ? text.Length : at + quotes + end + count;
        }

        bool interpolated = rest[..prefix].Contains('$');
        bool isVerbatim = rest[..prefix].Contains('@');
        return interpolated ? EndOfInterpolated(text, at + prefix + 1, isVerbatim) : EndOfQuoted(text, at + prefix + 1, '"', isVerbatim);
    }

    private static bool IsFirstOfLine(string text, int at)
    {
        int before = at - 1;
        while (before >= 0 && text[before] is ' ' or '\t')
        {
            before--;
        }

        return before < 0 || text[before] == '\n';
    }

    private static int EndOfQuoted(string text, int at, char quote, bool verbatim)
    {
        while (at < text.Length)
        {
            if (text[at] == '\\' && !verbatim)
            {
                at += 2;
            }
            else if (text[at] == quote)
            {
                if (verbatim && at + 1 < text.Length && text[at + 1] == quote)
                {
                    at += 2;
                    continue;
                }

                return at + 1;
            }
            else
            {
                at++;
            }
        }

        return text.Length;
    }

    /// <summary>Holes may hold strings of their own; they are blanked with the rest.</summary>
    private static int EndOfInterpolated(string text, int at, bool verbatim)
    {
        int depth = 0;
        while (at < text.Length)
        {
            char c = text[at];
            if (depth > 0)
            {
                int end = c is '"' or '\'' or '$' or '@' ? EndOfQuiet(text, at) : at;
                if (end > at)
                {
                    at = end;
                    continue;
                }

                depth += c == '{' ? 1 : c == '}' ? -1 : 0;
                at++;
            }
            else if (c is '{' or '}' && at + 1 < text.Length && text[at + 1] == c)
            {
                at += 2;
            }
            else if (c == '\\' && !verbatim)
            {
                at += 2;
            }
            else if (c == '"')
            {
                return at + 1;
            }
            else
            {
                depth += c == '{' ? 1 : 0;
                at++;
            }
        }

        return text.Length;
    }
}
