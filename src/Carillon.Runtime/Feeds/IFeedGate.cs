using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Feeds;

/// <summary>The catalog's feed as the gateway asks for it. All members may be called from any thread.</summary>
public interface IFeedGate
{
    /// <summary>The greatest number that is applied here; <see cref="Read"/> sees it and all before.</summary>
    SequenceNumber Applied { get; }

    /// <summary>Called after <see cref="Applied"/> has risen, by a thread that must not be held up: one listener for all that
    /// watch.</summary>
    Action? Changed { get; set; }

    /// <summary>One page of the feed, one snapshot. Reads the disk.</summary>
    FeedPage Read(FeedQuery query);
}
