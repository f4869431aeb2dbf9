using System.Collections.Immutable;
using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Runtime.Serving;

/// <summary>One server as another sees it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="State">connected, suspected, failed, or self.</param>
/// <param name="Incarnation">The greatest seen; 0 if never.</param>
/// <param name="Roles">entry, storage.</param>
/// <param name="Voting">False with the reason in <paramref name="Note"/>.</param>
/// <param name="RoundTripMilliseconds">Null before the first echo.</param>
/// <param name="ClockOffsetMilliseconds">Its clock minus this server's; null before the first echo.</param>
/// <param name="Downloads">Downloads in progress there.</param>
/// <param name="QueueDepth">Work waiting there.</param>
/// <param name="FreeBytes">Free space there.</param>
/// <param name="HttpAddress">host:port of its HTTP interface.</param>
/// <param name="Note">Anything out of the ordinary, or empty.</param>
public sealed record ServerStatus(
    NodeId Name, string State, ulong Incarnation, ImmutableArray<string> Roles, bool Voting, double? RoundTripMilliseconds,
    double? ClockOffsetMilliseconds, int Downloads, int QueueDepth, long FreeBytes, string HttpAddress, string Note);

/// <summary>A server's picture of its cluster.</summary>
/// <param name="Cluster">The cluster's name.</param>
/// <param name="Configuration">Version of the configuration in force.</param>
/// <param name="QuorumSize">Entry servers that must agree.</param>
/// <param name="QuorumConnected">Entry servers connected, this one included.</param>
/// <param name="WriteQuorum">True if a submission would be taken now.</param>
/// <param name="Servers">In order of their names.</param>
/// <param name="UnderReplicatedChunks">Chunks held here of which a designated server is known to lack its copy.</param>
/// <param name="TransportMode">multicast or unicast.</param>
/// <param name="TransportReason">Why.</param>
public sealed record ClusterStatus(
    string Cluster, ulong Configuration, int QuorumSize, int QuorumConnected, bool WriteQuorum, ImmutableArray<ServerStatus> Servers,
    long UnderReplicatedChunks, string TransportMode, string TransportReason)
{
    /// <summary>The catalog's feed.</summary>
    public FeedStatus Feed { get; init; }
}

/// <summary>The catalog's feed as one server knows it; what is not known is zero or none.</summary>
/// <param name="Epoch">The epoch of the sequencer.</param>
/// <param name="Sequencer">Who gives the numbers.</param>
/// <param name="Committed">Everything up to it is committed.</param>
/// <param name="Checkpoint">The newest checkpoint that is advertised.</param>
/// <param name="Applied">Everything up to it is applied at this server.</param>
public readonly record struct FeedStatus(
    ulong Epoch, NodeId Sequencer, SequenceNumber Committed, SequenceNumber Checkpoint, SequenceNumber Applied);
