using Carillon.Protocols.Wire;

namespace Carillon.Protocols.AtomicMulticast;

/// <summary><c>mark</c></summary>
public readonly record struct CheckpointReportMessage(CheckpointMark Mark) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.CheckpointReport;

    public int Size => CheckpointMark.EncodedSize;

    public void Write(ref WireWriter writer) => writer.Mark(Mark);

    public static bool TryRead(ref WireReader reader, out CheckpointReportMessage message)
    {
        message = new CheckpointReportMessage(reader.Mark());
        return !reader.Failed && !message.Mark.IsNone;
    }
}

/// <summary><c>u64 number │ u32 first │ u32 count</c>: block 0 is the list of the others' digests.</summary>
public readonly record struct BlockQueryMessage(ulong Number, uint First, uint Count) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.BlockQuery;

    public int Size => 16;

    public void Write(ref WireWriter writer)
    {
        writer.U64(Number);
        writer.U32(First);
        writer.U32(Count);
    }

    public static bool TryRead(ref WireReader reader, out BlockQueryMessage message)
    {
        message = new BlockQueryMessage(reader.U64(), reader.U32(), reader.U32());
        return !reader.Failed && message.Count is > 0 and <= 64;
    }
}

/// <summary><c>u64 number │ u32 index │ blob bytes</c>: no bytes where there is no such block.</summary>
public readonly record struct BlockAnswerMessage(ulong Number, uint Index, ReadOnlyMemory<byte> Bytes) : IGroupMessage
{
    public GroupMessageType Type => GroupMessageType.BlockAnswer;

    public int Size => 8 + 4 + WireSize.Blob(Bytes.Length);

    public void Write(ref WireWriter writer)
    {
        writer.U64(Number);
        writer.U32(Index);
        writer.Blob(Bytes.Span);
    }

    /// <summary>Reads the fields; the bytes are a slice of the frame, which <paramref name="reader"/> reads to its end.</summary>
    public static bool TryRead(ref WireReader reader, ReadOnlyMemory<byte> frame, out BlockAnswerMessage message)
    {
        ulong number = reader.U64();
        uint index = reader.U32();
        int length = reader.Blob(CheckpointBlocks.MaxBlockBytes).Length;
        message = reader.Failed
            ? default
            : new BlockAnswerMessage(number, index, frame.Slice(frame.Length - reader.Remaining - length, length));
        return !reader.Failed;
    }
}
