using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;
using Carillon.Storage.Groups;

namespace Carillon.Node.Groups;

/// <summary>The committed messages of one group: in memory, and where the group is durable on the disk too.</summary>
internal abstract class CommittedPart
{
    /// <summary>The greatest number taken.</summary>
    public abstract SequenceNumber Committed { get; }

    /// <summary>Up to here the log is not needed.</summary>
    public abstract SequenceNumber Durable { get; }

    /// <summary>The greatest number that is not kept any more.</summary>
    public abstract SequenceNumber Trimmed { get; }

    /// <summary>Bytes that are kept.</summary>
    public abstract long Bytes { get; }

    /// <summary>Bytes that have found no room yet; while there are any, nothing more is delivered.</summary>
    public abstract long WaitingBytes { get; }

    /// <summary>Numbers up to this are older than messages are kept, or too many bytes.</summary>
    /// <param name="nowMilliseconds">Wall time, in ms since 1970.</param>
    /// <param name="settings">The group's.</param>
    public abstract SequenceNumber Expendable(long nowMilliseconds, GroupSettings settings);

    /// <summary>Takes the next number.</summary>
    public abstract void Add(in CommittedMessage message);

    /// <summary>What stands at a number.</summary>
    public abstract StoreAnswer Find(SequenceNumber number, out CommittedMessage message);

    /// <summary>Puts back what is damaged. False: too much waits to be put back.</summary>
    public virtual bool Mend(SequenceNumber number, in CommittedMessage message) => true;

    /// <summary>Gives up what is up to a number.</summary>
    public abstract void Trim(SequenceNumber upTo);

    /// <summary>Drops all; the next number is the one after this.</summary>
    public abstract void StartAfter(SequenceNumber number);

    /// <summary>A reader for one subscriber, on any thread.</summary>
    public abstract GroupReader NewReader();
}

/// <summary>A memory-only group's: the newest ones, the others are forgotten.</summary>
internal sealed class MemoryPart(int maxMessages, long maxBytes) : CommittedPart
{
    private readonly RecentMessages _recent = new(new SequenceNumber(1), maxMessages, maxBytes);

    // How far it was when it was asked what may go: so their ages are known without one for each message.
    private readonly Queue<(SequenceNumber Number, long At)> _passed = new();
    private SequenceNumber _lastPassed;

    public override SequenceNumber Committed => _recent.Last;

    public override SequenceNumber Durable => _recent.Last;

    public override SequenceNumber Trimmed => new(_recent.First.Value - 1);

    public override long Bytes => _recent.Bytes;

    public override long WaitingBytes => 0;

    public override SequenceNumber Expendable(long nowMilliseconds, GroupSettings settings)
    {
        ulong upTo = Trimmed.Value;
        if (_passed.Count == 0 || _lastPassed < Committed)
        {
            _lastPassed = Committed;
            _passed.Enqueue((Committed, nowMilliseconds));
        }

        while (_passed.TryPeek(out (SequenceNumber Number, long At) passed)
            && (nowMilliseconds - passed.At > settings.RetainTime.TotalMilliseconds || passed.Number.Value <= upTo))
        {
            upTo = Math.Max(upTo, passed.Number.Value);
            _passed.Dequeue();
        }

        return new SequenceNumber(upTo);
    }

    public override void Add(in CommittedMessage message)
    {
        bool isTaken = _recent.TryAdd(message, _recent.Last);
        Invariant.That(isTaken);
    }

    public override StoreAnswer Find(SequenceNumber number, out CommittedMessage message) =>
        _recent.TryGet(number, out message) ? StoreAnswer.Found
        : number < _recent.First ? StoreAnswer.Trimmed
        : StoreAnswer.Absent;

    public override void Trim(SequenceNumber upTo) => _recent.TrimBefore(upTo.Next);

    public override void StartAfter(SequenceNumber number) => _recent.StartAt(number.Next);

    public override GroupReader NewReader() => new MemoryReader(_recent);
}

/// <summary>A durable group's: the newest in memory, all in the archive. What the memory has no room for, because the archive is behind,
/// waits here; so the cores are never told no.</summary>
internal sealed class DiskPart(CommittedMessages committed) : CommittedPart
{
    private readonly Queue<CommittedMessage> _waiting = new();
    private long _waitingBytes;

    public CommittedMessages Messages => committed;

    public override SequenceNumber Committed => new(committed.Committed.Value + (ulong)_waiting.Count);

    public override SequenceNumber Durable => committed.Durable;

    public override SequenceNumber Trimmed => new(committed.First.Value - 1);

    public override long Bytes => committed.Bytes;

    public override long WaitingBytes => _waitingBytes;

    public override SequenceNumber Expendable(long nowMilliseconds, GroupSettings settings) => new(
        committed.Archive.RetentionPoint(nowMilliseconds, settings.RetainTime, settings.RetainBytes).Value - 1);

    public override void Add(in CommittedMessage message)
    {
        if (_waiting.Count > 0 || !committed.TryCommit(message))
        {
            _waiting.Enqueue(message);
            _waitingBytes += message.Payload.Length + 1;
        }
    }

    /// <summary>The archive has taken something: what waits may find room.</summary>
    /// <returns>True if something waited, and nothing does any more.</returns>
    public bool Refill()
    {
        bool waited = _waiting.Count > 0;
        while (_waiting.TryPeek(out CommittedMessage message) && committed.TryCommit(message))
        {
            _waiting.Dequeue();
            _waitingBytes -= message.Payload.Length + 1;
        }

        return waited && _waiting.Count == 0;
    }

    public override StoreAnswer Find(SequenceNumber number, out CommittedMessage message)
    {
        if (number > committed.Committed && number <= Committed)
        {
            message = _waiting.ElementAt((int)(number.Value - committed.Committed.Value - 1));
            return StoreAnswer.Found;
        }

        return committed.Find(number, out message) switch
        {
            CommittedAnswer.Found => StoreAnswer.Found,
            CommittedAnswer.Reading => StoreAnswer.Reading,
            CommittedAnswer.Trimmed => StoreAnswer.Trimmed,
            CommittedAnswer.Damaged => StoreAnswer.Damaged,
            _ => StoreAnswer.Absent,
        };
    }

    public override bool Mend(SequenceNumber number, in CommittedMessage message) => committed.TryMend(number, message);

    public override void Trim(SequenceNumber upTo)
    {
        // What waits is not trimmed before it is in place; the next trim takes it.
        SequenceNumber last = SequenceNumber.Min(upTo, committed.Committed);
        if (last.Next > committed.First)
        {
            committed.Trim(last.Next, default);
        }
    }

    public override void StartAfter(SequenceNumber number)
    {
        _waiting.Clear();
        _waitingBytes = 0;
        committed.StartAt(number.Next, default);
    }

    public override GroupReader NewReader() => new DiskReader(committed.NewReader());
}
