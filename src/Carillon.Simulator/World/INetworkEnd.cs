using Carillon.Node;
using Carillon.Protocols;

namespace Carillon.Simulator.World;

/// <summary>What the network knows of a server, and hands to it.</summary>
internal interface INetworkEnd
{
    /// <summary>Its name.</summary>
    NodeId Name { get; }

    /// <summary>True if its process runs and is not paused, so that it can shake hands.</summary>
    bool Answers { get; }

    /// <summary>The incarnation that runs.</summary>
    Incarnation Incarnation { get; }

    /// <summary>A tunnel to a peer is open.</summary>
    void TunnelUp(NodeId peer, Incarnation incarnation);

    /// <summary>The tunnel to a peer is closed; what was under way is lost.</summary>
    void TunnelDown(NodeId peer);

    /// <summary>A message came on a tunnel's stream.</summary>
    void Receive(NodeId peer, Incarnation incarnation, TrafficKind kind, ReadOnlyMemory<byte> message);

    /// <summary>A chunk came on the bulk stream.</summary>
    void ReceiveChunk(NodeId peer, Incarnation incarnation, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body);

    /// <summary>A datagram came.</summary>
    void ReceiveDatagram(NodeId peer, Incarnation incarnation, ReadOnlyMemory<byte> message);
}
