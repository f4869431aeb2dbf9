using System.CommandLine;
using System.CommandLine.Parsing;
using System.Text.RegularExpressions;

namespace Carillon.CommandLine;

/// <summary>Tells what is wrong with a command line in one line, and what may have been meant.</summary>
internal static partial class ParseFaults
{
    /// <summary>The report for a command line that does not parse; null for one that does.</summary>
    public static ErrorReport? Report(ParseResult parse)
    {
        Command command = parse.CommandResult.Command;
        string? unknown = UnknownOption(parse) ?? parse.UnmatchedTokens.FirstOrDefault();
        if (unknown is null && parse.Errors.Count == 0)
        {
            return null;
        }

        string path = Path(parse);
        string message = unknown is null ? InOurWords(parse.Errors[0].Message) : "";
        string advice = $"see: carillon {path}{(path.Length > 0 ? " " : "")}--help";
        if (unknown is not null)
        {
            bool isOption = unknown.StartsWith('-');
            bool isCommand = !isOption && command.Subcommands.Count > 0;
            string kind = isOption ? "option" : isCommand ? "command" : "argument";
            message = $"{path}{(path.Length > 0 ? ": " : "")}unknown {kind} '{unknown}'";
            IEnumerable<string> known = isOption ? OptionNames(parse) : command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name);
            string? nearest = Nearest.To(isOption ? unknown.Split('=')[0] : unknown, known);
            advice = nearest is null ? advice : $"did you mean '{nearest}'?";
        }
        else if (command.Subcommands.Count > 0)
        {
            string choice = string.Join(", ", command.Subcommands.Where(c => !c.Hidden).Select(c => c.Name));
            message = $"{(path.Length > 0 ? path + " " : "")}needs a command: {choice}";
        }

        return new ErrorReport { ExitCode = ExitCode.Usage, Message = message.TrimEnd('.'), Code = "usage", Advice = advice };
    }

    /// <summary>The parser's message without the framework's names of types, and on one line.</summary>
    internal static string InOurWords(string message)
    {
        if (Unparsed().Match(message) is { Success: true } unparsed)
        {
            string kind = unparsed.Groups["type"].Value.Contains("Int", StringComparison.Ordinal) ? "a number" : "a value that it takes";
            return $"{unparsed.Groups["symbol"].Value} {unparsed.Groups["value"].Value}: it is not {kind}";
        }

        if (Unlisted().Match(message) is { Success: true } unlisted)
        {
            IEnumerable<string> known = Quoted().Matches(unlisted.Groups["known"].Value).Select(match => match.Groups["word"].Value);
            return $"'{unlisted.Groups["value"].Value}' is none of: {string.Join(", ", known)}";
        }

        return message;
    }

    [GeneratedRegex("^Cannot parse argument '(?<value>.*)' for (option|command) '(?<symbol>.*)' as expected type '(?<type>.*)'", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Unparsed();

    [GeneratedRegex("^Argument '(?<value>.*)' not recognized. Must be one of:(?<known>.*)$", RegexOptions.ExplicitCapture | RegexOptions.Singleline, 1000)]
    private static partial Regex Unlisted();

    [GeneratedRegex("'(?<word>[^']*)'", RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex Quoted();

    // The parser takes an unknown option for an argument where one is still wanted.
    private static string? UnknownOption(ParseResult parse) => parse.Tokens.Any(t => t.Type == TokenType.DoubleDash)
        ? null
        : parse.CommandResult.Children.OfType<ArgumentResult>().SelectMany(a => a.Tokens).Select(t => t.Value)
            .FirstOrDefault(v => v.StartsWith('-') && v.Length > 1);

    private static IEnumerable<string> OptionNames(ParseResult parse)
    {
        for (SymbolResult? result = parse.CommandResult; result is not null; result = result.Parent)
        {
            if (result is not CommandResult level)
            {
                continue;
            }

            foreach (Option option in level.Command.Options.Where(o => level == parse.CommandResult || o.Recursive))
            {
                yield return option.Name;
                foreach (string alias in option.Aliases)
                {
                    yield return alias;
                }
            }
        }
    }

    private static string Path(ParseResult parse)
    {
        var names = new Stack<string>();
        for (SymbolResult? result = parse.CommandResult; result is not null; result = result.Parent)
        {
            if (result is CommandResult { Command: not RootCommand } level)
            {
                names.Push(level.Command.Name);
            }
        }

        return string.Join(' ', names);
    }
}
