using System.CommandLine;
using Carillon.Client;
using Carillon.Protocols;

namespace Carillon.CommandLine;

/// <summary>The options that writes share: the key, what to wait for, what the name's current version must be, the fence.</summary>
internal sealed class WriteOptions
{
    private const string IfNoneMatchName = "--if-none-match";

    private readonly Option<string?> _fence = FenceOption.Create();

    public WriteOptions() => Ack.AcceptOnlyFromAmong("agreed", "sequenced");

    public Option<string?> Key { get; } = new("--key")
    {
        Description = "Idempotency key: the same write under it is carried out once; made where not given", HelpName = "KEY",
    };

    public Option<string?> Ack { get; } = new("--ack")
    {
        Description = "What to wait for: agreed, or its number in the feed; if that does not come in time, exit code 8. Not given: the "
            + "number, or agreement where no number comes",
        HelpName = "agreed|sequenced",
    };

    public Option<string?> IfMatch { get; } = new("--if-match")
    {
        Description = "Only if this is the current version, else exit code 5", HelpName = "UID|ETAG",
    };

    public Option<bool> IfNoneMatch { get; } = new(IfNoneMatchName) { Description = "Only if there is no such object, else exit code 5" };

    public Option<string?> Fence => _fence;

    /// <summary>Adds those that a command takes.</summary>
    public void AddTo(Command command, bool conditions = true, bool absent = true)
    {
        command.Add(Key);
        command.Add(Ack);
        if (conditions)
        {
            command.Add(IfMatch);
        }

        if (conditions && absent)
        {
            command.Add(IfNoneMatch);
        }

        command.Add(_fence);
    }

    /// <summary>What was given.</summary>
    /// <exception cref="UsageException">It is not right.</exception>
    public PutOptions Read(ParseResult parse)
    {
        string? match = parse.GetValue(IfMatch) is { } text ? UidOf(text) : null;
        bool absent = parse.GetValue(IfNoneMatch);
        return match is not null && absent
            ? throw new UsageException($"{IfMatch.Name} and {IfNoneMatchName} do not go together")
            : new PutOptions
            {
                Key = parse.GetValue(Key), Ack = parse.GetValue(Ack), IfMatch = match, IfNoneMatch = absent,
                Fence = FenceOption.Of(parse.GetValue(_fence)),
            };
    }

    /// <summary>The arguments with <c>--if-none-match</c> as a flag: some write it as HTTP does, with an asterisk.</summary>
    public static IReadOnlyList<string> WithPlainFlag(IReadOnlyList<string> arguments)
    {
        var plain = new List<string>(arguments.Count);
        foreach (string argument in arguments)
        {
            if (argument == "*" && plain.Count > 0 && plain[^1] == IfNoneMatchName)
            {
                continue;
            }

            plain.Add(argument is IfNoneMatchName + "=*" or IfNoneMatchName + ":*" ? IfNoneMatchName : argument);
        }

        return plain;
    }

    // With or without the quotes that make it an entity tag.
    private static string UidOf(string text)
    {
        string plain = text.Length > 2 && text[0] == '"' && text[^1] == '"' ? text[1..^1] : text;
        return Uid.TryParse(plain, out _) ? plain : throw new UsageException($"--if-match {Shown.Text(text)}: use a version's UID, or its ETag");
    }
}
