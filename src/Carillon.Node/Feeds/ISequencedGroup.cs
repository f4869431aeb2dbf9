using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Primacy;

namespace Carillon.Node.Feeds;

/// <summary>A group on this server as the sequencer's service sees it: the catalog's, or one of users.</summary>
internal interface ISequencedGroup
{
    /// <summary>What it is called in front of people.</summary>
    string Title { get; }

    /// <summary>The service whose primary numbers its messages.</summary>
    ServiceName Service { get; }

    /// <summary>Its core.</summary>
    GroupMember Member { get; }

    /// <summary>Why this server does not vote in it, or empty.</summary>
    string Trouble { get; }

    /// <summary>True if it may be elected to give numbers.</summary>
    bool CanLead { get; }

    /// <summary>Something was handed in since the last flush.</summary>
    bool IsDirty { get; set; }

    /// <summary>What the core told of since.</summary>
    bool TryTakeEvent(out GroupEvent what);

    /// <summary>True if the service is to be told how far this server is: now and then, since ranks need no more.</summary>
    bool IsNews(Instant now, TimeSpan interval);

    /// <summary>Who reads looks again.</summary>
    void HasMore();
}
