namespace Carillon.Protocols.AtomicMulticast;

/// <summary>
/// What stands at a number: which message, with which content, and what its sender had settled. The judgement of duplicates rests on
/// these three alone, so that it can be made, alike everywhere, without the payload. <c>default</c> is a no-op: a number that was filled.
/// </summary>
/// <param name="Id">Which message; none for a no-op.</param>
/// <param name="Hash">SHA-256 of its payload (for the catalog: the submission's digest).</param>
/// <param name="Settled">All counters of its session up to this are sequenced or given up.</param>
public readonly record struct Assignment(MessageId Id, Digest Hash, ulong Settled)
{
    /// <summary>Bytes on the wire and on disk.</summary>
    public const int Size = MessageId.Size + Digest.Size + 8;

    /// <summary>True for a number without a message.</summary>
    public bool IsNoOp => Id.IsNone;
}

/// <summary>A message as its sender sent it first.</summary>
/// <param name="Id">Its identity, the same through all retransmissions.</param>
/// <param name="Hash">SHA-256 of the payload.</param>
/// <param name="Settled">See <see cref="Assignment.Settled"/>.</param>
/// <param name="Timestamp">Logical timestamp: the greatest number that the sender knew when it first sent it.</param>
/// <param name="Payload">Its bytes. Empty where a store keeps no payloads of its own (the catalog's).</param>
public readonly record struct GroupData(MessageId Id, Digest Hash, ulong Settled, ulong Timestamp, ReadOnlyMemory<byte> Payload)
{
    /// <summary>What a sequencer writes at the number that it gives to this message.</summary>
    public Assignment ToAssignment() => new(Id, Hash, Settled);
}
