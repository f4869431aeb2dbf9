using Carillon.Protocols;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Storage.Groups;

/// <summary>
/// The newest committed messages of a group, in memory: a ring indexed by number, bounded in messages and in bytes. Those that no archive
/// has yet are never dropped; rather no more are taken. Any thread may read while the owner's loop adds.
/// </summary>
public sealed class RecentMessages
{
    // What an entry costs beside its payload: bounds a ring of empty messages in bytes too.
    private const int EntryBytes = 120;
    private const int FirstCapacity = 64;

    private readonly Lock _lock = new();
    private readonly int _maxMessages;
    private readonly long _maxBytes;

    // Grown by doubling up to the bound; number n stands at n modulo its length.
    private CommittedMessage[] _ring = new CommittedMessage[FirstCapacity];
    private ulong _first;
    private ulong _next;
    private long _bytes;

    /// <summary>A ring whose first message will be <paramref name="first"/>.</summary>
    /// <param name="first">The number of the next message.</param>
    /// <param name="maxMessages">Messages at most, 64 or more. Low: subscribers that are close behind read the disk; high: memory.</param>
    /// <param name="maxBytes">Bytes at most, with what each message costs by itself; one longer message is taken alone.</param>
    public RecentMessages(SequenceNumber first, int maxMessages, long maxBytes)
    {
        Invariant.That(maxMessages >= FirstCapacity && maxBytes > 0 && !first.IsNone);
        (_maxMessages, _maxBytes, _first, _next) = (maxMessages, maxBytes, first.Value, first.Value);
    }

    /// <summary>The first number held; if it is behind <see cref="Last"/>, none is.</summary>
    public SequenceNumber First => new(Volatile.Read(ref _first));

    /// <summary>The last number that was added.</summary>
    public SequenceNumber Last => new(Volatile.Read(ref _next) - 1);

    /// <summary>Bytes held.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
            {
                return _bytes;
            }
        }
    }

    /// <summary>
    /// Adds the message with the number after <see cref="Last"/>, and drops the oldest ones that are too many. False: too many would have
    /// to go that are not archived.
    /// </summary>
    /// <param name="message">The message; its payload stays as it is.</param>
    /// <param name="archived">The last number that can be read elsewhere.</param>
    public bool TryAdd(in CommittedMessage message, SequenceNumber archived)
    {
        long size = EntryBytes + message.Payload.Length;
        lock (_lock)
        {
            while (_first < _next && _first <= archived.Value && IsOver(size))
            {
                DropFirst();
            }

            if (_first < _next && IsOver(size))
            {
                return false;
            }

            if (_next - _first == (ulong)_ring.Length)
            {
                Grow();
            }

            _ring[Slot(_next++)] = message;
            _bytes += size;
            return true;
        }
    }

    /// <summary>The message with a number, if it is held.</summary>
    public bool TryGet(SequenceNumber number, out CommittedMessage message)
    {
        lock (_lock)
        {
            bool isHeld = number.Value >= _first && number.Value < _next;
            message = isHeld ? _ring[Slot(number.Value)] : default;
            return isHeld;
        }
    }

    /// <summary>Copies messages from a number on, as many as are held and find room; 0 if that number is not held.</summary>
    public int CopyRange(SequenceNumber from, Span<CommittedMessage> into)
    {
        lock (_lock)
        {
            if (from.Value < _first || from.Value >= _next)
            {
                return 0;
            }

            int count = (int)Math.Min((ulong)into.Length, _next - from.Value);
            int slot = Slot(from.Value);
            int head = Math.Min(count, _ring.Length - slot);
            _ring.AsSpan(slot, head).CopyTo(into);
            _ring.AsSpan(0, count - head).CopyTo(into[head..]);
            return count;
        }
    }

    /// <summary>Drops numbers below <paramref name="first"/>, which is at most one behind <see cref="Last"/>.</summary>
    public void TrimBefore(SequenceNumber first)
    {
        lock (_lock)
        {
            while (_first < _next && _first < first.Value)
            {
                DropFirst();
            }
        }
    }

    /// <summary>Drops all; the next message is <paramref name="first"/>.</summary>
    public void StartAt(SequenceNumber first)
    {
        lock (_lock)
        {
            Array.Clear(_ring);
            (_first, _next, _bytes) = (first.Value, first.Value, 0);
        }
    }

    private bool IsOver(long size) => _next - _first >= (ulong)_maxMessages || _bytes + size > _maxBytes;

    private int Slot(ulong number) => (int)(number % (ulong)_ring.Length);

    private void DropFirst()
    {
        ref CommittedMessage message = ref _ring[Slot(_first++)];
        _bytes -= EntryBytes + message.Payload.Length;
        message = default;
    }

    private void Grow()
    {
        var longer = new CommittedMessage[Math.Min((long)_ring.Length * 2, _maxMessages)];
        for (ulong number = _first; number < _next; number++)
        {
            longer[number % (ulong)longer.Length] = _ring[Slot(number)];
        }

        _ring = longer;
    }
}
