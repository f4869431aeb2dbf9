using Carillon.Protocols.Primacy;
using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary><c>u64 question</c></summary>
public readonly record struct NumberQueryMessage(ulong Question) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.NumberQuery;

    public int Size => 8;

    public void Write(ref WireWriter writer) => writer.U64(Question);

    public static bool TryRead(ref WireReader reader, out NumberQueryMessage message)
    {
        message = new NumberQueryMessage(reader.U64());
        return !reader.Failed;
    }
}

/// <summary><c>u64 question │ bool known │ u64 epoch │ u64 committed</c></summary>
/// <param name="Question">The question's.</param>
/// <param name="IsKnown">False: it is no sequencer, has not committed what it recovered, or its lease has ended.</param>
/// <param name="Epoch">The sequencer's.</param>
/// <param name="Committed">Everything that anybody was told to be committed, before it was asked, is up to here.</param>
public readonly record struct NumberAnswerMessage(ulong Question, bool IsKnown, Epoch Epoch, ulong Committed) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.NumberAnswer;

    public int Size => 8 + 1 + 8 + 8;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Question);
        writer.Bool(IsKnown);
        writer.Epoch(Epoch);
        writer.U64(Committed);
    }

    public static bool TryRead(ref WireReader reader, out NumberAnswerMessage message)
    {
        message = new NumberAnswerMessage(reader.U64(), reader.Bool(), reader.Epoch(), reader.U64());
        return !reader.Failed;
    }
}
