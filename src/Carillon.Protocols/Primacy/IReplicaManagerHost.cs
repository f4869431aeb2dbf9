namespace Carillon.Protocols.Primacy;

/// <summary>How a write of the replica manager's table ended.</summary>
public enum TableWrite
{
    /// <summary>A quorum has it.</summary>
    Done,

    /// <summary>It is refused for good: a newer replica manager has been granted its epoch.</summary>
    Fenced,

    /// <summary>It was not accepted, or that is not known; it is written again.</summary>
    Failed,
}

/// <summary>
/// What the replica manager asks of the node around it. The table is a record in the system bucket, read linearizably and written by a
/// fenced submission: each version has its number in the feed, as any write, and is answered once it is agreed, since services are not to
/// wait for a sequencer. By the fences the order of the versions' UIDs is that of their epochs and numbers (docs/adr/0028).
/// </summary>
public interface IReplicaManagerHost
{
    /// <summary>True for a server that can be talked to, this one included.</summary>
    bool IsConnected(NodeId node);

    /// <summary>True for a server of the configuration.</summary>
    bool IsServer(NodeId node);

    /// <summary>Who is known to be primary, or none.</summary>
    (NodeId Primary, Epoch Epoch) PrimaryOf(ServiceName service);

    /// <summary>Sends a message on the tunnel.</summary>
    void Send(NodeId peer, ReadOnlyMemory<byte> message);

    /// <summary>Asks a primary, perhaps on this very server, to hand over.</summary>
    void Yield(NodeId primary, YieldMessage message);

    /// <summary>Reads the table as a quorum has it: empty where there is none yet, null where that can't be told now.</summary>
    void ReadTable(Action<ServiceTable?, Moment> then);

    /// <summary>Writes the table, fenced by its epoch.</summary>
    void WriteTable(ServiceTable table, Action<TableWrite, Moment> then);
}
