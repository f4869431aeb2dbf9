using System.Security.Cryptography;
using Carillon.Protocols.AtomicMulticast;

namespace Carillon.Client.Groups;

/// <summary>A message that is on its way.</summary>
internal sealed class Pending(SenderSession session, ulong counter, ReadOnlyMemory<byte> payload, long deadline)
    : TaskCompletionSource<SentMessage>(TaskCreationOptions.RunContinuationsAsynchronously)
{
    public SenderSession Session { get; } = session;

    public MessageId Id { get; } = new(session.Id, counter);

    public ReadOnlyMemory<byte> Payload { get; } = payload;

    /// <summary>When its outcome is given up, as <see cref="Environment.TickCount64"/>.</summary>
    public long Deadline { get; } = deadline;

    /// <summary>The greatest number of the group that was known when it was sent first; null before.</summary>
    public ulong? Timestamp { get; set; }

    /// <summary>Not to be sent before, after a refusal.</summary>
    public long NotBefore { get; set; }

    /// <summary>Times that it was handed to a server that has not said that it did not take it.</summary>
    public int OpenAttempts { get; set; }

    /// <summary>Why it was not committed the last time.</summary>
    public Problem? Problem { get; set; }

    /// <summary>True once its outcome is known or given up.</summary>
    public bool Done { get; set; }
}

/// <summary>One life of a sender: counts its messages, and knows up to where all are known or given up.</summary>
internal sealed class SenderSession(SessionId id, ulong first)
{
    // In order of their counters. Those that are done leave from the front, so the front's counter is one above what is settled.
    private readonly Queue<Pending> _open = new();
    private ulong _last = first - 1;

    public SessionId Id { get; } = id;

    /// <summary>All counters up to this are known or given up; never a message's own while it is on its way.</summary>
    public ulong Settled { get; private set; } = first - 1;

    /// <summary>A session of 16 random bytes.</summary>
    public static SenderSession Draw()
    {
        Span<byte> bytes = stackalloc byte[SessionId.Size];
        RandomNumberGenerator.Fill(bytes);
        return new SenderSession(SessionId.From(bytes), 1);
    }

    /// <summary>The next message.</summary>
    public Pending Add(ReadOnlyMemory<byte> payload, long deadline)
    {
        var pending = new Pending(this, ++_last, payload, deadline);
        _open.Enqueue(pending);
        return pending;
    }

    /// <summary>A message is done.</summary>
    public void End(Pending pending)
    {
        pending.Done = true;
        while (_open.TryPeek(out Pending? front) && front.Done)
        {
            Settled = _open.Dequeue().Id.Counter;
        }
    }
}
