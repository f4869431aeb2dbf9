using Carillon.Node;
using Carillon.Protocols;
using Carillon.Runtime.Datagrams;
using Carillon.Runtime.Tunnels;
using Carillon.Storage;

namespace Carillon.Runtime.Serving;

/// <summary>Kinds of <see cref="LoopWork"/>.</summary>
internal enum LoopWorkKind : byte
{
    /// <summary>A call of the gateway's, or of the server itself.</summary>
    Call,

    /// <summary>Tunnel messages.</summary>
    Messages,

    /// <summary>A datagram.</summary>
    Datagram,

    /// <summary>Storage work is done.</summary>
    Completed,

    /// <summary>A chunk came, verified.</summary>
    Chunk,
}

/// <summary>One item of the event loop's queue; a struct, so that queueing allocates nothing.</summary>
internal readonly struct LoopWork
{
    public LoopWorkKind Kind { get; private init; }

    public object? First { get; private init; }

    public object? Second { get; private init; }

    public ServerIdentity Peer { get; private init; }

    public TrafficKind Traffic { get; private init; }

    public ReadOnlyMemory<byte> Bytes { get; private init; }

    public ReceivedMessages Received { get; private init; }

    public ReceivedDatagram Datagram { get; private init; }

    public static LoopWork Call(Action<ServerNode, Moment> call, Action<Exception>? abandoned = null) =>
        new() { Kind = LoopWorkKind.Call, First = call, Second = abandoned };

    public static LoopWork Messages(ServerIdentity peer, TrafficKind traffic, ReceivedMessages messages) =>
        new() { Kind = LoopWorkKind.Messages, Peer = peer, Traffic = traffic, Received = messages };

    public static LoopWork OfDatagram(ServerIdentity peer, ReceivedDatagram datagram) =>
        new() { Kind = LoopWorkKind.Datagram, Peer = peer, Datagram = datagram };

    public static LoopWork Completed(StorageWork work, StorageException? failure) =>
        new() { Kind = LoopWorkKind.Completed, First = work, Second = failure };

    public static LoopWork Chunk(ServerIdentity peer, ReadOnlyMemory<byte> header, ChunkBuffer body) =>
        new() { Kind = LoopWorkKind.Chunk, Peer = peer, Bytes = header, First = body };
}
