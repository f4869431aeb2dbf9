using Carillon.Protocols;
using Carillon.Protocols.Primacy;

namespace Carillon.Node;

/// <summary>What primacy sees of its node.</summary>
internal sealed class PrimacyHost(ServerNode node) : IPrimacyHost, IReplicaManagerHost
{
    // Checkpoints of this size and more don't share the agreement stream.
    private const int LargeMessage = 128 << 10;

    public bool MayVote => node.MayVote && !node.HasRecordedStop;

    public bool HasQuorum => node.Members.HasQuorum;

    public ulong Durable => (ulong)node.Log.Durable.Value;

    public bool IsConnected(NodeId server) => server == node.Self.Name || node.Members.IsConnected(server);

    public bool IsServer(NodeId server) => node.Configuration.Find(server) is not null;

    public bool SharesConfiguration(NodeId server) => server == node.Self.Name || node.Members.SharesConfiguration(server);

    public TimeSpan? RoundTrip(NodeId server) => node.Members.RoundTrip(server);

    public bool CanAppend(int bytes) => node.Log.CanAppend(bytes, urgent: true);

    public ulong Append(ReadOnlySpan<byte> record) => node.AppendToLog(record);

    public void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after)
    {
        TrafficKind kind = message.Length >= LargeMessage ? TrafficKind.Push : TrafficKind.Agreement;
        node.Post(peer, kind, Protocol.Primacy, message, after);
    }

    public void Send(NodeId peer, ReadOnlyMemory<byte> message) => Send(peer, message, 0);

    public void SendDatagram(NodeId peer, ReadOnlyMemory<byte> message) => node.SendPrimacyDatagram(peer, message.Span);

    public void Order(ServiceOrder order) => node.QueueOrder(order);

    public void PrimaryKnown(ServiceName service, NodeId primary, Epoch epoch, TimeSpan? silence) =>
        node.QueuePrimary(service, primary, epoch, silence);

    public (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName service) => node.PrimaryOf(service);

    public void Yield(NodeId primary, YieldMessage message)
    {
        if (primary == node.Self.Name)
        {
            node.YieldHere(message);
        }
        else
        {
            Send(primary, PrimacyCodec.Encode(message));
        }
    }

    public void ReadTable(Action<ServiceTable?, Moment> then) => node.ReadTable(then);

    public void WriteTable(ServiceTable table, Action<TableWrite, Moment> then) => node.WriteTable(table, then);
}
