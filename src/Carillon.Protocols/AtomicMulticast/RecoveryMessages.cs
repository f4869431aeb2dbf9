using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary><c>u64 configuration │ u64 epoch │ u64 after │ u64 counter</c></summary>
/// <param name="Configuration">The version of the configuration.</param>
/// <param name="Epoch">The new sequencer's.</param>
/// <param name="After">It knows all that is committed up to here.</param>
/// <param name="Counter">Comes back with the answer's parts, so that parts of two answers are not mixed.</param>
public readonly record struct PrepareMessage(ulong Configuration, Epoch Epoch, ulong After, ulong Counter) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.Prepare;

    public int Size => 32;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(After);
        writer.U64(Counter);
    }

    public static bool TryRead(ref WireReader reader, out PrepareMessage message)
    {
        message = new PrepareMessage(reader.U64(), reader.Epoch(), reader.U64(), reader.U64());
        return !reader.Failed && !message.Epoch.IsNone;
    }
}

/// <summary><c>u64 configuration │ u64 epoch │ u64 counter │ u64 committed │ u16 part │ u16 parts │ u32 count │ (u64 number │ u64 epoch │
/// assignment)…</c>. No parts: a greater epoch, <paramref name="Epoch"/>, was promised.</summary>
public readonly record struct PreparedMessage(
    ulong Configuration, Epoch Epoch, ulong Counter, ulong Committed, ushort Part, ushort Parts, ReadOnlyMemory<HeldAssignment> Held)
    : IGroupMessage
{
    private const int ItemSize = 16 + Assignment.Size;

    public GroupMessageType Type => GroupMessageType.Prepared;

    public int Size => 32 + 4 + 4 + (Held.Length * ItemSize);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Configuration);
        writer.Epoch(Epoch);
        writer.U64(Counter);
        writer.U64(Committed);
        writer.U16(Part);
        writer.U16(Parts);
        writer.U32((uint)Held.Length);
        foreach (ref readonly HeldAssignment held in Held.Span)
        {
            writer.U64(held.Number);
            writer.Epoch(held.Epoch);
            writer.Assignment(held.Assignment);
        }
    }

    public static bool TryRead(ref WireReader reader, out PreparedMessage message)
    {
        message = new PreparedMessage(
            reader.U64(), reader.Epoch(), reader.U64(), reader.U64(), reader.U16(), reader.U16(), Read(ref reader));
        return !reader.Failed && (message.Parts == 0 || message.Part < message.Parts);
    }

    private static HeldAssignment[] Read(ref WireReader reader)
    {
        int count = reader.Count(GroupCodec.MaxItems, ItemSize);
        HeldAssignment[] held = count == 0 ? [] : new HeldAssignment[count];
        for (int i = 0; i < count; i++)
        {
            held[i] = new HeldAssignment(reader.U64(), reader.Epoch(), reader.Assignment());
        }

        return held;
    }
}

/// <summary><c>bool withData │ ranges</c></summary>
public readonly record struct CommitQueryMessage(bool WithData, ReadOnlyMemory<NumberRange> Ranges) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.CommitQuery;

    public int Size => 1 + 4 + (Ranges.Length * 12);

    public void Write(ref WireWriter writer)
    {
        writer.Bool(WithData);
        writer.Ranges(Ranges.Span);
    }

    public static bool TryRead(ref WireReader reader, out CommitQueryMessage message)
    {
        message = new CommitQueryMessage(reader.Bool(), reader.Ranges());
        return !reader.Failed;
    }
}

/// <summary><c>u64 trimmed │ mark │ u64 first │ u32 count │ assignments</c>: an empty run is "unknown"; numbers up to trimmed are no longer
/// kept, and the mark is the checkpoint to start from.</summary>
public readonly record struct CommitAnswerMessage(
    ulong Trimmed, CheckpointMark Checkpoint, ulong First, ReadOnlyMemory<Assignment> Run) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.CommitAnswer;

    public int Size => 8 + CheckpointMark.EncodedSize + 8 + GroupCodec.SizeOf(Run);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Trimmed);
        writer.Mark(Checkpoint);
        writer.U64(First);
        writer.Assignments(Run.Span);
    }

    public static bool TryRead(ref WireReader reader, out CommitAnswerMessage message)
    {
        message = new CommitAnswerMessage(reader.U64(), reader.Mark(), reader.U64(), reader.Assignments());
        return !reader.Failed && message.First is > 0 and <= ulong.MaxValue - GroupCodec.MaxItems;
    }
}
