using Carillon.Protocols;

namespace Carillon.Node;

/// <content>Index merge.</content>
public sealed partial class ServerNode
{
    private Instant MergeDeadline => Instant.Never;

    private void AdvanceMerge(Moment now)
    {
    }

    private void DrainMerge()
    {
    }

    private bool ReceiveMerge(ServerIdentity from, ReadOnlySpan<byte> payload) => false;

    private void PeerUp(ServerIdentity peer)
    {
    }

    private void PeerDown(ServerIdentity peer)
    {
    }
}
