using Carillon.Protocols;

namespace Carillon.Node;

/// <summary>What a node tells of itself for logs and metrics; the runtime writes them, cores and node never log.</summary>
/// <param name="Kind">What happened.</param>
/// <param name="Peer">The other server, or none.</param>
/// <param name="Detail">The rest, in plain words.</param>
public readonly record struct NodeEvent(NodeEventKind Kind, NodeId Peer, string Detail);

/// <summary>Kinds of <see cref="NodeEvent"/>.</summary>
public enum NodeEventKind
{
    /// <summary>A peer can be talked to.</summary>
    PeerConnected,

    /// <summary>A peer can no longer be talked to.</summary>
    PeerFailed,

    /// <summary>A peer came back as a new incarnation.</summary>
    PeerRestarted,

    /// <summary>A server's clock is off by more than is allowed, or is good again.</summary>
    ClockQuarantine,

    /// <summary>This server does not vote, and why.</summary>
    NotVoting,

    /// <summary>A lost catalog was rebuilt, and the server votes again.</summary>
    Rebuilt,

    /// <summary>A store met damage or refused work.</summary>
    StorageTrouble,

    /// <summary>The catalog is damaged: the next start is to put it aside, and to make it anew.</summary>
    CatalogDamaged,

    /// <summary>A message could not be read, and was dropped.</summary>
    BadMessage,

    /// <summary>A chunk was found damaged.</summary>
    ChunkDamaged,

    /// <summary>A resolution round was taken for an open tag.</summary>
    RoundTaken,

    /// <summary>A service has a primary in a new epoch, or none any more.</summary>
    PrimaryChanged,

    /// <summary>Another version of the configuration is in force.</summary>
    Reconfigured,
}
