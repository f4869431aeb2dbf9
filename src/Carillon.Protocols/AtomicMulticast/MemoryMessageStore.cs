namespace Carillon.Protocols.AtomicMulticast;

/// <summary>Messages in memory: for memory-only groups, for members that only receive, and for tests.</summary>
public sealed class MemoryMessageStore : IMessageStore
{
    private readonly long _mostBytes;
    private readonly Dictionary<MessageId, GroupData> _open = [];
    private readonly Queue<MessageId> _arrived = new();
    private (Assignment Assignment, ReadOnlyMemory<byte> Payload)[] _committed = new (Assignment, ReadOnlyMemory<byte>)[1024];
    private ulong _last;
    private ulong _trimmed;

    /// <summary>An empty store.</summary>
    /// <param name="mostBytes">Bytes of payloads that it takes at most, committed ones included.</param>
    public MemoryMessageStore(long mostBytes) => _mostBytes = mostBytes;

    public SequenceNumber Committed => new(_last);

    public SequenceNumber CommittedDurable => new(_last);

    public SequenceNumber Trimmed => new(_trimmed);

    public long CommittedBytes { get; private set; }

    /// <summary>Bytes of payloads of committed messages that are kept at most.</summary>
    public long RetainBytes { get; init; } = long.MaxValue;

    public SequenceNumber Expendable
    {
        get
        {
            ulong upTo = _trimmed;
            for (long bytes = CommittedBytes; bytes > RetainBytes && upTo < _last; upTo++)
            {
                bytes -= _committed[(upTo + 1) & (ulong)(_committed.Length - 1)].Payload.Length;
            }

            return new SequenceNumber(upTo);
        }
    }

    /// <summary>Bytes of payloads without a number.</summary>
    public long OpenBytes { get; private set; }

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
        assignment = default;
        payload = default;
        if (number.Value <= _trimmed)
        {
            return StoreAnswer.Trimmed;
        }

        if (number.Value > _last)
        {
            return StoreAnswer.Absent;
        }

        (assignment, payload) = _committed[number.Value & (ulong)(_committed.Length - 1)];
        return StoreAnswer.Found;
    }

    public bool CanPut(int bytes) => OpenBytes + CommittedBytes + bytes <= _mostBytes;

    public ulong Put(ReadOnlySpan<GroupData> messages)
    {
        foreach (ref readonly GroupData data in messages)
        {
            if (_open.TryAdd(data.Id, data))
            {
                OpenBytes += data.Payload.Length;
                _arrived.Enqueue(data.Id);
            }
        }

        return 0;
    }

    public void Commit(SequenceNumber first, ReadOnlySpan<Assignment> run)
    {
        Invariant.That(first.Value == _last + 1);
        foreach (ref readonly Assignment assignment in run)
        {
            ReadOnlyMemory<byte> payload = default;
            if (_open.Remove(assignment.Id, out GroupData data))
            {
                payload = data.Payload;
                OpenBytes -= payload.Length;
                CommittedBytes += payload.Length;
            }

            if (_last + 1 - _trimmed > (ulong)_committed.Length)
            {
                Grow();
            }

            _committed[++_last & (ulong)(_committed.Length - 1)] = (assignment, payload);
        }

        while (_arrived.TryPeek(out MessageId id) && !_open.ContainsKey(id))
        {
            _arrived.Dequeue();
        }
    }

    public void Forget(MessageId id)
    {
        if (_open.Remove(id, out GroupData data))
        {
            OpenBytes -= data.Payload.Length;
        }
    }

    public void Trim(SequenceNumber upTo)
    {
        ulong last = Math.Min(upTo.Value, _last);
        while (_trimmed < last)
        {
            ref (Assignment Assignment, ReadOnlyMemory<byte> Payload) entry = ref _committed[++_trimmed & (ulong)(_committed.Length - 1)];
            CommittedBytes -= entry.Payload.Length;
            entry = default;
        }
    }

    public void StartAfter(SequenceNumber checkpoint)
    {
        Trim(new SequenceNumber(_last));
        _last = checkpoint.Value;
        _trimmed = checkpoint.Value;
    }

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

    private void Grow()
    {
        var larger = new (Assignment, ReadOnlyMemory<byte>)[_committed.Length * 2];
        for (ulong number = _trimmed + 1; number <= _last; number++)
        {
            larger[number & (ulong)(larger.Length - 1)] = _committed[number & (ulong)(_committed.Length - 1)];
        }

        _committed = larger;
    }
}
