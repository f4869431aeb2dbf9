using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Gateway.Feeds;

/// <summary>What of the feed is wanted: one bucket's names or all, those that start with a prefix.</summary>
/// <param name="Bucket">The bucket; empty for all, but for the system's own, which only shows where it is asked for.</param>
/// <param name="Prefix">What the names start with.</param>
internal readonly record struct FeedFilter(string Bucket, string Prefix)
{
    /// <summary>True if one of an entry's operations is wanted.</summary>
    public bool LetsThrough(FeedItem item)
    {
        foreach (FeedOperation operation in item.Operations)
        {
            if (LetsThrough(operation.Target))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>An entry with what is wanted of it; itself where all is, null where nothing is.</summary>
    public FeedItem? Of(FeedItem item)
    {
        int wanted = 0;
        foreach (FeedOperation operation in item.Operations)
        {
            wanted += LetsThrough(operation.Target) ? 1 : 0;
        }

        FeedFilter filter = this;
        return wanted == item.Operations.Length ? item
            : wanted == 0 ? null
            : item with { Operations = [.. item.Operations.Where(operation => filter.LetsThrough(operation.Target))] };
    }

    private bool LetsThrough(ObjectName target) =>
        (Bucket.Length == 0 ? target.Bucket != ObjectName.SystemBucket : target.Bucket == Bucket)
        && (Prefix.Length == 0 || target.Name.StartsWith(Prefix, StringComparison.Ordinal));
}
