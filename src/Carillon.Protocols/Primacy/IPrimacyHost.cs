namespace Carillon.Protocols.Primacy;

/// <summary>
/// What primacy asks of the node around it. Every call is synchronous and returns at once. Records go to the log in the order of the
/// calls; the node calls <see cref="SelectionMechanism.Persisted"/> as they become durable, and lets a message leave only after the
/// position that it names.
/// </summary>
public interface IPrimacyHost
{
    /// <summary>True if this server votes: its disk is the configured one and undamaged.</summary>
    bool MayVote { get; }

    /// <summary>True if this server has two-way contact with a quorum.</summary>
    bool HasQuorum { get; }

    /// <summary>True for a server that can be talked to, this one included.</summary>
    bool IsConnected(NodeId node);

    /// <summary>True for a server that is known to have the version of the configuration in force that this one has.</summary>
    bool SharesConfiguration(NodeId node) => true;

    /// <summary>The shortest of the last round trips, or null.</summary>
    TimeSpan? RoundTrip(NodeId node);

    /// <summary>True if the log takes this many bytes more.</summary>
    bool CanAppend(int bytes);

    /// <summary>Appends a record; returns its position, which grows with each.</summary>
    ulong Append(ReadOnlySpan<byte> record);

    /// <summary>Position up to which everything is durable.</summary>
    ulong Durable { get; }

    /// <summary>Sends a message once everything up to <paramref name="after"/> is durable (0: at once).</summary>
    void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after);

    /// <summary>Sends a datagram at once; it may be lost, doubled, delayed.</summary>
    void SendDatagram(NodeId peer, ReadOnlyMemory<byte> message);

    /// <summary>Tells the provider on this server.</summary>
    void Order(ServiceOrder order);

    /// <summary>A node said for the first time that it holds its lease in this epoch.</summary>
    /// <param name="service">Of which service.</param>
    /// <param name="primary">Which node.</param>
    /// <param name="epoch">Which epoch.</param>
    /// <param name="silence">Time since a primary was heard last; null if none ever was.</param>
    void PrimaryKnown(ServiceName service, NodeId primary, Epoch epoch, TimeSpan? silence);
}
