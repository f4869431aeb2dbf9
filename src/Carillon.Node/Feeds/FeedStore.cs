using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Protocols.Submissions;
using Carillon.Storage.Catalogs;

namespace Carillon.Node.Feeds;

/// <summary>
/// The messages of the catalog's group: each is a submission, which vector exchange has made durable and agreed before it is held here ◆.
/// Committed ones wait until the catalog has applied them, and are read from there afterwards.
/// </summary>
/// <remarks>
/// An assignment is appended to the same log as the submission's record and the mark that it is agreed, and behind them: so a server's one
/// acknowledgement says that all of it is durable.
/// </remarks>
internal sealed class FeedStore(CatalogReader reader, Func<int, bool> hasRoom, Action<Submission> learn) : IMessageStore
{
    /// <summary>Bytes of committed submissions that wait for the catalog; nothing more is delivered beyond.</summary>
    private const long MostWaitingBytes = 64L << 20;
    private const int MostWaiting = 50_000;

    private readonly Dictionary<MessageId, Submission> _open = [];
    private readonly Queue<MessageId> _arrived = new();
    private readonly List<Assignment> _staged = [];
    private readonly Queue<SequencedEntry> _waiting = new();
    private readonly Queue<Submission> _forgotten = new();
    private ulong _applied = reader.AppliedNumber.Value;
    private ulong _durable;
    private ulong _committed = reader.AppliedNumber.Value;
    private ulong _trimmed = reader.Collected.Value;
    private long _waitingBytes;

    public SequenceNumber Committed => new(_committed + (ulong)_staged.Count);

    public SequenceNumber CommittedDurable => new(_durable);

    public SequenceNumber Trimmed => new(_trimmed);

    public long CommittedBytes => 0;

    public bool CanCommit => _waitingBytes < MostWaitingBytes && _waiting.Count < MostWaiting;

    /// <summary>Agreed submissions without a number.</summary>
    public int OpenCount => _open.Count;

    /// <summary>Committed numbers that the catalog has not applied.</summary>
    public int WaitingCount => _waiting.Count;

    /// <summary>Which message a submission is: its accepting server's disk is the session, its stamp the counter.</summary>
    public static MessageId IdOf(Submission submission) => IdOf(submission.AcceptingDisk, submission.Tag);

    /// <summary>Which message a tag is that a disk gave.</summary>
    public static MessageId IdOf(DiskId disk, Tag tag) =>
        new(new SessionId((ulong)(disk.Value >> 64), (ulong)disk.Value), tag.Uid.Stamp.Value);

    /// <summary>As the group's cores name a submission.</summary>
    public static GroupData DataOf(Submission submission) =>
        new(IdOf(submission), submission.Hash, submission.Settled, 0, submission.Encoded);

    /// <summary>A submission is agreed here. False if it was held already.</summary>
    public bool Hold(Submission submission)
    {
        MessageId id = IdOf(submission);
        if (!_open.TryAdd(id, submission))
        {
            return false;
        }

        _arrived.Enqueue(id);
        return true;
    }

    /// <summary>True for a version of the configuration.</summary>
    public bool IsChange(MessageId id) =>
        _open.TryGetValue(id, out Submission? submission) && Protocols.Cluster.ConfigurationEntry.IsOne(submission);

    public bool Holds(MessageId id, out Digest hash)
    {
        bool isHere = _open.TryGetValue(id, out Submission? submission);
        hash = isHere ? submission!.Hash : default;
        return isHere;
    }

    public StoreAnswer Find(MessageId id, out GroupData message)
    {
        bool isHere = _open.TryGetValue(id, out Submission? submission);
        message = isHere ? DataOf(submission!) : default;
        return isHere ? StoreAnswer.Found : StoreAnswer.Absent;
    }

    public StoreAnswer Find(SequenceNumber number, out Assignment assignment, out ReadOnlyMemory<byte> payload)
    {
        (assignment, payload) = (default, default);
        if (number.Value <= _trimmed)
        {
            return StoreAnswer.Trimmed;
        }

        if (number.Value > _applied)
        {
            // Few and soon over; only who lags behind this server by that little asks.
            foreach (SequencedEntry entry in _waiting)
            {
                if (entry.Number == number)
                {
                    (assignment, payload) = (entry.Value, entry.Submission?.Encoded ?? default);
                    return StoreAnswer.Found;
                }
            }

            return StoreAnswer.Absent;
        }

        bool isKept = reader.TryFindNumber(number, out assignment, out byte[]? record);
        payload = record;
        return isKept ? StoreAnswer.Found : StoreAnswer.Absent;
    }

