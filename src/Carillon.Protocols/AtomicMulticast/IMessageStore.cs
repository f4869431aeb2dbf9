namespace Carillon.Protocols.AtomicMulticast;

/// <summary>What a store says when it is asked for a message.</summary>
public enum StoreAnswer : byte
{
    /// <summary>It is not here.</summary>
    Absent = 0,

    /// <summary>Here it is.</summary>
    Found = 1,

    /// <summary>It is here, but not in memory: it is being read, and <see cref="GroupMember.Loaded"/> is called when it is there. The
    /// question is then asked again, and must be answered <see cref="Found"/> for a while.</summary>
    Reading = 2,

    /// <summary>It was here and is no longer kept: a number up to <see cref="IMessageStore.Trimmed"/>.</summary>
    Trimmed = 3,

    /// <summary>It was here and can't be read any more: others are asked for it, and <see cref="IMessageStore.Mend"/> puts it back.
    /// </summary>
    Damaged = 4,
}

/// <summary>
/// The messages of one group on one server, as the cores see them: those that have no number yet, by their id, and the committed ones, in
/// the order of their numbers. One implementation keeps them in memory (<see cref="MemoryMessageStore"/>); one on disk, where uncommitted
/// messages are records of the groups' log and committed ones stand in segment files; the catalog's asks vector exchange.
/// </summary>
/// <remarks>
/// <para>
/// Positions are those of the same log that <see cref="IGroupHost.Append"/> writes: a message that was put before an assignment was
/// appended
/// is durable whenever the assignment is. That is what makes a server's one acknowledgement count for both (◆ of the protocol's page).
/// </para>
/// <para>Calls come from one thread, return at once, and never throw for anything that a peer sent. Payloads that are handed in may be
/// slices of a received frame: a store that keeps them longer than until <see cref="Commit"/> copies them.</para>
/// </remarks>
public interface IMessageStore
{
    /// <summary>The greatest number that was handed to <see cref="Commit"/>; the numbers up to it are all here or trimmed.</summary>
    SequenceNumber Committed { get; }

    /// <summary>Up to here committed entries survive a crash by themselves: the cores need not keep their records in the log any longer.
    /// For a store in memory the same as <see cref="Committed"/>.</summary>
    SequenceNumber CommittedDurable { get; }

    /// <summary>The greatest number that is no longer kept; zero if all are.</summary>
    SequenceNumber Trimmed { get; }

    /// <summary>Bytes of payloads of committed messages that are kept: what <see cref="GroupSettings.RetainBytes"/> bounds.</summary>
    long CommittedBytes { get; }

    /// <summary>Numbers up to this are older than the group keeps messages, or too much for its size; <see cref="Trimmed"/> if none are.
    /// Not asked where an application's checkpoints say what may go.</summary>
    SequenceNumber Expendable => Trimmed;

    /// <summary>
    /// True if the message is held here: put, and as durable as the log makes it once it is durable up to what <see cref="Put"/>
    /// returned; for the catalog: the submission is *agreed* here ◆. Also true of committed ones while they are known by their id.
    /// </summary>
    /// <param name="id">Which message.</param>
    /// <param name="hash">The hash of what is held under that id, if it is.</param>
    bool Holds(MessageId id, out Digest hash);

    /// <summary>A message by its id: always answered for uncommitted ones, for committed ones while they are known by their id.</summary>
    StoreAnswer Find(MessageId id, out GroupData message);

    /// <summary>What stands at a committed number. A store of a server that keeps no payloads (a commit server apart from the data servers)
    /// answers with an empty payload; of a no-op only the number says anything.</summary>
    StoreAnswer Find(SequenceNumber number, out Assignment assignment, out ReadOnlyMemory<byte> payload);

    /// <summary>True if this many bytes more can be put. Otherwise messages are dropped, and their senders repeat them.</summary>
    bool CanPut(int bytes);

    /// <summary>False while committed messages find no room, since the disk is behind: nothing is delivered then, until
    /// <see cref="GroupMember.Loaded"/> is called.</summary>
    bool CanCommit => true;

    /// <summary>
    /// Takes messages that are not held yet. The core has compared hashes and judged duplicates.
    /// </summary>
    /// <returns>The log's position from which on all of them are durable; 0 if they are at once, or where nothing is made
    /// durable.</returns>
    ulong Put(ReadOnlySpan<GroupData> messages);

    /// <summary>
    /// These assignments are committed for good, in order, the first at <see cref="Committed"/> + 1. On a server that keeps payloads each
    /// message is held, or the entry is a no-op. An entry whose id was committed before (a duplicate) is kept as it is: it has a number.
    /// </summary>
    void Commit(SequenceNumber first, ReadOnlySpan<Assignment> run);

    /// <summary>What another server had at a number that is <see cref="StoreAnswer.Damaged"/> here, just before it is delivered: it is put
    /// back, lazily, since it can be had again.</summary>
    /// <param name="number">The number; each is given once in a life, in their order.</param>
    /// <param name="assignment">What stands there.</param>
    /// <param name="payload">Its bytes; empty for what is not the first of its message.</param>
    /// <param name="isFirst">False for a no-op, and for a message that stands at an earlier number too.</param>
    /// <returns>False: too much waits to be put back; <see cref="GroupMember.Loaded"/> is called when there is room.</returns>
    bool Mend(SequenceNumber number, in Assignment assignment, ReadOnlyMemory<byte> payload, bool isFirst) => true;

    /// <summary>An uncommitted message is dropped: its session was retired, it will never get a number.</summary>
    void Forget(MessageId id);

    /// <summary>Entries up to that number may be deleted (at most <see cref="Committed"/>). A store may delete fewer at once, in whole
    /// segments, but counts them as trimmed.</summary>
    void Trim(SequenceNumber upTo);

    /// <summary>A checkpoint was put in place here: everything up to its number is gone, and the next committed is the one after it.
    /// Messages
    /// that are held and have no number stay.</summary>
    void StartAfter(SequenceNumber checkpoint);

    /// <summary>
    /// A message that is not held here is wanted, since it stands at a number. True: the store fetches it by its own means, and
    /// <see cref="GroupMember.Arrived"/> is called when it is held (the catalog, by vector exchange). False: the core asks data servers.
    /// </summary>
    bool Want(MessageId id);

    /// <summary>
    /// Fills in, in the order in which they arrived, uncommitted messages after the given one: what a data server asks numbers for, after a
    /// restart. For each: its id, hash, settled and timestamp; payloads may be left out.
    /// </summary>
    /// <returns>All of them; a snapshot that the caller may keep.</returns>
    IReadOnlyList<GroupData> Uncommitted();
}
