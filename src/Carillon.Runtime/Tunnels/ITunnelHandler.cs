using Carillon.Node;

namespace Carillon.Runtime.Tunnels;

/// <summary>
/// What is above the tunnels. For one <see cref="TunnelPeer"/>, <see cref="UpAsync"/> comes first and <see cref="DownAsync"/> last,
/// and the messages of a kind come one batch after another, in order; kinds and peers come on several threads at once. While a call
/// has not ended, that stream is not read, and in the end its sender is refused: so a slow receiver is felt at the source.
/// An exception from here is a defect: it ends all tunnels.
/// </summary>
public interface ITunnelHandler
{
    /// <summary>A tunnel is up: messages can be sent and will come.</summary>
    ValueTask UpAsync(TunnelPeer peer);

    /// <summary>The tunnel is down; what was queued on it may or may not have arrived.</summary>
    ValueTask DownAsync(TunnelPeer peer, string reason);

    /// <summary>Messages came. The receiver owns the batch and disposes of it.</summary>
    ValueTask ReceiveAsync(TunnelPeer peer, TrafficKind kind, ReceivedMessages messages);

    /// <summary>
    /// Looks at a chunk before it is handed on: are these the bytes that the header speaks of? Called on the stream's own thread;
    /// may take its time.
    /// </summary>
    bool Verify(TunnelPeer peer, ReadOnlySpan<byte> header, ReadOnlySpan<byte> body);

    /// <summary>A verified chunk came. The receiver releases the body.</summary>
    ValueTask ReceiveChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header, ChunkBuffer body);

    /// <summary>A chunk came whose bytes are not those that its header speaks of; they are gone already.</summary>
    ValueTask RefuseChunkAsync(TunnelPeer peer, ReadOnlyMemory<byte> header);
}