    public bool CanPut(int bytes) => hasRoom(bytes);

    /// <summary>Another server's word that these are agreed: it holds a message only then.</summary>
    public ulong Put(ReadOnlySpan<GroupData> messages)
    {
        foreach (ref readonly GroupData data in messages)
        {
            if (Submission.TryRead(data.Payload.Span, out Submission submission) && submission.Hash == data.Hash
                && IdOf(submission) == data.Id)
            {
                Sometimes.Reached("feed-fetches-a-submission");
                learn(submission);
            }
        }

        return 0;
    }

    public void Commit(SequenceNumber first, ReadOnlySpan<Assignment> run)
    {
        Invariant.That(first == Committed.Next);
        _staged.AddRange(run);
    }

    /// <summary>What the cores have delivered, and so judged: each entry goes to the catalog.</summary>
    public void Delivered(ReadOnlySpan<DeliveredMessage> run, List<SequencedEntry> into)
    {
        int skipped = run.Length - _staged.Count;
        Invariant.That(skipped >= 0);
        for (int i = 0; i < _staged.Count; i++)
        {
            DeliveredMessage message = run[skipped + i];
            Submission? submission = null;
            if (!message.IsNoOp)
            {
                Invariant.That(_open.Remove(message.Id, out submission), "a committed submission is held here");
            }

            var entry = new SequencedEntry(message.Number, submission, _staged[i]);
            into.Add(entry);
            _waiting.Enqueue(entry);
            _waitingBytes += submission?.Encoded.Length ?? 0;
        }

        _committed += (ulong)_staged.Count;
        _staged.Clear();
        while (_arrived.TryPeek(out MessageId id) && !_open.ContainsKey(id))
        {
            _arrived.Dequeue();
        }
    }

    /// <summary>Everything up to a number is in the catalog.</summary>
    public SequenceNumber AppliedNumber => new(_applied);

    /// <summary>The catalog has everything up to a number durably.</summary>
    public void MadeDurable(SequenceNumber number) => _durable = Math.Max(_durable, number.Value);

    /// <summary>Everything up to a number is in the catalog.</summary>
    public void Applied(SequenceNumber number)
    {
        _applied = Math.Max(_applied, number.Value);
        while (_waiting.TryPeek(out SequencedEntry entry) && entry.Number <= number)
        {
            _waiting.Dequeue();
            _waitingBytes -= entry.Submission?.Encoded.Length ?? 0;
        }
    }

    public void Forget(MessageId id)
    {
        if (_open.Remove(id, out Submission? submission))
        {
            Sometimes.Reached("feed-forgets-a-submission");
            _forgotten.Enqueue(submission);
        }
    }

    /// <summary>The next submission that was held and will get no number any more: it has one, perhaps forgotten.</summary>
    public bool TryTakeForgotten(out Submission submission)
    {
        bool any = _forgotten.TryDequeue(out Submission? next);
        submission = next!;
        return any;
    }

    /// <summary>A checkpoint has brought what is held: it needs no number any more.</summary>
    public void DropApplied(Func<Tag, bool> isApplied)
    {
        foreach (Submission submission in _open.Values.Where(s => isApplied(s.Tag)).OrderBy(s => s.Tag).ToArray())
        {
            _open.Remove(IdOf(submission));
        }
    }

    public void Trim(SequenceNumber upTo) => _trimmed = Math.Max(_trimmed, upTo.Value);

    public void StartAfter(SequenceNumber checkpoint)
    {
        _committed = Math.Max(_committed, checkpoint.Value);
        _trimmed = Math.Max(_trimmed, checkpoint.Value);
        Applied(checkpoint);
    }

    public bool Want(MessageId id) => false;

    public IReadOnlyList<GroupData> Uncommitted()
    {
        var open = new List<GroupData>(_open.Count);
        foreach (MessageId id in _arrived)
        {
            if (_open.TryGetValue(id, out Submission? submission))
            {
                open.Add(DataOf(submission));
            }
        }

        return open;
    }
}
