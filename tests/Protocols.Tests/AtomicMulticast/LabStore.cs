using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.Tests.AtomicMulticast;

/// <summary>
/// A store as one on a disk is: uncommitted messages are records of the member's log, committed ones become durable by themselves, a little
/// later; what was not is lost by a crash.
/// </summary>
internal sealed class LabStore : IMessageStore
{
    private readonly LabMember _member;
    private readonly MemoryMessageStore _inner;

    public LabStore(LabMember member, IEnumerable<byte[]> log, LabSegments segments, long retainBytes)
    {
        _member = member;
        _inner = new MemoryMessageStore(long.MaxValue) { RetainBytes = retainBytes };
        Segments = segments;
        foreach (byte[] record in log.Where(r => r[0] == (byte)GroupRecordType.FirstOfStores))
        {
            var reader = new WireReader(record.AsSpan(1));
            Assert(DataMessage.TryRead(ref reader, record.AsMemory(1), out DataMessage data));
            _inner.Put(data.Run.Span);
        }

        if (segments.StartedAfter > 0)
        {
            _inner.StartAfter(new SequenceNumber(segments.StartedAfter));
        }

        foreach ((Assignment value, ReadOnlyMemory<byte> payload) in segments.Values)
        {
            if (!value.IsNoOp && !_inner.Holds(value.Id, out _))
            {
                _inner.Put([new GroupData(value.Id, value.Hash, value.Settled, 0, payload)]);
            }

            _inner.Commit(_inner.Committed.Next, [value]);
        }

        _inner.Trim(new SequenceNumber(segments.Trimmed));
    }

    public LabSegments Segments { get; private set; }

    public SequenceNumber Committed => _inner.Committed;

    public SequenceNumber CommittedDurable => new(Segments.Last);

    public SequenceNumber Trimmed => _inner.Trimmed;

    public long CommittedBytes => _inner.CommittedBytes;

    public SequenceNumber Expendable => _inner.Expendable;

    public bool Holds(MessageId id, out Digest hash) => _inner.Holds(id, out hash);

    public StoreAnswer Find(MessageId id, out GroupData message) => _inner.Find(id, out message);

    public StoreAnswer Find(SequenceNumber number, out Assignment assignment, out ReadOnlyMemory<byte> payload) =>
        _member.Damaged.Contains(number.Value) && number <= Committed
            ? Unread(out assignment, out payload)
            : _inner.Find(number, out assignment, out payload);

    public bool CanPut(int bytes) => !_member.IsFull;

    public bool Mend(SequenceNumber number, in Assignment assignment, ReadOnlyMemory<byte> payload, bool isFirst)
    {
        // What is put back is what was there.
        Assert(_inner.Find(number, out Assignment there, out ReadOnlyMemory<byte> bytes) == StoreAnswer.Found);
        Assert(there == assignment && (!isFirst || bytes.Span.SequenceEqual(payload.Span)));
        return _member.Damaged.Remove(number.Value);
    }

    public ulong Put(ReadOnlySpan<GroupData> messages)
    {
        _inner.Put(messages);
        var data = new DataMessage(messages.ToArray());
        byte[] record = new byte[1 + data.Size];
        record[0] = (byte)GroupRecordType.FirstOfStores;
        var writer = new WireWriter(record.AsSpan(1));
        data.Write(ref writer);
        return _member.Append(record);
    }

    public void Commit(SequenceNumber first, ReadOnlySpan<Assignment> run)
    {
        _inner.Commit(first, run);
        _member.FlushSegmentsLater();
    }

    public void Forget(MessageId id) => _inner.Forget(id);

    public void Trim(SequenceNumber upTo)
    {
        FlushSegments();
        _inner.Trim(upTo);
        Segments = Segments with { Trimmed = _inner.Trimmed.Value };
    }

    public void StartAfter(SequenceNumber checkpoint)
    {
        _inner.StartAfter(checkpoint);
        Segments = new LabSegments(checkpoint.Value, [], checkpoint.Value);
    }

    public bool Want(MessageId id) => false;

    public IReadOnlyList<GroupData> Uncommitted() => _inner.Uncommitted();

    /// <summary>What is committed is durable by itself from now on.</summary>
    public void FlushSegments()
    {
        List<(Assignment, ReadOnlyMemory<byte>)> values = [.. Segments.Values];
        for (ulong number = Segments.Last + 1; number <= _inner.Committed.Value; number++)
        {
            Assert(_inner.Find(new SequenceNumber(number), out Assignment value, out ReadOnlyMemory<byte> payload) == StoreAnswer.Found);
            values.Add((value, payload));
        }

        Segments = Segments with { Values = values };
    }

    private static StoreAnswer Unread(out Assignment assignment, out ReadOnlyMemory<byte> payload)
    {
        (assignment, payload) = (default, default);
        return StoreAnswer.Damaged;
    }

    private static void Assert(bool condition) => Xunit.Assert.True(condition);
}

/// <summary>What a crash leaves of the committed messages.</summary>
internal sealed record LabSegments(ulong StartedAfter, List<(Assignment Value, ReadOnlyMemory<byte> Payload)> Values, ulong Trimmed)
{
    public ulong Last => StartedAfter + (ulong)Values.Count;
}
