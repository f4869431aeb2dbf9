using System.Collections.Immutable;

namespace Carillon.Protocols.Membership;

/// <summary>Collects what <see cref="MembershipMonitor"/> wants done until its driver drains it.</summary>
internal sealed class Outbox
{
    private readonly ImmutableArray<IncarnationRecord>.Builder _records = ImmutableArray.CreateBuilder<IncarnationRecord>();
    private readonly ImmutableArray<MembershipSend>.Builder _sends = ImmutableArray.CreateBuilder<MembershipSend>();
    private readonly ImmutableArray<MembershipEvent>.Builder _events = ImmutableArray.CreateBuilder<MembershipEvent>();

    public void Record(IncarnationRecord record) => _records.Add(record);

    public void Send(MessagePath path, NodeId to, ReadOnlyMemory<byte> message) => _sends.Add(new MembershipSend(path, to, message));

    public void Tell(MembershipEventKind kind, NodeId server, Incarnation incarnation, ulong view) =>
        _events.Add(new MembershipEvent(kind, server, incarnation, view));

    public MembershipBatch Drain(Instant deadline)
    {
        var batch = new MembershipBatch(_records.ToImmutable(), _sends.ToImmutable(), _events.ToImmutable(), deadline);
        _records.Clear();
        _sends.Clear();
        _events.Clear();
        return batch;
    }
}
