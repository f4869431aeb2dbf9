using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>What stands at a number of a group's order.</summary>
public enum CommittedKind : byte
{
    /// <summary>A message.</summary>
    Message = 1,

    /// <summary>Nothing: the number was filled, since its message was lost or stands at another number.</summary>
    NoOp = 2,

    /// <summary>A message that stands at an earlier number too; it is not delivered again.</summary>
    Duplicate = 3,
}

/// <summary>One committed number's content; the number itself is its place in the run that it comes in.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Id">Which message; none for a no-op.</param>
/// <param name="Hash">SHA-256 of its payload.</param>
/// <param name="Settled">All counters of its session up to this are sequenced or given up.</param>
/// <param name="Timestamp">Logical timestamp: the greatest number that its sender knew when it first sent it.</param>
/// <param name="Payload">Its bytes. Who hands them in leaves them as they are.</param>
public readonly record struct CommittedMessage(
    CommittedKind Kind, MessageId Id, Digest Hash, ulong Settled, ulong Timestamp, ReadOnlyMemory<byte> Payload)
{
    /// <summary>A number that was filled.</summary>
    public static readonly CommittedMessage NoOp = new(CommittedKind.NoOp, default, default, 0, 0, default);
}

/// <summary>
/// Consecutive committed messages, as slices of the buffer that they were read into. What is read from an archive is good until the next
/// read by the same reader, unless that was told to leave its buffer (<see cref="MessageArchiveReader.LeaveBuffer"/>).
/// </summary>
public readonly struct CommittedRun
{
    private readonly ReadOnlyMemory<byte> _body;
    private readonly int _all;
    private readonly int _skipped;

    internal CommittedRun(ReadOnlyMemory<byte> body, int all, int skipped, ulong first)
    {
        (_body, _all, _skipped) = (body, all, skipped);
        First = new SequenceNumber(first);
    }

    /// <summary>The first one's number.</summary>
    public SequenceNumber First { get; }

    /// <summary>How many there are.</summary>
    public int Count => _all - _skipped;

    /// <summary>The last one's number.</summary>
    public SequenceNumber Last => new(First.Value + (ulong)Count - 1);

    /// <summary>The message with number <see cref="First"/> + <paramref name="index"/>.</summary>
    public CommittedMessage this[int index]
    {
        get
        {
            Invariant.That((uint)index < (uint)Count);
            return BatchBody.Read(_body, _all, _skipped + index);
        }
    }
}
