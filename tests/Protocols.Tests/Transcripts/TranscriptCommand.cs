using System.Globalization;

namespace Carillon.Protocols.Tests.Transcripts;

/// <summary>
/// One command of a <see cref="Transcript"/>: a word, then arguments separated by blanks, each by its place or as
/// <c>name=value</c>. Its readers fail with the line's number, so that a slip in a transcript is told as such.
/// </summary>
public sealed class TranscriptCommand
{
    private readonly List<string> _placed = [];
    private readonly Dictionary<string, string> _named = new(StringComparer.Ordinal);

    private TranscriptCommand(string name, int line)
    {
        Name = name;
        Line = line;
    }

    /// <summary>The first word.</summary>
    public string Name { get; }

    /// <summary>Where it stands in its file, from 1.</summary>
    public int Line { get; }

    /// <summary>How many arguments have a place instead of a name.</summary>
    public int Count => _placed.Count;

    /// <summary>The argument at a place, from 0.</summary>
    public string this[int place] => place < _placed.Count ? _placed[place] : throw Fault($"argument {place + 1} is missing");

    /// <summary>The argument of a name, or null.</summary>
    public string? this[string name] => _named.GetValueOrDefault(name);

    /// <summary>All arguments that have a place.</summary>
    public IReadOnlyList<string> Placed => _placed;

    /// <summary>Reads a line.</summary>
    public static TranscriptCommand Parse(string text, int line)
    {
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        var command = new TranscriptCommand(words[0], line);
        foreach (string word in words.AsSpan(1))
        {
            int equals = word.IndexOf('=', StringComparison.Ordinal);
            if (equals > 0)
            {
                command._named.Add(word[..equals], word[(equals + 1)..]);
            }
            else
            {
                command._placed.Add(word);
            }
        }

        return command;
    }

    /// <summary>Reads <c>250us</c>, <c>100ms</c>, <c>-2s</c>, <c>1.5s</c>, <c>5min</c>, <c>24h</c>.</summary>
    public TimeSpan Duration(string text)
    {
        int digits = text.AsSpan().IndexOfAnyExcept("+-.0123456789");
        if (digits <= 0 || !double.TryParse(text.AsSpan(0, digits), NumberStyles.Float, CultureInfo.InvariantCulture, out double number))
        {
            throw Fault($"'{text}' is not a duration");
        }

        double ticks = text[digits..] switch
        {
            "us" => TimeSpan.TicksPerMicrosecond,
            "ms" => TimeSpan.TicksPerMillisecond,
            "s" => TimeSpan.TicksPerSecond,
            "min" => TimeSpan.TicksPerMinute,
            "h" => TimeSpan.TicksPerHour,
            _ => throw Fault($"'{text}' has no unit of us, ms, s, min, h"),
        };
        return new TimeSpan((long)Math.Round(number * ticks));
    }

    /// <summary>The duration at a place.</summary>
    public TimeSpan Duration(int place) => Duration(this[place]);

    /// <summary>The duration of a name, or a default.</summary>
    public TimeSpan Duration(string name, TimeSpan otherwise) => this[name] is { } text ? Duration(text) : otherwise;

    /// <summary>Reads a whole number.</summary>
    public long Number(string text) =>
        long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number)
            ? number
            : throw Fault($"'{text}' is not a number");

    /// <summary>The number at a place.</summary>
    public long Number(int place) => Number(this[place]);

    /// <summary>The number of a name, or a default.</summary>
    public long Number(string name, long otherwise) => this[name] is { } text ? Number(text) : otherwise;

    /// <summary>The server at a place.</summary>
    public NodeId Node(int place) => NodeId.TryParse(this[place], out NodeId node) ? node : throw Fault($"'{this[place]}' is not a server");

    /// <summary>What a runner throws for a command or an argument that it does not know.</summary>
    public FormatException Fault(string reason) => new($"line {Line}, '{Name}': {reason}");
}
