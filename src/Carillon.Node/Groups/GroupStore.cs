using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Wire;
using Carillon.Storage.Groups;

namespace Carillon.Node.Groups;

/// <summary>
/// The messages of one group as its cores see them: those without a number are in memory and, where the group is durable, records of the
/// groups' log; the committed ones are a <see cref="CommittedPart"/>.
/// </summary>
/// <remarks>
/// The cores commit assignments, and tell right behind which of them are the first of their message: only then
/// (<see cref="Delivered"/>) it is known what every server alike keeps at a number.
/// </remarks>
internal sealed class GroupStore(
    CommittedPart committed, long mostBytes, Func<int, bool> hasRoom, Func<GroupData[], ulong>? append, Func<SequenceNumber> expendable)
    : IMessageStore
{
    // Messages of one record.
    private const int MostInRecord = 512;
    private const int MostRecordBytes = 256 << 10;
    private const int ItemBytes = 44;

    private readonly Dictionary<MessageId, GroupData> _open = [];
    private readonly Queue<MessageId> _arrived = new();
    private readonly List<Assignment> _staged = [];
    private long _openBytes;

    public SequenceNumber Committed => new(committed.Committed.Value + (ulong)_staged.Count);

    public SequenceNumber CommittedDurable => committed.Durable;

    public SequenceNumber Trimmed => committed.Trimmed;

    public long CommittedBytes => committed.Bytes;

    public SequenceNumber Expendable => expendable();

    public bool CanCommit => committed.WaitingBytes == 0;

    /// <summary>Messages without a number.</summary>
    public int OpenCount => _open.Count;

    public CommittedPart Part => committed;

    public bool Holds(MessageId id, out Digest hash)
    {
        bool isHere = _open.TryGetValue(id, out GroupData data);
        hash = data.Hash;
        return isHere;
    }

    public StoreAnswer Find(MessageId id, out GroupData message) =>
        _open.TryGetValue(id, out message) ? StoreAnswer.Found : StoreAnswer.Absent;

    public StoreAnswer Find(SequenceNumber number, out Assignment assignment, out ReadOnlyMemory<byte> payload)
    {
        StoreAnswer answer = committed.Find(number, out CommittedMessage message);
        assignment = new Assignment(message.Id, message.Hash, message.Settled);
        payload = message.Payload;
        return answer;
    }

    public bool CanPut(int bytes) => _openBytes + committed.WaitingBytes + bytes <= mostBytes && hasRoom(bytes);

    public ulong Put(ReadOnlySpan<GroupData> messages)
    {
        int first = 0;
        int bytes = 0;
        ulong position = 0;
        for (int i = 0; i < messages.Length; i++)
        {
            if (i > first && (i - first >= MostInRecord || bytes + messages[i].Payload.Length + ItemBytes > MostRecordBytes))
            {
                position = Append(messages[first..i]);
                (first, bytes) = (i, 0);
            }

            bytes += messages[i].Payload.Length + ItemBytes;
            Keep(messages[i]);
        }

        return Append(messages[first..]) is var last && last != 0 ? last : position;
    }

    public void Commit(SequenceNumber first, ReadOnlySpan<Assignment> run)
    {
        Invariant.That(first == Committed.Next);
        _staged.AddRange(run);
    }

    /// <summary>What the cores have delivered, and so judged: what was committed just before is kept from now on.</summary>
    public void Delivered(ReadOnlySpan<DeliveredMessage> run)
    {
        if (_staged.Count == 0)
        {
            return;
        }

        int skipped = run.Length - _staged.Count;
        Invariant.That(skipped >= 0 && run[skipped].Number == committed.Committed.Next);
        for (int i = 0; i < _staged.Count; i++)
        {
            Assignment value = _staged[i];
            CommittedKind kind = value.IsNoOp ? CommittedKind.NoOp
                : run[skipped + i].IsNoOp ? CommittedKind.Duplicate
                : CommittedKind.Message;
            ulong timestamp = Take(value.Id, out GroupData data) && kind == CommittedKind.Message ? data.Timestamp : 0;
            committed.Add(new CommittedMessage(kind, value.Id, value.Hash, value.Settled, timestamp, run[skipped + i].Payload));
        }

        _staged.Clear();
        while (_arrived.TryPeek(out MessageId id) && !_open.ContainsKey(id))
        {
            _arrived.Dequeue();
        }
    }

    public bool Mend(SequenceNumber number, in Assignment assignment, ReadOnlyMemory<byte> payload, bool isFirst)
    {
        CommittedKind kind = assignment.IsNoOp ? CommittedKind.NoOp : isFirst ? CommittedKind.Message : CommittedKind.Duplicate;
        return committed.Mend(number, new CommittedMessage(kind, assignment.Id, assignment.Hash, assignment.Settled, 0, payload));
    }

    public void Forget(MessageId id) => Take(id, out _);

    public void Trim(SequenceNumber upTo) => committed.Trim(upTo);

    public void StartAfter(SequenceNumber checkpoint) => committed.StartAfter(checkpoint);

    public bool Want(MessageId id) => false;

    public IReadOnlyList<GroupData> Uncommitted()
    {
        var open = new List<GroupData>(_open.Count);
        foreach (MessageId id in _arrived)
        {
            if (_open.TryGetValue(id, out GroupData data))
            {
                open.Add(data);
            }
        }

        return open;
    }

    /// <summary>Takes a record of the log back; <paramref name="frame"/> is the store's own from then on.</summary>
    public bool Restore(ReadOnlyMemory<byte> frame)
    {
        var reader = new WireReader(frame.Span);
        if (!DataMessage.TryRead(ref reader, frame, out DataMessage data))
        {
            return false;
        }

        foreach (ref readonly GroupData message in data.Run.Span)
        {
            Keep(message);
        }

        return true;
    }

    /// <summary>Copies forward what only the log has: messages without a number, and committed ones that are not durable in the
    /// archive.</summary>
    public void WriteSnapshot(Action<GroupData[]> write)
    {
        var run = new List<GroupData>();
        int bytes = 0;
        foreach (GroupData data in Uncommitted())
        {
            Add(data);
        }

        for (ulong number = committed.Durable.Value + 1; number <= committed.Committed.Value; number++)
        {
            if (committed.Find(new SequenceNumber(number), out CommittedMessage message) == StoreAnswer.Found
                && message.Kind == CommittedKind.Message)
            {
                Add(new GroupData(message.Id, message.Hash, message.Settled, message.Timestamp, message.Payload));
            }
        }

        WriteRun();

        void Add(in GroupData data)
        {
            int size = data.Payload.Length + ItemBytes;
            if (run.Count >= MostInRecord || (run.Count > 0 && bytes + size > MostRecordBytes))
            {
                WriteRun();
            }

            run.Add(data);
            bytes += size;
        }

        void WriteRun()
        {
            if (run.Count > 0)
            {
                write([.. run]);
                run.Clear();
                bytes = 0;
            }
        }
    }

    private ulong Append(ReadOnlySpan<GroupData> run) => append is null || run.IsEmpty ? 0 : append(run.ToArray());

    private void Keep(in GroupData data)
    {
        if (_open.TryAdd(data.Id, data))
        {
            _openBytes += data.Payload.Length;
            _arrived.Enqueue(data.Id);
        }
    }

    private bool Take(MessageId id, out GroupData data)
    {
        bool isHere = _open.Remove(id, out data);
        _openBytes -= isHere ? data.Payload.Length : 0;
        return isHere;
    }
}
