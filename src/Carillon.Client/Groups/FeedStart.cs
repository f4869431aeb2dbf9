using System.Globalization;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>Where a subscription begins.</summary>
public readonly record struct FeedStart
{
    private readonly string? _word;

    private FeedStart(string word) => _word = word;

    /// <summary>At the first message that is still kept.</summary>
    public static FeedStart Begin { get; } = new("begin");

    /// <summary>Behind the last message that is committed.</summary>
    public static FeedStart Now { get; } = new("now");

    /// <summary>At this number; one that is not committed yet is waited for.</summary>
    public static FeedStart At(SequenceNumber number) => new(Math.Max(1, number.Value).ToString(CultureInfo.InvariantCulture));

    /// <summary>Reads a number from 1 on, <c>begin</c> or <c>now</c>.</summary>
    public static bool TryParse(string text, out FeedStart start)
    {
        start = text switch
        {
            "begin" => Begin,
            "now" => Now,
            _ => ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) && number > 0
                ? At(new SequenceNumber(number)) : default,
        };
        return start._word is not null;
    }

    /// <inheritdoc/>
    public override string ToString() => _word ?? "now";
}
