using Carillon.Node;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Runtime.Serving;
using Carillon.Storage.Catalogs;

namespace Carillon.Runtime.Feeds;

/// <summary>The feed of a node: told of by its loop, read from its catalog beside it.</summary>
internal sealed class FeedGate(CatalogFeed feed, CatalogReaders readers) : IFeedGate
{
    /// <inheritdoc/>
    public SequenceNumber Applied => feed.Applied;

    /// <inheritdoc/>
    public Action? Changed
    {
        get => feed.Changed;
        set => feed.Changed = value;
    }

    /// <inheritdoc/>
    public FeedPage Read(FeedQuery query) => readers.Read(reader => reader.Feed(query));
}
