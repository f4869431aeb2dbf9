namespace Carillon.Protocols.AtomicMulticast;

/// <summary>The seed's four channels: logical, and not of more than this group.</summary>
public enum GroupChannel : byte
{
    /// <summary>All members (GLOBALCHAN).</summary>
    Global = 0,

    /// <summary>All data servers (DATACHAN).</summary>
    Data = 1,

    /// <summary>All commit servers (COMMITCHAN).</summary>
    Commit = 2,

    /// <summary>All checkpoint servers (CHKPNTCHAN).</summary>
    Checkpoint = 3,
}

/// <summary>A committed number as it is delivered.</summary>
/// <param name="Number">Its place in the order.</param>
/// <param name="Id">Which message; none where the number was filled.</param>
/// <param name="Payload">Its bytes; valid for as long as they are held on to.</param>
/// <param name="IsNoOp">True where it does nothing: it was filled, or its message was delivered before.</param>
public readonly record struct DeliveredMessage(SequenceNumber Number, MessageId Id, ReadOnlyMemory<byte> Payload, bool IsNoOp);

/// <summary>
/// What one group's member asks of the node around it. Every call is synchronous and returns at once, and none calls back into the member.
/// Records go to the groups' log in the order of the calls; the node calls <see cref="GroupMember.Persisted"/> as they become durable, and
/// lets a message leave only after the position that it names.
/// </summary>
public interface IGroupHost
{
    /// <summary>True if this server promises and stores assignments: its disk is the configured one and undamaged.</summary>
    bool MayVote { get; }

    /// <summary>True if there are members that are not commit servers: commits then name their messages, on the global channel.</summary>
    bool HasListeners { get; }

    /// <summary>True for a server that can be talked to.</summary>
    bool IsConnected(NodeId node);

    /// <summary>True if the groups' log takes this many bytes more.</summary>
    bool CanAppend(int bytes);

    /// <summary>Appends a record; returns its position, which grows with each. In a memory-only group too: promises are always
    /// durable.</summary>
    ulong Append(ReadOnlySpan<byte> record);

    /// <summary>Position up to which everything is durable.</summary>
    ulong Durable { get; }

    /// <summary>Sends a message once everything up to <paramref name="after"/> is durable (0: at once). It may be lost.</summary>
    void Send(NodeId peer, ReadOnlyMemory<byte> message, ulong after);

    /// <summary>Sends a message to all on a channel but this server: one datagram to a multicast group where that works and it fits, else
    /// one to each. It may be lost, doubled, and overtaken.</summary>
    void Multicast(GroupChannel channel, ReadOnlyMemory<byte> message);

    /// <summary>Committed numbers, in order, without gap. After a start they begin behind the state that was given then; a state that is
    /// newer passes over them.</summary>
    void Delivered(ReadOnlySpan<DeliveredMessage> run);

    /// <summary>True for a message that changes the configuration: nothing is numbered behind it until it is committed and its roles are in
    /// force ◆.</summary>
    bool IsChange(MessageId id) => false;

    /// <summary>The roles of a version that was delivered just now, once; null where none was. Asked behind each
    /// <see cref="Delivered"/>.</summary>
    GroupRoles? TakeRoles() => null;

    /// <summary>The answer to <see cref="GroupMember.AskCommitted"/>; null: the one that was asked can't tell.</summary>
    void CommittedTold(ulong question, SequenceNumber? number)
    {
    }

    /// <summary>A message that was sent here has come to its end. The session's table knows it no longer than until it is
    /// settled.</summary>
    /// <param name="id">Which message.</param>
    /// <param name="verdict">How; never <see cref="SendVerdict.Busy"/>.</param>
    /// <param name="number">Its number; none where it is not known any more.</param>
    void Sent(MessageId id, SendVerdict verdict, SequenceNumber number);

    /// <summary>Something that the node, or a person, should know.</summary>
    void Note(GroupEvent what);

    /// <summary>
    /// Everything up to this number was delivered, and a checkpoint is due. True: the application freezes its state now, puts the sessions
    /// into the checkpoint, and <see cref="GroupMember.CheckpointTaken"/> is called when it is made. False: there is no application, and
    /// the
    /// sessions alone are the checkpoint.
    /// </summary>
    bool TakeCheckpoint(SequenceNumber number, ReadOnlyMemory<byte> sessions);

    /// <summary>
    /// What is missing here is no longer kept anywhere else either: state must come from this checkpoint. True: the application fetches it
    /// by its own means, from any checkpoint server, and <see cref="GroupMember.Install"/> is called when it is in place. False: the core
    /// fetches its blocks.
    /// </summary>
    bool FetchCheckpoint(CheckpointMark mark);

    /// <summary>A block of the application's checkpoint, or nothing (<see cref="CheckpointBlocks"/>; block 0 is the list of
    /// digests).</summary>
    ReadOnlyMemory<byte> ReadCheckpoint(SequenceNumber number, uint index);
}
