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

    /// <summary>Who runs there: name, disk and incarnation; default while nothing does.</summary>
    ServerIdentity Identity { get; }

    /// <summary>A tunnel to a peer is open.</summary>
    void TunnelUp(ServerIdentity peer);

    /// <summary>The tunnel to a peer is closed; what was under way is lost.</summary>
    void TunnelDown(ServerIdentity peer);

    /// <summary>A message came on a tunnel's stream.</summary>
    void Receive(ServerIdentity from, TrafficKind kind, ReadOnlyMemory<byte> message);

    /// <summary>A chunk came on the bulk stream.</summary>
    void ReceiveChunk(ServerIdentity from, ReadOnlyMemory<byte> header, ReadOnlyMemory<byte> body);

    /// <summary>A datagram came, sealed, perhaps changed on its way, perhaps not for the first time.</summary>
    void ReceiveDatagram(ReadOnlyMemory<byte> datagram);
}
