using Carillon.Client.Groups;

namespace Carillon.Client.Feeds;

/// <summary>What of the feed is wanted, and from where on.</summary>
public sealed record WatchOptions
{
    /// <summary>Only this bucket; empty for all.</summary>
    public string Bucket { get; init; } = "";

    /// <summary>Only names that start with this.</summary>
    public string Prefix { get; init; } = "";

    /// <summary>The first number; by default behind the last that is applied.</summary>
    public FeedStart From { get; init; } = FeedStart.Now;

    /// <summary>
    /// A connection that says nothing for so long is given up for another server's. Above twice the servers' heartbeat (15 s); too high: a
    /// server that vanished without a word is noticed late.
    /// </summary>
    public TimeSpan Silence { get; init; } = TimeSpan.FromSeconds(35);
}
