using System.CommandLine;
using Carillon.Client.Groups;
using Carillon.Protocols;

namespace Carillon.CommandLine;

/// <summary>Where a stream starts, and after how many it ends: of <c>watch</c> and <c>subscribe</c>.</summary>
internal static class StreamOptions
{
    public static Option<string> From() => new("--from")
    {
        Description = "The first number; or begin, for the first that is kept; or now", HelpName = "N", DefaultValueFactory = _ => "now",
    };

    public static Option<ulong?> Count(string what) => new("--count") { Description = $"End after so many {what}", HelpName = "N" };

    /// <summary>Where it starts.</summary>
    /// <exception cref="UsageException">It is no start.</exception>
    public static FeedStart Start(string text) => FeedStart.TryParse(text, out FeedStart start)
        ? start : throw new UsageException($"--from {Shown.Text(text)}: use a number from 1 on, begin or now");

    /// <summary>After how many it ends; where nothing is given it does not.</summary>
    /// <exception cref="UsageException">It is none.</exception>
    public static ulong Most(ulong? count) =>
        count == 0 ? throw new UsageException("--count: use 1 or more") : count ?? ulong.MaxValue;
}
