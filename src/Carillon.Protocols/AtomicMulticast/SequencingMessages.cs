using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary><c>u64 configuration │ u32 count │ (id │ digest hash │ u64 settled │ u64 timestamp)…</c></summary>
public readonly record struct NumberRequestMessage(ulong Configuration, ReadOnlyMemory<GroupData> Run) : IGroupMessage
{
    private const int ItemSize = MessageId.Size + Digest.Size + 8 + 8;

    public GroupMessageType Type => GroupMessageType.Request;

    public int Size => 8 + 4 + (Run.Length * ItemSize);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.U32((uint)Run.Length);
        foreach (ref readonly GroupData data in Run.Span)
        {
            writer.Message(data.Id);
            writer.Digest(data.Hash);
            writer.U64(data.Settled);
            writer.U64(data.Timestamp);
        }
    }

    public static bool TryRead(ref WireReader reader, out NumberRequestMessage message)
    {
        ulong configuration = reader.U64();
        var run = new GroupData[reader.Count(GroupCodec.MaxItems, ItemSize)];
        for (int i = 0; i < run.Length && !reader.Failed; i++)
        {
            run[i] = new GroupData(reader.Message(), reader.Digest(), reader.U64(), reader.U64(), default);
        }

        message = new NumberRequestMessage(configuration, run);
        return !reader.Failed;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 base │ u64 committed │ u64 first │ u32 count │ assignments</c></summary>
/// <param name="Configuration">The version of the configuration.</param>
/// <param name="Epoch">The sequencer's.</param>
/// <param name="Base">Up to here everything was committed when this epoch began: it assigns only above.</param>
/// <param name="Committed">The greatest number that is committed now.</param>
/// <param name="First">The first number of the run.</param>
/// <param name="Run">What stands at it and at those after it.</param>
public readonly record struct AssignMessage(
    ulong Configuration, Epoch Epoch, ulong Base, ulong Committed, ulong First, ReadOnlyMemory<Assignment> Run) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Assign;

    public int Size => 40 + GroupCodec.SizeOf(Run);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(Base);
        writer.U64(Committed);
        writer.U64(First);
        writer.Assignments(Run.Span);
    }

    public static bool TryRead(ref WireReader reader, out AssignMessage message)
    {
        message = new AssignMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.U64(), reader.U64(), reader.Assignments());
        return !reader.Failed && message.First > message.Base && message.First <= ulong.MaxValue - GroupCodec.MaxItems;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 upTo │ u64 committed │ ranges beyond</c>, ranges <c>u32 count │ (u64 first │ u32
/// count)…</c>. An epoch above the sequencer's own says that another was promised.</summary>
/// <param name="Configuration">The version of the configuration.</param>
/// <param name="Epoch">The assignments' epoch; or the greater one that is promised.</param>
/// <param name="UpTo">All above the epoch's base up to this are durable here, or known to be committed.</param>
/// <param name="Committed">What this server knows to be committed.</param>
/// <param name="Beyond">What is durable beyond gaps.</param>
public readonly record struct AckMessage(
    ulong Configuration, Epoch Epoch, ulong UpTo, ulong Committed, ReadOnlyMemory<NumberRange> Beyond) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Ack;

    public int Size => 32 + 4 + (Beyond.Length * 12);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(UpTo);
        writer.U64(Committed);
        writer.Ranges(Beyond.Span);
    }

    public static bool TryRead(ref WireReader reader, out AckMessage message)
    {
        message = new AckMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.U64(), reader.Ranges());
        return !reader.Failed;
    }
}

/// <summary><c>u64 epoch │ u64 first │ u32 count │ assignments</c>: all numbers up to the run's last are committed.</summary>
public readonly record struct CommitMessage(Epoch Epoch, ulong First, ReadOnlyMemory<Assignment> Run) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Commit;

    public int Size => 16 + GroupCodec.SizeOf(Run);

    public void Write(ref WireWriter writer)
    {
        writer.Epoch(Epoch);
        writer.U64(First);
        writer.Assignments(Run.Span);
    }

    public static bool TryRead(ref WireReader reader, out CommitMessage message)
    {
        message = new CommitMessage(reader.Epoch(), reader.U64(), reader.Assignments());
        return !reader.Failed && message.First is > 0 and <= ulong.MaxValue - GroupCodec.MaxItems && message.Run.Length > 0;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 committed │ mark │ u64 due</c>: to commit servers, which have the assignments, it is a
/// short Commit. It leaves only once all that its sequencer recovered, under that version, is committed ◆. The last says at which number a
/// checkpoint is wanted beside the usual ones (0: none).</summary>
public readonly record struct GossipMessage(ulong Configuration, Epoch Epoch, ulong Committed, CheckpointMark Checkpoint, ulong Due)
    : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Gossip;

    public int Size => 32 + CheckpointMark.EncodedSize;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(Committed);
        writer.Mark(Checkpoint);
        writer.U64(Due);
    }

    public static bool TryRead(ref WireReader reader, out GossipMessage message)
    {
        message = new GossipMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.Mark(), reader.U64());
        return !reader.Failed;
    }
}
