using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Runtime.Groups;

/// <summary>How sending a message ended.</summary>
public abstract record PublishOutcome
{
    private PublishOutcome()
    {
    }

    /// <summary>It stands at this number for good.</summary>
    public sealed record Committed(SequenceNumber Number) : PublishOutcome;

    /// <summary>It was not taken, and nothing of it is kept: a window is full, or the group is unknown here. Try again after that
    /// time.</summary>
    public sealed record Refused(string Why, TimeSpan RetryAfter) : PublishOutcome;

    /// <summary>Its session was idle for longer than the group's lifetime: whether it was committed once can't be told.</summary>
    public sealed record Expired : PublishOutcome;

    /// <summary>A later message of its sender has a number, in a group that keeps their order: it is not delivered, ever.</summary>
    public sealed record Overtaken : PublishOutcome;

    /// <summary>Its sender said before that it knows the outcome: it is forgotten, and can't be told any more.</summary>
    public sealed record Settled : PublishOutcome;

    /// <summary>Another content has its id, at the number if one is told; this one was not taken.</summary>
    public sealed record Conflict(SequenceNumber Number, string Why) : PublishOutcome;

    /// <summary>No commit was seen in time; it may be committed yet. The same message id may be sent again, to any server.</summary>
    public sealed record Unknown(string Why) : PublishOutcome;
}

/// <summary>A committed message as a subscriber sees it. Numbers that were filled because their message was lost, or that repeat an
/// earlier message, are not delivered.</summary>
/// <param name="Number">Its place in the order.</param>
/// <param name="Id">Its identity.</param>
/// <param name="Payload">Its bytes, good until the next run of messages is asked for.</param>
public readonly record struct GroupMessage(SequenceNumber Number, MessageId Id, ReadOnlyMemory<byte> Payload);

/// <summary>What is known here of a group.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Settings">Its settings.</param>
/// <param name="Sequencer">Who numbers its messages, or none.</param>
/// <param name="Epoch">In which epoch.</param>
/// <param name="Committed">The greatest number that is committed, as far as is known here.</param>
/// <param name="First">The first number whose message is still kept here.</param>
public sealed record GroupStatus(
    GroupName Name, GroupSettings Settings, NodeId Sequencer, ulong Epoch, SequenceNumber Committed, SequenceNumber First)
{
    /// <summary>Tells this group from another one that had, or will have, its name.</summary>
    public required ulong Id { get; init; }

    /// <summary>What this server keeps of a memory-only group at most, whatever its settings say.</summary>
    public (int Messages, long Bytes)? Memory { get; init; }

    /// <summary>Why its messages can't be numbered now, as far as is known here; empty where nothing is wrong.</summary>
    public string Trouble { get; init; } = "";

    /// <summary>False where it was created, and is not open here yet: how far it is can't be told.</summary>
    public bool IsOpen { get; init; } = true;

    /// <summary>True where they never can be again: a memory-only group that too many servers have forgotten.</summary>
    public bool IsLost { get; init; }
}

/// <summary>A subscriber asked for a number whose message is no longer kept.</summary>
public sealed class FeedTooOldException : Exception
{
    public FeedTooOldException()
    {
    }

    public FeedTooOldException(string message) : base(message)
    {
    }

    public FeedTooOldException(string message, Exception inner) : base(message, inner)
    {
    }

    public FeedTooOldException(SequenceNumber first) : base($"Messages before {first} are no longer kept.") => First = first;

    /// <summary>The first number that is kept.</summary>
    public SequenceNumber First { get; }
}

/// <summary>What the gateway asks about groups (atomic multicast) of the server that it belongs to. All members may be called from any
/// thread.</summary>
public interface IGroupGate
{
    /// <summary>All groups that are known here, in order of their names.</summary>
    Task<IReadOnlyList<GroupStatus>> ListAsync();

    /// <summary>One group, asked of a quorum where it is not known here; null if there is none.</summary>
    Task<GroupStatus?> FindAsync(GroupName group);

    /// <summary>
    /// Creates a group; ok where it is there with equal settings, rejected with
    /// <see cref="Protocols.VectorExchange.RejectionReason.BucketExists"/> where it is there with others. The outcome is that of its
    /// record.
    /// </summary>
    Task<Protocols.VectorExchange.SubmitOutcome> CreateAsync(GroupName group, GroupSettings settings, string key);

    /// <summary>Removes a group with all its messages.</summary>
    Task<Protocols.VectorExchange.SubmitOutcome> RemoveAsync(GroupName group, string key);

    /// <summary>
    /// Sends a message and waits for its number. The same id always ends at the same number, whichever servers it is sent to.
    /// </summary>
    /// <param name="group">The group.</param>
    /// <param name="id">Given by the sender.</param>
    /// <param name="settled">All counters of the session up to this are known to the sender as committed or given up: the group forgets
    /// them.</param>
    /// <param name="timestamp">The greatest number of the group that the sender knew when it sent the message first, to whichever server.
    /// Null: it sends it for the first time now.</param>
    /// <param name="payload">At most <see cref="GroupSettings.MaxPayloadBytes"/>; the callee's from now on, nobody changes it.</param>
    /// <param name="cancellation">The caller gave up; the message may be committed all the same.</param>
    Task<PublishOutcome> PublishAsync(
        GroupName group, MessageId id, ulong settled, ulong? timestamp, ReadOnlyMemory<byte> payload, CancellationToken cancellation);

    /// <summary>Follows one or more calls of <see cref="PublishAsync"/>, before the caller waits for anything: their messages go on their
    /// way together.</summary>
    void Send();

    /// <summary>
    /// The committed messages from a number on, in order, without gaps and without doubles, and then each as it is committed. Messages come
    /// in runs, as many as are ready.
    /// </summary>
    /// <param name="group">The group.</param>
    /// <param name="from">The first number wanted; one above the greatest committed waits for it.</param>
    /// <param name="cancellation">Ends the subscription.</param>
    /// <exception cref="FeedTooOldException">The messages from there on are no longer kept.</exception>
    IAsyncEnumerable<ReadOnlyMemory<GroupMessage>> SubscribeAsync(
        GroupName group, SequenceNumber from, CancellationToken cancellation);
}
